//! Operators with real numbers inside: interpolation, normalization, float ends, and
//! convolutions whose activation comes before the quantization.

use crate::single::{Draw, Operand, Single, cases, requantized, signed};
use proptest::prelude::*;
use sanderling_plan::step::{ActivatedConv, LayerNorm, LookupReal, ResizeLinear, SoftmaxReal};
use sanderling_plan::{Dtype, Operator};

fn reals(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(bytemuck::pod_read_unaligned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(200), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn layer_norm_is_near_the_exact_one_and_never_more_than_a_step_off(
        rows in 1u32..=3,
        width in 1u32..=200,
        seed: u64,
    ) {
        let mut draw = Draw::new(seed);
        let x = draw.i8s((rows * width) as usize);
        let mut single = Single::new();
        let gain: Vec<f32> = (0..width).map(|_| draw.scale(-0.5, 0.3)).collect();
        let bias: Vec<f32> = (0..width).map(|_| draw.range(-10, 10) as f32 * 0.05).collect();
        let p = LayerNorm {
            gain: single.constant(&gain),
            bias: single.constant(&bias),
            scale_x: draw.scale(-2.0, 0.0),
            zero_x: draw.zero_point(),
            epsilon: 1e-5,
            scale_y: draw.scale(-1.5, -1.0),
            zero_point: draw.zero_point(),
            low: -128,
            high: 127,
        };
        let operand = Operand::i8(&[rows, width], &x);
        let got = single.run(Operator::LayerNorm(p), operand, Dtype::I8, &[rows, width], 0);
        for (row, got) in x.chunks(width as usize).zip(signed(&got).chunks(width as usize)) {
            let real: Vec<f64> = row.iter().map(|&q| f64::from(i32::from(q) - p.zero_x) * f64::from(p.scale_x)).collect();
            let mean = real.iter().sum::<f64>() / real.len() as f64;
            let variance = real.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / real.len() as f64;
            for (i, (&real, &got)) in real.iter().zip(got).enumerate() {
                let exact = (real - mean) / (variance + f64::from(p.epsilon)).sqrt() * f64::from(gain[i]) + f64::from(bias[i]);
                let steps = (exact / f64::from(p.scale_y) + f64::from(p.zero_point)).clamp(-128.0, 127.0);
                prop_assert!((steps - f64::from(got)).abs() < 0.51, "{steps} became {got}, {p:?}");
            }
        }
    }

    #[test]
    fn resize_linear_weighs_four_pixels(
        h in 1u32..=5,
        w in 1u32..=5,
        channels in 1u32..=4,
        out_h in 1u32..=7,
        out_w in 1u32..=7,
        seed: u64,
    ) {
        let mut draw = Draw::new(seed);
        let x = draw.i8s((h * w * channels) as usize);
        let mut single = Single::new();
        let mut taps = |count: u32, size: u32| -> (Vec<u16>, Vec<f32>) {
            let positions = (0..2 * count).map(|_| draw.range(0, size as i32 - 1) as u16).collect();
            let weights = (0..count).flat_map(|_| {
                let share = draw.range(0, 1000) as f32 / 1000.0;
                [1.0 - share, share]
            });
            (positions, weights.collect())
        };
        let ((rows, u), (columns, s)) = (taps(out_h, h), taps(out_w, w));
        let scale_x = draw.scale(-3.0, 0.0);
        let p = ResizeLinear {
            rows: single.constant(&rows),
            row_weights: single.constant(&u),
            columns: single.constant(&columns),
            column_weights: single.constant(&s),
            scale_x,
            zero_x: draw.zero_point(),
            scale_y: scale_x * draw.scale(-0.3, 0.3),
            zero_point: draw.zero_point(),
            low: -128,
            high: 127,
        };
        let mut expected = Vec::new();
        for (oy, ox, c) in (0..out_h as usize)
            .flat_map(|oy| (0..out_w as usize).map(move |ox| (oy, ox)))
            .flat_map(|(oy, ox)| (0..channels as usize).map(move |c| (oy, ox, c)))
        {
            let real = |row: usize, column: usize| {
                let pixel = usize::from(rows[2 * oy + row]) * w as usize + usize::from(columns[2 * ox + column]);
                (i32::from(x[pixel * channels as usize + c]) - p.zero_x) as f32 * p.scale_x
            };
            let weight = |row: usize, column: usize| s[2 * ox + column] * u[2 * oy + row];
            let sum = weight(0, 0) * real(0, 0) + weight(0, 1) * real(0, 1) + weight(1, 0) * real(1, 0) + weight(1, 1) * real(1, 1);
            expected.push(requantized(sum / p.scale_y, p.zero_point, -128, 127));
        }
        let operand = Operand::i8(&[1, h, w, channels], &x);
        let got = single.run(Operator::ResizeLinear(p), operand, Dtype::I8, &[1, out_h, out_w, channels], 0);
        prop_assert_eq!(signed(&got), expected);
    }

    #[test]
    fn softmax_real_is_within_a_millionth(rows in 1u32..=4, classes in 1u32..=300, seed: u64) {
        let mut draw = Draw::new(seed);
        let x = draw.i8s((rows * classes) as usize);
        let p = SoftmaxReal { scale: draw.scale(-3.0, -0.7), zero_x: draw.zero_point() };
        let operand = Operand::i8(&[rows, classes], &x);
        let got = Single::new().run(Operator::SoftmaxReal(p), operand, Dtype::F32, &[rows, classes], 0);
        for (row, got) in x.chunks(classes as usize).zip(reals(&got).chunks(classes as usize)) {
            // The exponents are those of `f32`, as ONNX Runtime has them too.
            let real = |q: i8| (i32::from(q) - p.zero_x) as f32 * p.scale;
            let max = row.iter().map(|&q| real(q)).fold(f32::MIN, f32::max);
            let exact: Vec<f64> = row.iter().map(|&q| f64::from(real(q) - max).exp()).collect();
            let sum: f64 = exact.iter().sum();
            for (exact, &got) in exact.iter().zip(got) {
                let share = exact / sum;
                prop_assert!((share - f64::from(got)).abs() <= 1e-6 * share, "{share} became {got}");
            }
        }
    }

    #[test]
    fn lookup_real_reads_the_table(len in 1u32..=300, seed: u64) {
        let mut draw = Draw::new(seed);
        let table: Vec<f32> = (0..256).map(|_| draw.scale(-3.0, 3.0)).collect();
        let x = draw.i8s(len as usize);
        let expected: Vec<f32> = x.iter().map(|&q| table[usize::from(q as u8)]).collect();
        let mut single = Single::new();
        let p = LookupReal { table: single.constant(&table) };
        let got = single.run(Operator::LookupReal(p), Operand::i8(&[len], &x), Dtype::F32, &[len], 0);
        prop_assert_eq!(reals(&got), expected);
    }

    #[test]
    fn activated_conv_counts_the_bounds_below_the_sum(
        h in 1u32..=6,
        w in 1u32..=6,
        groups in 1u32..=3,
        group_in in 1u32..=5,
        group_out in 1u32..=3,
        kernel in 1u32..=3,
        pad in 0u32..=2,
        seed: u64,
    ) {
        let mut draw = Draw::new(seed);
        let (channels, outputs) = (groups * group_in, groups * group_out);
        let (pad, out) = (pad.min(kernel - 1), |size: u32| size + 2 * pad.min(kernel - 1));
        prop_assume!(out(h) >= kernel && out(w) >= kernel);
        let (out_h, out_w) = (out(h) - kernel + 1, out(w) - kernel + 1);
        let x = draw.i8s((h * w * channels) as usize);
        let weights = draw.i8s((outputs * kernel * kernel * group_in) as usize);
        let bias = draw.biases(outputs as usize);
        let multipliers: Vec<f32> = (0..outputs).map(|_| draw.scale(-4.0, -2.0)).collect();
        let mut bounds: Vec<f32> = (0..draw.range(0, 100)).map(|_| draw.range(-3000, 3000) as f32 / 10.0).collect();
        bounds.sort_by(f32::total_cmp);
        let values = draw.i8s(bounds.len() + 1);
        let mut single = Single::new();
        let p = ActivatedConv {
            kernel_h: kernel,
            kernel_w: kernel,
            stride_h: 1,
            stride_w: 1,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: pad,
            pad_left: pad,
            groups,
            weights: single.constant(&weights),
            bias: single.constant(&bias),
            multipliers: single.constant(&multipliers),
            input_zero_point: draw.zero_point(),
            weight_zero_point: draw.zero_point(),
            bounds: single.constant(&bounds),
            values: single.constant(&values),
            steps: bounds.len() as u32,
        };
        let mut expected = Vec::new();
        for (oy, ox) in (0..out_h).flat_map(|oy| (0..out_w).map(move |ox| (oy, ox))) {
            for o in 0..outputs {
                let mut acc = bias[o as usize];
                for (ky, kx) in (0..kernel).flat_map(|ky| (0..kernel).map(move |kx| (ky, kx))) {
                    for i in 0..group_in {
                        let (iy, ix) = ((oy + ky).checked_sub(pad), (ox + kx).checked_sub(pad));
                        let value = match (iy.filter(|&y| y < h), ix.filter(|&x| x < w)) {
                            (Some(iy), Some(ix)) => {
                                let channel = o / group_out * group_in + i;
                                i32::from(x[((iy * w + ix) * channels + channel) as usize])
                            }
                            _ => p.input_zero_point,
                        };
                        let weight = weights[(((o * kernel + ky) * kernel + kx) * group_in + i) as usize];
                        acc = acc.wrapping_add(value * (i32::from(weight) - p.weight_zero_point));
                    }
                }
                let real = acc as f32 * multipliers[o as usize];
                expected.push(values[bounds.iter().filter(|&&bound| bound <= real).count()]);
            }
        }
        let operand = Operand::i8(&[1, h, w, channels], &x);
        let got = single.run(Operator::ActivatedConv(p), operand, Dtype::I8, &[1, out_h, out_w, outputs], (kernel * kernel * group_in) as usize);
        prop_assert_eq!(signed(&got), expected);
    }
}
