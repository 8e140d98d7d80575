//! Every target's kernels against the generic ones: the same steps, packed for each
//! target that this build runs on this processor, give the same bits.

#[path = "kernels/case.rs"]
mod case;
#[path = "operators/single.rs"]
#[allow(dead_code, reason = "only the numbers are drawn from it")]
mod single;

use case::{Along, Case, Kind, conv_case, fully_connected_case, winograd_case};
use sanderling_engine::targets;
use sanderling_plan::Target;
use single::{Draw, cases};

/// Runs a step for every target and compares.
fn check(case: &Case, seed: u64) {
    let expected = case.run(Target::Generic);
    for target in targets().filter(|&target| target != Target::Generic) {
        let got = case.run(target);
        if let Some(at) = (0..expected.len()).find(|&at| got[at] != expected[at]) {
            panic!(
                "{target}, seed {seed}: output {at} is {}, not {}\n{:?}\n{:?} -> {:?}, in place: {}",
                got[at], expected[at], case.operator, case.input, case.output, case.in_place
            );
        }
    }
}

/// Draws and checks `count` cases.
fn each(count: u32, case: impl Fn(&mut Draw) -> Case) {
    for seed in 0..u64::from(cases(count)) {
        check(&case(&mut Draw::new(seed)), seed);
    }
}

#[test]
fn convolutions_agree() {
    each(400, |draw| {
        let axes = [Along::draw(draw, 9, 5), Along::draw(draw, 12, 5)];
        let batch = draw.range(1, 2) as u32;
        let channels = [draw.range(1, 21) as u32, draw.range(1, 40) as u32];
        conv_case(draw, axes, batch, 1, channels, false)
    });
}

/// Channels that make whole blocks for every target, which some kernels take apart.
#[test]
fn convolutions_of_whole_blocks_agree() {
    each(200, |draw| {
        let axes = [Along::draw(draw, 6, 5), Along::draw(draw, 16, 5)];
        let batch = draw.range(1, 2) as u32;
        let channels = [4 * draw.range(1, 9) as u32, 16 * draw.range(1, 3) as u32];
        conv_case(draw, axes, batch, 1, channels, false)
    });
}

#[test]
fn convolutions_with_groups_agree() {
    each(200, |draw| {
        let axes = [Along::draw(draw, 6, 3), Along::draw(draw, 6, 3)];
        let (batch, groups) = (draw.range(1, 2) as u32, draw.range(2, 4) as u32);
        let channels = [draw.range(1, 9) as u32, draw.range(1, 17) as u32];
        conv_case(draw, axes, batch, groups, channels, false)
    });
}

#[test]
fn pointwise_convolutions_agree() {
    each(300, |draw| {
        let stride = draw.range(1, 2) as u32;
        let axes = [draw.range(1, 8), draw.range(1, 13)]
            .map(|size| Along::new([size as u32, 1, stride, 1, 0]));
        let batch = draw.range(1, 2) as u32;
        let channels = [draw.range(1, 130) as u32, draw.range(1, 70) as u32];
        conv_case(draw, axes, batch, 1, channels, false)
    });
}

#[test]
fn convolutions_by_winograd_agree() {
    each(300, |draw| {
        let size = [draw.range(1, 9), draw.range(1, 12)].map(|n| n as u32);
        let batch = draw.range(1, 2) as u32;
        let channels = [draw.range(1, 21) as u32, draw.range(1, 9) as u32];
        winograd_case(draw, size, batch, channels)
    });
}

/// The most channels, all operands at the ends of their range.
#[test]
fn convolutions_by_winograd_of_extremes_agree() {
    for seed in 0..u64::from(cases(32)) {
        let draw = &mut Draw::new(seed);
        let mut case = winograd_case(draw, [4, 5], 1, [128, 3]);
        let Kind::Winograd(p) = &mut case.operator else {
            continue;
        };
        let end = |bit: u64| [i8::MIN, i8::MAX][(seed >> bit & 1) as usize];
        p.weight_zero_point = i32::from(end(0));
        p.input_zero_point = i32::from(end(1));
        let (x, w) = (end(2), end(3));
        // Signs that alternate give the largest transformed inputs and weights.
        let alternate = seed & 16 != 0;
        for (at, (x_at, w_at)) in case.x.iter_mut().zip(&mut case.weights).enumerate() {
            let turn = alternate && at / 128 % 2 == 1;
            (*x_at, *w_at) = if turn { (!x, !w) } else { (x, w) };
        }
        case.multipliers.fill(1e-6);
        check(&case, seed);
    }
}

#[test]
fn depthwise_convolutions_agree() {
    each(400, |draw| {
        let axes = [Along::draw(draw, 9, 5), Along::draw(draw, 14, 5)];
        let (batch, channels) = (draw.range(1, 2) as u32, draw.range(1, 70) as u32);
        let times = if draw.bits().is_multiple_of(4) {
            draw.range(2, 3)
        } else {
            1
        };
        conv_case(draw, axes, batch, channels, [1, times as u32], true)
    });
}

#[test]
fn matrix_products_agree() {
    each(200, |draw| {
        let k = match draw.bits() % 3 {
            0 => draw.range(1, 20),
            1 => draw.range(21, 300),
            _ => 32 * draw.range(1, 12),
        };
        let (rows, outputs) = (draw.range(1, 9) as u32, draw.range(1, 70) as u32);
        fully_connected_case(draw, rows, k as u32, outputs)
    });
}

/// Accumulators of long rows, all operands at the ends of their range.
#[test]
fn long_rows_of_extremes_agree() {
    for (seed, k) in [640u32, 1023, 4096].into_iter().enumerate() {
        for x in [i8::MIN, i8::MAX] {
            for w in [i8::MIN, i8::MAX] {
                let draw = &mut Draw::new(seed as u64);
                let mut case = fully_connected_case(draw, 2, k, 9);
                case.x.fill(x);
                case.weights.fill(w);
                case.multipliers.fill(1e-6);
                check(&case, seed as u64);
            }
        }
    }
}

/// Accumulators and multipliers from one end of their range to the other.
#[test]
fn requantization_of_extremes_agrees() {
    let multipliers = [
        0.0,
        -0.0,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
        1.5e-39,
        2.5e-10,
        1e-5,
        0.1,
        0.5,
        1.0,
        1.5,
        -0.5,
        -3.25,
        1e10,
        -1e10,
        f32::MAX,
        f32::MIN,
    ];
    let accumulators = [
        0,
        1,
        -1,
        2,
        3,
        -3,
        127,
        -129,
        255,
        16_777_217,
        -16_777_219,
        i32::MAX,
        i32::MAX - 64,
        i32::MIN,
        i32::MIN + 1,
    ];
    let outputs = (multipliers.len() * accumulators.len()) as u32;
    for seed in 0..u64::from(cases(30)) {
        let draw = &mut Draw::new(seed);
        let mut case = match seed % 3 {
            0 => fully_connected_case(draw, 4, 5, outputs),
            1 => fully_connected_case(draw, 1, 4, outputs + 1),
            _ => {
                let axes = [Along::new([3, 3, 1, 1, 1]), Along::new([5, 3, 1, 1, 1])];
                conv_case(draw, axes, 1, outputs, [1, 1], true)
            }
        };
        // Sums are the biases alone, or next to them.
        case.x.fill(0);
        if let Kind::Depthwise(p) = &mut case.operator {
            p.input_zero_point = 0;
        }
        for (index, (bias, multiplier)) in
            case.bias.iter_mut().zip(&mut case.multipliers).enumerate()
        {
            let random = draw.bits();
            *multiplier = multipliers[index % multipliers.len()];
            *bias = match seed < 3 {
                true => accumulators[index / multipliers.len() % accumulators.len()],
                false => random as i32 >> (random >> 59),
            };
        }
        check(&case, seed);
    }
}

/// Layers of networks that robots run, in full size.
#[test]
fn layers_of_networks_agree() {
    // Rows, columns (size, kernel, stride, dilation, pad), channels in and out, depthwise.
    type Layer = ([u32; 5], [u32; 5], [u32; 2], bool);
    let layers: [Layer; 12] = [
        ([32, 3, 1, 1, 1], [32, 3, 1, 1, 1], [3, 16], false),
        ([32, 3, 2, 1, 0], [32, 3, 2, 1, 0], [16, 32], false),
        ([8, 3, 1, 1, 1], [8, 3, 1, 1, 1], [64, 64], false),
        ([49, 10, 2, 1, 4], [10, 4, 2, 1, 1], [1, 64], false),
        ([25, 3, 1, 1, 1], [5, 3, 1, 1, 1], [64, 64], true),
        ([25, 1, 1, 1, 0], [5, 1, 1, 1, 0], [64, 64], false),
        ([48, 3, 2, 1, 1], [48, 3, 2, 1, 1], [8, 8], true),
        ([3, 3, 1, 1, 1], [3, 3, 1, 1, 1], [256, 256], true),
        ([1, 1, 1, 1, 0], [30, 5, 1, 2, 2], [23, 29], false),
        ([48, 3, 1, 1, 1], [47, 3, 1, 1, 1], [8, 8], true),
        ([16, 5, 1, 1, 2], [16, 5, 1, 1, 2], [80, 80], true),
        ([1, 1, 1, 1, 0], [40, 9, 1, 1, 4], [40, 40], true),
    ];
    for (seed, (rows, columns, [i, o], depthwise)) in layers.into_iter().enumerate() {
        let draw = &mut Draw::new(seed as u64);
        let axes = [Along::new(rows), Along::new(columns)];
        let (groups, channels) = match depthwise {
            true => (i, [1, o / i]),
            false => (1, [i, o]),
        };
        let case = conv_case(draw, axes, 1, groups, channels, depthwise);
        check(&case, seed as u64);
    }
}
