//! Every target's kernels against the generic ones: the same steps, packed for each
//! target that this build runs on this processor, give the same bits.

#[path = "operators/single.rs"]
#[allow(dead_code, reason = "only the numbers are drawn from it")]
mod single;

use sanderling_engine::{Engine, targets};
use sanderling_plan::step::{Conv, FullyConnected};
use sanderling_plan::writer::{StepRecord, TensorRecord, Writer};
use sanderling_plan::{Dtype, Operator, Place, Plan, Shape, Target, TensorId};
use single::{Aligned, Draw, cases};

/// Untouched bytes around everything in the arena.
const GUARD: usize = 32;
/// What the arena holds before a run.
const PATTERN: u8 = 0xa5;

/// A step before it is packed.
#[derive(Clone, Debug)]
struct Case {
    operator: Kind,
    input: Vec<u32>,
    output: Vec<u32>,
    /// Whether the output is written over the input.
    in_place: bool,
    x: Vec<i8>,
    /// `[out][k]`, or `[taps][out]` for a depthwise step.
    weights: Vec<i8>,
    bias: Vec<i32>,
    multipliers: Vec<f32>,
}

/// Offsets in the parameters are not yet known.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Conv(Conv),
    Depthwise(Conv),
    FullyConnected(FullyConnected),
}

/// The window of a convolution along one axis.
#[derive(Clone, Copy, Debug)]
struct Along {
    size: u32,
    kernel: u32,
    stride: u32,
    dilation: u32,
    pad: u32,
    out: u32,
}

impl Along {
    /// A window whose padding after the end is at most that before the start.
    fn new([size, kernel, stride, dilation, pad]: [u32; 5]) -> Self {
        let reach = (kernel - 1) * dilation + 1;
        let out = match (size + 2 * pad).checked_sub(reach) {
            Some(rest) => rest / stride + 1,
            None => 1,
        };
        Along {
            size,
            kernel,
            stride,
            dilation,
            pad,
            out,
        }
    }

    fn draw(draw: &mut Draw, size: i32, kernel: i32) -> Self {
        let kernel = draw.range(1, kernel);
        Along::new([
            draw.range(1, size) as u32,
            kernel as u32,
            draw.range(1, 3) as u32,
            if draw.bits().is_multiple_of(4) { 2 } else { 1 },
            draw.range(0, kernel - 1) as u32,
        ])
    }
}

/// Activations or weights: all of them the lowest, the extremes mixed, or anything.
fn values(draw: &mut Draw, len: usize) -> Vec<i8> {
    match draw.bits() % 4 {
        0 => vec![i8::MIN; len],
        _ => draw.i8s(len),
    }
}

fn conv_case(
    draw: &mut Draw,
    [rows, columns]: [Along; 2],
    batch: u32,
    groups: u32,
    [group_in, group_out]: [u32; 2],
    depthwise: bool,
) -> Case {
    let outputs = (groups * group_out) as usize;
    let (low, high) = draw.clamp();
    let p = Conv {
        kernel_h: rows.kernel,
        kernel_w: columns.kernel,
        stride_h: rows.stride,
        stride_w: columns.stride,
        dilation_h: rows.dilation,
        dilation_w: columns.dilation,
        pad_top: rows.pad,
        pad_left: columns.pad,
        groups,
        weights: 0,
        bias: 0,
        multipliers: 0,
        input_zero_point: draw.zero_point(),
        zero_point: draw.zero_point(),
        low,
        high,
        weight_zero_point: draw.zero_point(),
    };
    let input = vec![batch, rows.size, columns.size, groups * group_in];
    let k = rows.kernel * columns.kernel * group_in;
    Case {
        in_place: (batch == 1 || p.is_flat() && !depthwise) && draw.bits().is_multiple_of(3),
        x: values(draw, input.iter().product::<u32>() as usize),
        weights: values(draw, k as usize * outputs),
        bias: draw.biases(outputs),
        multipliers: draw.multipliers(outputs),
        output: vec![batch, rows.out, columns.out, groups * group_out],
        operator: match depthwise {
            true => Kind::Depthwise(p),
            false => Kind::Conv(p),
        },
        input,
    }
}

fn fully_connected_case(draw: &mut Draw, rows: u32, k: u32, outputs: u32) -> Case {
    let (low, high) = draw.clamp();
    let p = FullyConnected {
        weights: 0,
        bias: 0,
        multipliers: 0,
        zero_point: draw.zero_point(),
        low,
        high,
        weight_zero_point: draw.zero_point(),
    };
    Case {
        operator: Kind::FullyConnected(p),
        input: vec![rows, k],
        output: vec![rows, outputs],
        in_place: false,
        x: values(draw, (rows * k) as usize),
        weights: values(draw, (k * outputs) as usize),
        bias: draw.biases(outputs as usize),
        multipliers: draw.multipliers(outputs as usize),
    }
}

impl Case {
    /// Runs the step, packed for `target`, and gives the output.
    fn run(&self, target: Target) -> Vec<i8> {
        let mut writer = Writer::new(target, [0; 32]);
        let bytes = |dims: &[u32]| dims.iter().product::<u32>() as usize;
        let (x_bytes, y_bytes) = (bytes(&self.input), bytes(&self.output));
        let (operator, scratch, distance) = self.pack(target, &mut writer);
        let output_at = GUARD;
        let input_at = match distance {
            Some(distance) => (output_at + distance).next_multiple_of(16),
            None => (output_at + y_bytes + GUARD).next_multiple_of(16),
        };
        let io_end = (output_at + y_bytes).max(input_at + x_bytes);
        let scratch_at = (io_end + GUARD).next_multiple_of(16);
        let end = (scratch_at + scratch + GUARD).next_multiple_of(16);
        let mut tensor = |dims: &[u32], at: usize| {
            writer.tensor(&TensorRecord {
                name: "",
                dtype: Dtype::I8,
                shape: Shape::new(dims).expect("shape"),
                place: Place::Arena,
                offset: at as u32,
                scale: 1.0,
                zero_point: 0,
            })
        };
        let input: TensorId = tensor(&self.input, input_at);
        let output = tensor(&self.output, output_at);
        writer.step(&StepRecord {
            name: "step",
            operator,
            inputs: &[input],
            output,
            scratch_offset: if scratch > 0 { scratch_at as u32 } else { 0 },
            scratch_bytes: scratch as u32,
        });
        let plan = Aligned::new(&writer.finish(&[input], &[output], end as u32, output, 0));
        let plan = Plan::new(plan.as_ref()).unwrap_or_else(|e| panic!("{e}: {operator:?}"));
        let mut engine = Engine::new(plan, Aligned::new(&vec![PATTERN; end])).expect("engine");
        let x: &[u8] = bytemuck::cast_slice(&self.x);
        engine.input_mut(0).expect("input").copy_from_slice(x);
        engine.run().expect("run");
        let y = bytemuck::cast_slice(engine.output(0).expect("output")).to_vec();
        let (_, arena) = engine.into_parts();
        let arena: &[u8] = arena.as_ref();
        let written = [
            output_at..output_at + y_bytes,
            input_at..input_at + x_bytes,
            scratch_at..scratch_at + scratch,
        ];
        for (at, &byte) in arena.iter().enumerate() {
            assert!(
                byte == PATTERN || written.iter().any(|range| range.contains(&at)),
                "{target}: byte {at} of the arena was overwritten"
            );
        }
        if !self.in_place {
            assert_eq!(&arena[input_at..input_at + x_bytes], x, "{target}: input");
        }
        y
    }

    /// The operator with its constants packed, its scratch, and, in place, how far behind
    /// the output's start the input starts.
    fn pack(&self, target: Target, writer: &mut Writer) -> (Operator, usize, Option<usize>) {
        let dense = target.dense();
        let multipliers = writer.constant(bytemuck::cast_slice(&self.multipliers));
        let mut constants = |weights: Vec<i8>, bias: Vec<i32>| {
            let weights = writer.constant(bytemuck::cast_slice(&weights));
            (weights, writer.constant(bytemuck::cast_slice(&bias)))
        };
        let p = match self.operator {
            Kind::Conv(p) | Kind::Depthwise(p) => p,
            Kind::FullyConnected(p) => {
                let k = self.input[1] as usize;
                let (weights, bias) = constants(
                    dense.pack(&self.weights, k),
                    dense.fold_bias(&self.weights, k, &self.bias),
                );
                let scratch = p.scratch_bytes(target, k).expect("scratch");
                let operator = Operator::FullyConnected(FullyConnected {
                    weights,
                    bias,
                    multipliers,
                    ..p
                });
                return (operator, scratch, None);
            }
        };
        let depthwise = matches!(self.operator, Kind::Depthwise(_));
        let nhwc = |dims: &[u32]| <[u32; 4]>::try_from(dims).expect("four dimensions");
        let (input, output) = (nhwc(&self.input), nhwc(&self.output));
        let outputs = output[3] as usize;
        let (weights, bias) = match depthwise {
            true => constants(
                target.pack_depthwise(&self.weights, outputs),
                self.bias.clone(),
            ),
            false => {
                let k = self.weights.len() / outputs;
                let groups = self.weights.chunks(outputs / p.groups as usize * k);
                constants(
                    groups.flat_map(|weights| dense.pack(weights, k)).collect(),
                    dense.fold_bias(&self.weights, k, &self.bias),
                )
            }
        };
        let distance = self
            .in_place
            .then(|| p.overlap(target, input, output, depthwise))
            .flatten();
        // The distance is rounded up to the alignment, so that they may still be apart.
        let y_bytes = output.iter().product::<u32>() as usize;
        let overlaps = distance.is_some_and(|distance| {
            (GUARD + distance as usize).next_multiple_of(16) < GUARD + y_bytes
        });
        let p = Conv {
            weights,
            bias,
            multipliers,
            ..p
        };
        let scratch = p.scratch(target, input, depthwise, overlaps);
        let scratch = scratch.and_then(|s| s.bytes()).expect("scratch");
        let operator = match depthwise {
            true => Operator::DepthwiseConv(p),
            false => Operator::Conv(p),
        };
        (operator, scratch, distance.map(|d| d as usize))
    }

    /// Runs it for every target and compares.
    fn check(&self, seed: u64) {
        let expected = self.run(Target::Generic);
        for target in targets().filter(|&target| target != Target::Generic) {
            let got = self.run(target);
            if let Some(at) = (0..expected.len()).find(|&at| got[at] != expected[at]) {
                panic!(
                    "{target}, seed {seed}: output {at} is {}, not {}\n{:?}\n{:?} -> {:?}, in place: {}",
                    got[at], expected[at], self.operator, self.input, self.output, self.in_place
                );
            }
        }
    }
}

/// Draws and checks `count` cases.
fn each(count: u32, case: impl Fn(&mut Draw) -> Case) {
    for seed in 0..u64::from(cases(count)) {
        case(&mut Draw::new(seed)).check(seed);
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
                case.check(seed as u64);
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
        case.check(seed);
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
        conv_case(draw, axes, 1, groups, channels, depthwise).check(seed as u64);
    }
}
