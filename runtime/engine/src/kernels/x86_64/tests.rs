//! Every set of loops that this processor runs against sums written out.

use super::{Avx2, Avx512, Kernel, Linear, Rows, Sse2, Windows, avx2, avx512};
use crate::kernels::{DepthwiseRow, Isa, generic};
use crate::numerics::{Requantize, Sum};
use proptest::prelude::*;
use sanderling_plan::Target;
use sanderling_plan::step::{Add, Conv};
use std::vec::Vec;

/// Sets of loops, and whether they run here.
fn sets() -> [(Isa, bool); 3] {
    [
        (Isa::Sse2, true),
        (Isa::Avx2, avx2::detected()),
        (Isa::Avx512, avx512::detected()),
    ]
}

/// Bytes of which many are extreme.
fn bytes(len: usize, seed: &mut u64) -> Vec<i8> {
    let mut next = || {
        *seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (*seed >> 33) as u32
    };
    (0..len)
        .map(|_| match next() % 4 {
            0 => -128,
            1 => 127,
            _ => next() as i8,
        })
        .collect()
}

fn bias(len: usize, seed: &mut u64) -> Vec<i32> {
    bytes(len, seed)
        .iter()
        .map(|&b| i32::from(b) * 1000)
        .collect()
}

fn multipliers(len: usize, seed: &mut u64) -> Vec<f32> {
    (bytes(len, seed).iter())
        .map(|&b| (f32::from(b) + 200.0) * 3e-6)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 256 }))]

    #[test]
    fn windows_are_multiplied_exactly(
        seed: u64,
        [out_h, out_w] in [1usize..4, 1..20],
        [kernel_h, stride, fours] in [1usize..4, 1..3, 1..6],
        outputs in 1usize..90,
        with_offset: bool,
        (low, high, zero_point) in (-128i32..=0, 1i32..=127, -128i32..=127),
    ) {
        let mut seed = seed;
        // Windows as wide as one pixel of `4 · fours` channels, in rows just long enough.
        let k = fours * 4;
        let row = ((out_w - 1) * stride + 1) * k;
        let rows = (out_h - 1) * stride + kernel_h;
        let x = bytes(rows * row, &mut seed);
        let weights = bytes(outputs * kernel_h * k, &mut seed);
        let (bias, multipliers) = (bias(outputs, &mut seed), multipliers(outputs, &mut seed));
        let dense = Target::X86_64.dense();
        let packed = dense.pack(&weights, kernel_h * k);
        let folded = dense.fold_bias(&weights, kernel_h * k, &bias);
        let requantize = Requantize::new(low, high, zero_point);
        let mut expected = Vec::new();
        for (oy, ox) in (0..out_h).flat_map(|y| (0..out_w).map(move |x| (y, x))) {
            for o in 0..outputs {
                let mut acc = bias[o];
                for (ky, c) in (0..kernel_h).flat_map(|ky| (0..k).map(move |c| (ky, c))) {
                    let x = x[(oy * stride + ky) * row + ox * stride * k + c];
                    acc += i32::from(x) * i32::from(weights[(o * kernel_h + ky) * k + c]);
                }
                expected.push(requantize.accumulator(acc, multipliers[o]));
            }
        }
        let flipped: Vec<i8> = x.iter().map(|x| x ^ -128).collect();
        let windows = Windows {
            x: if with_offset { &flipped } else { &x },
            with_offset,
            pixels: 0..out_h * out_w,
            width: out_w,
            row_step: stride * row,
            pixel_step: stride * k,
            runs: kernel_h,
            run: k,
            run_step: row,
        };
        let linear = Linear {
            weights: &packed,
            bias: &folded,
            multipliers: &multipliers,
            weight_zero_point: 0,
            requantize,
        };
        for (isa, _) in sets().into_iter().filter(|set| set.1) {
            let mut y = std::vec![0; expected.len()];
            let done = match isa {
                Isa::Avx512 => Avx512::windows(&windows, &linear, &mut y, outputs),
                Isa::Avx2 => Avx2::windows(&windows, &linear, &mut y, outputs),
                _ => Sse2::windows(&windows, &linear, &mut y, outputs),
            };
            prop_assert_eq!(done, Some(()));
            prop_assert_eq!(&y, &expected, "{:?}", isa);
        }
    }

    #[test]
    fn rows_are_corrected_for_the_zero_point_of_weights(
        seed: u64,
        count in 1usize..9,
        fours in 1usize..20,
        outputs in 1usize..40,
    ) {
        let (mut seed, k) = (seed, fours * 4);
        let x = bytes(count * k, &mut seed);
        let weights = bytes(outputs * k, &mut seed);
        let corrections = bias(count, &mut seed);
        let (bias, multipliers) = (bias(outputs, &mut seed), multipliers(outputs, &mut seed));
        let dense = Target::X86_64.dense();
        let packed = dense.pack(&weights, k);
        let folded = dense.fold_bias(&weights, k, &bias);
        let requantize = Requantize::new(-128, 127, 3);
        let linear = Linear {
            weights: &packed,
            bias: &folded,
            multipliers: &multipliers,
            weight_zero_point: 1,
            requantize,
        };
        let mut expected = Vec::new();
        for (p, o) in (0..count).flat_map(|p| (0..outputs).map(move |o| (p, o))) {
            let products = x[p * k..][..k].iter().zip(&weights[o * k..]);
            let sum: i32 = products.map(|(&x, &w)| i32::from(x) * i32::from(w)).sum();
            let acc = bias[o] + sum - corrections[p];
            expected.push(requantize.accumulator(acc, multipliers[o]));
        }
        let rows = Rows { x: &x, stride: k, count, k, corrections: &corrections };
        for (isa, _) in sets().into_iter().filter(|set| set.1) {
            let mut y = std::vec![0; expected.len()];
            let done = match isa {
                Isa::Avx512 => Avx512::dense(rows, &linear, &mut y, outputs),
                Isa::Avx2 => Avx2::dense(rows, &linear, &mut y, outputs),
                _ => Sse2::dense(rows, &linear, &mut y, outputs),
            };
            prop_assert_eq!(done, Some(()));
            prop_assert_eq!(&y, &expected, "{:?}", isa);
        }
    }

    #[test]
    fn depthwise_rows_are_those_of_the_generic_kernel(
        seed: u64,
        [width, channels] in [1usize..20, 1..70],
        [kernel_h, kernel_w, stride, dilation] in [1u32..6, 1..6, 1..4, 1..3],
        pad in 0u32..3,
        missing in 0u32..3,
        input_zero_point in -128i32..=127,
    ) {
        let mut seed = seed;
        let reach = ((kernel_w - 1) * dilation + 1) as usize;
        let padded = width + 2 * pad as usize;
        prop_assume!(padded >= reach);
        let out_w = (padded - reach) / stride as usize + 1;
        let p = Conv {
            kernel_h,
            kernel_w,
            stride_h: 1,
            stride_w: stride,
            dilation_h: 1,
            dilation_w: dilation,
            pad_top: 0,
            pad_left: pad,
            groups: channels as u32,
            weights: 0,
            bias: 0,
            multipliers: 0,
            input_zero_point,
            zero_point: 5,
            low: -120,
            high: 100,
            weight_zero_point: 0,
        };
        let x = bytes(kernel_h as usize * width * channels, &mut seed);
        let weights = bytes((kernel_h * kernel_w) as usize * channels, &mut seed);
        let (bias, multipliers) = (bias(channels, &mut seed), multipliers(channels, &mut seed));
        let under = |ky: u32| {
            (ky >= missing).then(|| &x[ky as usize * width * channels..][..width * channels])
        };
        let row = DepthwiseRow {
            first: true,
            rows: &under,
            parameters: &p,
            width: width as u32,
            channels,
            outputs: channels,
            linear: Linear {
                weights: &weights,
                bias: &bias,
                multipliers: &multipliers,
                weight_zero_point: 0,
                requantize: Requantize::new(p.low, p.high, p.zero_point),
            },
        };
        let mut expected = std::vec![0; out_w * channels];
        prop_assert_eq!(generic::depthwise_row(&row, &mut expected), Some(()));
        let need = Target::X86_64.depthwise_scratch_bytes(&p, width, channels).unwrap();
        let mut scratch: Vec<u128> = std::vec![u128::MAX; need.div_ceil(16)];
        let scratch: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut scratch)[..need];
        for (isa, _) in sets().into_iter().filter(|set| set.1) {
            let mut y = std::vec![0; expected.len()];
            prop_assert_eq!(Sse2::depthwise_start(&row, scratch), Some(()));
            let done = match isa {
                Isa::Avx512 => Avx512::depthwise(&row, scratch, &mut y),
                Isa::Avx2 => Avx2::depthwise(&row, scratch, &mut y),
                _ => Sse2::depthwise(&row, scratch, &mut y),
            };
            prop_assert_eq!(done, Some(()));
            prop_assert_eq!(&y, &expected, "{:?}", isa);
        }
    }

    #[test]
    fn sums_are_those_of_the_portable_loop(
        seed: u64,
        len in 0usize..200,
        [ratio_a, ratio_b, fixed] in [-3.0f32..3.0, -3.0..3.0, -300.0..300.0],
        [bias_a, bias_b, bias_y] in [0i32..2, 0..2, 0..2],
    ) {
        let mut seed = seed;
        let sum = Sum::new(&Add {
            ratio_a,
            ratio_b,
            fixed,
            bias_a: bias_a * 128,
            bias_b: bias_b * 128,
            bias_y: bias_y * 128,
            low: -128,
            high: 100,
        });
        let (a, b) = (bytes(len, &mut seed), bytes(len, &mut seed));
        let mut expected = std::vec![0; len];
        sum.run(&mut expected, &a, &b);
        for (isa, _) in sets().into_iter().filter(|set| set.1) {
            let mut y = std::vec![0; len];
            super::add(isa, &sum, &mut y, &a, &b);
            prop_assert_eq!(&y, &expected, "{:?}", isa);
        }
    }
}

/// What clamping and rounding do to sums that leave every range.
#[test]
fn extreme_sums_are_requantized_as_one_by_one() {
    let values = [
        i32::MIN,
        i32::MIN + 1,
        -1_000_000_000,
        -1,
        0,
        1,
        1_000_000_000,
        i32::MAX,
    ];
    for multiplier in [1e30, 1.0, 0.5, 1e-3, 4e-8, 1e-40, -1.0, -1e30] {
        for (low, high, zero_point) in [(-128, 127, 0), (-128, 127, -128), (-3, 5, 127), (7, 7, 7)]
        {
            let requantize = Requantize::new(low, high, zero_point);
            // 64 outputs without products: the accumulators are the biases.
            let bias: Vec<i32> = values.iter().copied().cycle().take(64).collect();
            let multipliers = [multiplier; 64];
            let linear = Linear {
                weights: &[0; 4 * 64],
                bias: &bias,
                multipliers: &multipliers,
                weight_zero_point: 0,
                requantize,
            };
            let rows = Rows {
                x: &[0; 4],
                stride: 4,
                count: 1,
                k: 4,
                corrections: &[],
            };
            let expected: Vec<i8> = (bias.iter())
                .map(|&acc| requantize.accumulator(acc, multiplier))
                .collect();
            for (isa, _) in sets().into_iter().filter(|set| set.1) {
                let mut y = [0; 64];
                let done = match isa {
                    Isa::Avx512 => Avx512::dense(rows, &linear, &mut y, 64),
                    Isa::Avx2 => Avx2::dense(rows, &linear, &mut y, 64),
                    _ => Sse2::dense(rows, &linear, &mut y, 64),
                };
                assert_eq!(done, Some(()));
                assert_eq!(
                    y[..],
                    expected,
                    "{isa:?} {multiplier} {low} {high} {zero_point}"
                );
            }
        }
    }
}
