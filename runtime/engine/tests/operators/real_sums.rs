//! Convolutions, pairs, means, products and functions whose results stay real.

use crate::single::{Draw, Operand, Single, cases, requantized, signed};
use proptest::prelude::*;
use sanderling_plan::step::{RealConv, RealMap, RealMean, RealPair, RealProduct};
use sanderling_plan::{Dtype, Operator, Place};

/// What an output is: `f32`, or bytes of a scale and zero point.
#[derive(Clone, Copy)]
struct Form {
    scale: f32,
    zero_point: i32,
    dtype: Dtype,
}

impl Form {
    fn draw(draw: &mut Draw) -> Self {
        match draw.range(0, 1) {
            0 => Form {
                scale: 1.0,
                zero_point: 0,
                dtype: Dtype::F32,
            },
            _ => Form {
                scale: draw.scale(-2.0, 0.5),
                zero_point: draw.zero_point(),
                dtype: Dtype::I8,
            },
        }
    }

    /// The bytes of `reals` in this form.
    fn bytes(self, reals: &[f32]) -> Vec<u8> {
        match self.dtype {
            Dtype::F32 => reals.iter().flat_map(|real| real.to_le_bytes()).collect(),
            _ => reals
                .iter()
                .map(|real| requantized(real / self.scale, self.zero_point, -128, 127) as u8)
                .collect(),
        }
    }
}

/// An operand, its real numbers, and the scale and zero point that say so.
fn operand(draw: &mut Draw, dims: &[u32]) -> (Operand, Vec<f32>, f32, i32) {
    let len = dims.iter().product::<u32>() as usize;
    if draw.range(0, 1) == 0 {
        let reals: Vec<f32> = (0..len)
            .map(|_| draw.range(-5000, 5000) as f32 * 0.003)
            .collect();
        let bytes = reals.iter().flat_map(|real| real.to_le_bytes()).collect();
        let operand = Operand {
            dtype: Dtype::F32,
            dims: dims.to_vec(),
            bytes,
            place: Place::Arena,
        };
        return (operand, reals, 1.0, 0);
    }
    let (scale, zero) = (draw.scale(-3.0, 0.0), draw.zero_point());
    let x = draw.i8s(len);
    let reals = x
        .iter()
        .map(|&x| (i32::from(x) - zero) as f32 * scale)
        .collect();
    (Operand::i8(dims, &x), reals, scale, zero)
}

fn bounds(draw: &mut Draw) -> (f32, f32) {
    match draw.range(0, 1) {
        0 => (f32::MIN, f32::MAX),
        _ => (
            draw.range(-30, 0) as f32 * 0.1,
            draw.range(0, 60) as f32 * 0.1,
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(200), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn real_conv_scales_its_sums_and_adds(
        h in 1u32..=6,
        w in 1u32..=6,
        groups in 1u32..=3,
        group_in in 1u32..=5,
        group_out in 1u32..=3,
        kernel in 1u32..=3,
        pad in 0u32..=2,
        addend: bool,
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
        let multipliers: Vec<f32> = (0..outputs).map(|_| draw.scale(-5.0, -2.0)).collect();
        let offsets: Vec<f32> = (0..outputs).map(|_| draw.range(-100, 100) as f32 * 0.07).collect();
        let (z, z_reals, scale_z, zero_z) = operand(&mut draw, &[1, out_h, out_w, outputs]);
        let (form, (low, high)) = (Form::draw(&mut draw), bounds(&mut draw));
        let mut single = Single::new();
        let p = RealConv {
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
            offsets: single.constant(&offsets),
            input_zero_point: draw.zero_point(),
            weight_zero_point: draw.zero_point(),
            scale_z,
            zero_z,
            low,
            high,
            scale_y: form.scale,
            zero_point: form.zero_point,
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
                let scaled = acc as f32 * multipliers[o as usize];
                let mut real = scaled + offsets[o as usize];
                if addend {
                    real += z_reals[expected.len()];
                }
                expected.push(real.max(low).min(high));
            }
        }
        let operands = [Operand::i8(&[1, h, w, channels], &x), z];
        let (count, scratch) = (1 + usize::from(addend), (kernel * kernel * group_in) as usize);
        let got = single.run_many(
            Operator::RealConv(p), &operands[..count], &[0, 1][..count], None, form.dtype, &[1, out_h, out_w, outputs], scratch,
        );
        prop_assert_eq!(got, form.bytes(&expected));
    }

    #[test]
    fn real_pair_takes_a_number_a_vector_or_a_tensor(
        outer in 1u32..=4,
        extent in 1u32..=5,
        inner in 1u32..=6,
        operation in 0u32..=3,
        reversed: bool,
        seed: u64,
    ) {
        let mut draw = Draw::new(seed);
        let (a, a_reals, scale_a, zero_a) = operand(&mut draw, &[outer, extent, inner]);
        let (b, b_reals, scale_b, zero_b) = operand(&mut draw, &[extent]);
        let (form, (low, high)) = (Form::draw(&mut draw), bounds(&mut draw));
        let p = RealPair {
            operation, reversed, scale_a, zero_a, scale_b, zero_b, inner, extent, low, high, scale_y: form.scale, zero_point: form.zero_point,
        };
        let expected: Vec<f32> = a_reals.iter().enumerate().map(|(i, &a)| {
            let b = b_reals[i / inner as usize % extent as usize];
            let (first, second) = if reversed { (b, a) } else { (a, b) };
            let real = match operation {
                RealPair::SUM => first + second,
                RealPair::DIFFERENCE => first - second,
                RealPair::PRODUCT => first * second,
                _ => first / second,
            };
            if real.is_nan() { real } else { real.max(low).min(high) }
        }).collect();
        let got = Single::new().run_many(
            Operator::RealPair(p), &[a, b], &[0, 1], None, form.dtype, &[outer, extent, inner], 0,
        );
        let same = got == form.bytes(&expected) || expected.iter().any(|real| real.is_nan());
        prop_assert!(same, "{p:?}");
    }

    #[test]
    fn real_mean_is_near_the_exact_one(outer in 1u32..=3, reduce in 1u32..=200, inner in 1u32..=4, seed: u64) {
        let mut draw = Draw::new(seed);
        let (x, reals, scale_x, zero_x) = operand(&mut draw, &[outer, reduce, inner]);
        let p = RealMean { outer, reduce, inner, scale_x, zero_x, divisor: reduce as f32, scale_y: 1.0, zero_point: 0 };
        let got = Single::new().run(Operator::RealMean(p), x, Dtype::F32, &[outer, inner], 0);
        for (at, got) in got.chunks(4).enumerate() {
            let got: f32 = bytemuck::pod_read_unaligned(got);
            let (row, column) = (at / inner as usize, at % inner as usize);
            let terms = (0..reduce as usize).map(|i| f64::from(reals[(row * reduce as usize + i) * inner as usize + column]));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + t.abs()));
            let (mean, size) = (sum / f64::from(reduce), size / f64::from(reduce));
            prop_assert!((mean - f64::from(got)).abs() <= 3e-7 * size, "{mean} became {got}");
        }
    }

    #[test]
    fn real_product_sums_in_order(rows in 1u32..=4, k in 1u32..=40, outputs in 1u32..=6, seed: u64) {
        let mut draw = Draw::new(seed);
        let reals: Vec<f32> = (0..rows * k).map(|_| draw.range(-500, 500) as f32 * 0.013).collect();
        let weights: Vec<f32> = (0..k * outputs).map(|_| draw.range(-500, 500) as f32 * 0.0017).collect();
        let offsets: Vec<f32> = (0..outputs).map(|_| draw.range(-50, 50) as f32 * 0.1).collect();
        let (form, (low, high)) = (Form::draw(&mut draw), bounds(&mut draw));
        let mut single = Single::new();
        let p = RealProduct {
            weights: single.constant(&weights), offsets: single.constant(&offsets), low, high, scale_y: form.scale, zero_point: form.zero_point,
        };
        let mut expected = Vec::new();
        for row in reals.chunks(k as usize) {
            for (weights, offset) in weights.chunks(k as usize).zip(&offsets) {
                let mut sum = 0f32;
                for (x, w) in row.iter().zip(weights) {
                    let product = x * w;
                    sum += product;
                }
                expected.push((sum + offset).max(low).min(high));
            }
        }
        let bytes = reals.iter().flat_map(|real| real.to_le_bytes()).collect();
        let x = Operand { dtype: Dtype::F32, dims: vec![rows, k], bytes, place: Place::Arena };
        let got = single.run(Operator::RealProduct(p), x, form.dtype, &[rows, outputs], 0);
        prop_assert_eq!(got, form.bytes(&expected));
    }

    #[test]
    fn real_map_is_near_its_function(function in 0u32..=4, seed: u64) {
        let mut draw = Draw::new(seed);
        let reals: Vec<f32> = (0..50).map(|_| draw.range(-9000, 9000) as f32 * 0.001).collect();
        let (alpha, beta) = (0.25f32, 0.5f32);
        let p = RealMap { function, alpha, beta, scale_y: 1.0, zero_point: 0 };
        let bytes = reals.iter().flat_map(|real| real.to_le_bytes()).collect();
        let x = Operand { dtype: Dtype::F32, dims: vec![50], bytes, place: Place::Arena };
        let got = Single::new().run(Operator::RealMap(p), x, Dtype::F32, &[50], 0);
        for (&x, got) in reals.iter().zip(got.chunks(4)) {
            let got: f32 = bytemuck::pod_read_unaligned(got);
            let (x, alpha, beta) = (f64::from(x), f64::from(alpha), f64::from(beta));
            let exact = match function {
                RealMap::CLAMP => x.clamp(alpha, beta),
                RealMap::SIGMOID => 1.0 / (1.0 + (-x).exp()),
                RealMap::TANH => x.tanh(),
                RealMap::LEAKY_RELU if x >= 0.0 => x,
                RealMap::LEAKY_RELU => alpha * x,
                _ => (alpha * x + beta).clamp(0.0, 1.0),
            };
            prop_assert!((exact - f64::from(got)).abs() <= 1e-6, "function {function} of {x}: {got} for {exact}");
        }
        let form = Form { scale: 0.01, zero_point: -7, dtype: Dtype::I8 };
        let p = RealMap { scale_y: form.scale, zero_point: form.zero_point, ..p };
        let bytes: Vec<u8> = reals.iter().flat_map(|real| real.to_le_bytes()).collect();
        let x = Operand { dtype: Dtype::F32, dims: vec![50], bytes, place: Place::Arena };
        let steps = Single::new().run(Operator::RealMap(p), x, Dtype::I8, &[50], 0);
        let real: Vec<f32> = got_reals(&reals, function, alpha, beta);
        prop_assert_eq!(signed(&steps), signed(&form.bytes(&real)));
    }
}

/// The function's results as the engine gives them in `f32`.
fn got_reals(reals: &[f32], function: u32, alpha: f32, beta: f32) -> Vec<f32> {
    let p = RealMap {
        function,
        alpha,
        beta,
        scale_y: 1.0,
        zero_point: 0,
    };
    let dims = vec![reals.len() as u32];
    let bytes = reals.iter().flat_map(|real| real.to_le_bytes()).collect();
    let x = Operand {
        dtype: Dtype::F32,
        dims: dims.clone(),
        bytes,
        place: Place::Arena,
    };
    let got = Single::new().run(Operator::RealMap(p), x, Dtype::F32, &dims, 0);
    got.chunks(4).map(bytemuck::pod_read_unaligned).collect()
}
