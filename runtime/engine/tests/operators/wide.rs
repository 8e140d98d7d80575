//! 16-bit activations against 64-bit sums and the formulas as they stand.

use crate::single::{Draw, Operand, Single, cases};
use proptest::prelude::*;
use sanderling_plan::step::{WideConv, WidePair, WideRequantize};
use sanderling_plan::{Dtype, Operator, Place};

fn operand(dims: &[u32], values: &[i16]) -> Operand {
    Operand {
        dtype: Dtype::I16,
        dims: dims.to_vec(),
        bytes: bytemuck::cast_slice(values).to_vec(),
        place: Place::Arena,
    }
}

/// Numbers of 16 bits; one tensor in four is all extremes.
fn draw_i16s(draw: &mut Draw, len: usize) -> Vec<i16> {
    let extreme = draw.bits().is_multiple_of(4);
    (0..len)
        .map(|_| match (extreme, draw.bits() as i16) {
            (true, bits) if bits & 1 == 0 => i16::MIN,
            (true, _) => i16::MAX,
            (false, bits) => bits,
        })
        .collect()
}

fn words(bytes: &[u8]) -> Vec<i16> {
    bytes.chunks(2).map(bytemuck::pod_read_unaligned).collect()
}

fn clamped(steps: f32, zero_point: i32, low: i32, high: i32) -> i16 {
    (f64::from(steps.round_ties_even()) + f64::from(zero_point))
        .clamp(f64::from(low), f64::from(high)) as i16
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(200), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wide_conv_never_wraps(
        h in 1u32..=4,
        w in 1u32..=4,
        channels in 1u32..=300,
        outputs in 1u32..=3,
        seed: u64,
    ) {
        let mut draw = Draw::new(seed);
        let x = draw_i16s(&mut draw, (h * w * channels) as usize);
        let weights = draw.i8s((outputs * 4 * channels) as usize);
        let bias = draw.biases(outputs as usize);
        let multipliers: Vec<f32> = (0..outputs).map(|_| draw.scale(-6.0, -2.0)).collect();
        let mut single = Single::new();
        let p = WideConv {
            kernel_h: 2,
            kernel_w: 2,
            stride_h: 1,
            stride_w: 1,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: 1,
            pad_left: 0,
            groups: 1,
            weights: single.constant(&weights),
            bias: single.constant(&bias),
            multipliers: single.constant(&multipliers),
            input_zero_point: if seed & 1 == 0 { 0 } else { draw.range(-32_768, 32_767) },
            weight_zero_point: draw.zero_point(),
            zero_point: draw.range(-32_768, 32_767),
            low: -32_768,
            high: 32_767,
        };
        let mut expected = Vec::new();
        for (oy, ox) in (0..h).flat_map(|oy| (0..w).map(move |ox| (oy, ox))) {
            for o in 0..outputs {
                let mut acc = i64::from(bias[o as usize]);
                for (ky, kx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let Some(iy) = (oy + ky).checked_sub(1).filter(|&iy| iy < h) else { continue };
                    let ix = ox + kx;
                    if ix >= w { continue }
                    for c in 0..channels {
                        let value = x[((iy * w + ix) * channels + c) as usize];
                        let weight = weights[(((o * 2 + ky) * 2 + kx) * channels + c) as usize];
                        acc += (i64::from(value) - i64::from(p.input_zero_point))
                            * (i64::from(weight) - i64::from(p.weight_zero_point));
                    }
                }
                expected.push(clamped(acc as f32 * multipliers[o as usize], p.zero_point, p.low, p.high));
            }
        }
        let got = single.run(
            Operator::WideConv(p), operand(&[1, h, w, channels], &x), Dtype::I16, &[1, h, w, outputs], (8 * channels) as usize,
        );
        prop_assert_eq!(words(&got), expected);
    }

    #[test]
    fn wide_pair_rounds_each_operation(len in 1u32..=100, product: bool, seed: u64) {
        let mut draw = Draw::new(seed);
        let (a, b) = (draw_i16s(&mut draw, len as usize), draw_i16s(&mut draw, len as usize));
        let p = WidePair {
            product,
            scale_a: draw.scale(-5.0, 0.0),
            zero_a: draw.range(-32_768, 32_767),
            scale_b: -draw.scale(-5.0, 0.0),
            zero_b: draw.range(-32_768, 32_767),
            scale_y: draw.scale(-5.0, 0.0),
            zero_point: draw.range(-32_768, 32_767),
            low: -20_000,
            high: 32_000,
        };
        let expected: Vec<i16> = a.iter().zip(&b).map(|(&a, &b)| {
            let a = (i32::from(a) - p.zero_a) as f32 * p.scale_a;
            let b = (i32::from(b) - p.zero_b) as f32 * p.scale_b;
            let real = if product { a * b } else { a + b };
            clamped(real / p.scale_y, p.zero_point, p.low, p.high)
        }).collect();
        let operands = [operand(&[len], &a), operand(&[len], &b)];
        let got = Single::new().run_many(
            Operator::WidePair(p), &operands, &[0, 1], None, Dtype::I16, &[len], 0,
        );
        prop_assert_eq!(words(&got), expected);
    }

    #[test]
    fn wide_requantize_reads_and_writes_either_width(len in 1u32..=100, from: bool, to: bool, seed: u64) {
        let mut draw = Draw::new(seed);
        let wide = draw_i16s(&mut draw, len as usize);
        let narrow = draw.i8s(len as usize);
        let (low, high) = if to { (-32_768, 32_767) } else { (-128, 127) };
        let p = WideRequantize {
            scale_x: draw.scale(-5.0, 0.0),
            zero_x: draw.range(-300, 300),
            scale_y: draw.scale(-5.0, 0.0),
            zero_point: draw.range(-128, 127),
            low,
            high,
        };
        let one = |x: i32| clamped((x - p.zero_x) as f32 * p.scale_x / p.scale_y, p.zero_point, low, high);
        let x: Vec<i32> = if from {
            wide.iter().map(|&x| x.into()).collect()
        } else {
            narrow.iter().map(|&x| x.into()).collect()
        };
        let expected: Vec<i16> = x.into_iter().map(one).collect();
        let x = if from { operand(&[len], &wide) } else { Operand::i8(&[len], &narrow) };
        let dtype = if to { Dtype::I16 } else { Dtype::I8 };
        let got = Single::new().run(Operator::WideRequantize(p), x, dtype, &[len], 0);
        let got: Vec<i16> = if to {
            words(&got)
        } else {
            got.iter().map(|&b| i16::from(b as i8)).collect()
        };
        prop_assert_eq!(got, expected);
    }
}
