//! AVX-512 with VNNI: sixteen outputs of four activations in one instruction.

use super::depthwise::Depthwise;
use super::tiles::{self, BLOCK, Fours, Starts};
use crate::kernels::{Linear, Windows};
use bytemuck::cast;
use core::arch::x86_64::*;

/// Whether this processor has what the functions here are compiled for.
pub(super) fn detected() -> bool {
    detect!("avx512f", "avx512bw", "avx512vl", "avx512vnni")
}

/// What turns sixteen accumulators into outputs.
#[derive(Clone, Copy)]
struct Finish {
    low: __m512,
    high: __m512,
    zero_point: __m512i,
    zero_point_words: __m512i,
    /// The lowest output.
    lowest: __m512i,
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn finish(linear: &Linear<'_>) -> Finish {
    let (low, high, zero_point) = linear.requantize.parts();
    Finish {
        low: _mm512_set1_ps(low),
        high: _mm512_set1_ps(high),
        zero_point: _mm512_set1_epi32(zero_point),
        // Bounds and zero point are whole and small.
        zero_point_words: _mm512_set1_epi16(zero_point as i16),
        lowest: _mm512_set1_epi8((low as i32).wrapping_add(zero_point) as i8),
    }
}

/// [`Requantize::accumulator`](crate::numerics::Requantize::accumulator): clamping leaves
/// numbers that `cvtps` rounds half to even, and a NaN, were there one, becomes the lower
/// bound here as there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn requantize(finish: &Finish, acc: __m512i, multipliers: __m512) -> [i8; BLOCK] {
    let value = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), multipliers);
    let value = _mm512_min_ps(_mm512_max_ps(value, finish.low), finish.high);
    let rounded = _mm512_add_epi32(_mm512_cvtps_epi32(value), finish.zero_point);
    cast(_mm512_cvtepi32_epi8(rounded))
}

/// The same of four vectors, with the lower bound applied last: what is far below it becomes
/// the least number or saturates on the way, and is raised in the end.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn requantize_four(finish: &Finish, acc: [__m512i; 4], multipliers: [__m512; 4]) -> Fours {
    let mut rounded = [_mm512_setzero_si512(); 4];
    for ((rounded, acc), multipliers) in rounded.iter_mut().zip(acc).zip(multipliers) {
        let value = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), multipliers);
        *rounded = _mm512_cvtps_epi32(_mm512_min_ps(value, finish.high));
    }
    let [a, b, c, d] = rounded;
    let ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), finish.zero_point_words);
    let cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), finish.zero_point_words);
    let bytes = _mm512_max_epi8(_mm512_packs_epi16(ab, cd), finish.lowest);
    // Packing works within lanes of 128 bits: four outputs of each vector stand together.
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    cast(_mm512_permutexvar_epi32(order, bytes))
}

/// All outputs of all windows, in tiles that keep the accumulators in registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn multiply(
    windows: &Windows<'_>,
    corrections: &[i32],
    linear: &Linear<'_>,
    y: &mut [i8],
    y_stride: usize,
) -> Option<()> {
    let fours = windows.runs.checked_mul(windows.run / 4)?;
    let mut layer = Layer {
        windows,
        corrections,
        linear,
        weights: tiles::weights(linear),
        fours,
        finish: finish(linear),
        // Were its value seen, it would be applied before broadcasting, which then takes
        // what multiplying needs.
        sign: core::hint::black_box(_mm512_set1_epi8(-128)),
        y,
        y_stride,
        output: 0,
    };
    while layer.output < linear.bias.len() {
        match linear.bias.len() - layer.output {
            33.. => {
                layer.blocks::<4, 4>()?;
                layer.output += 4 * BLOCK;
            }
            17.. => {
                layer.blocks::<8, 2>()?;
                layer.output += 2 * BLOCK;
            }
            _ => {
                layer.blocks::<8, 1>()?;
                layer.output += BLOCK;
            }
        }
    }
    Some(())
}

struct Layer<'a, 'b> {
    windows: &'b Windows<'a>,
    corrections: &'b [i32],
    linear: &'b Linear<'a>,
    weights: &'a [Fours],
    /// Fours of activations of a window.
    fours: usize,
    finish: Finish,
    /// What turns signed activations into unsigned ones.
    sign: __m512i,
    y: &'b mut [i8],
    y_stride: usize,
    /// The first output of the blocks that are computed.
    output: usize,
}

/// Blocks of outputs that are computed together.
struct Blocks<'a, const B: usize> {
    weights: [&'a [Fours]; B],
    bias: [__m512i; B],
    multipliers: [__m512; B],
}

impl<'a> Layer<'a, '_> {
    /// `B` blocks of outputs of all pixels, `P` at a time.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn blocks<const P: usize, const B: usize>(&mut self) -> Option<()> {
        let mut blocks = Blocks::<B> {
            weights: [&[]; B],
            bias: [_mm512_setzero_si512(); B],
            multipliers: [_mm512_setzero_ps(); B],
        };
        let last = (self.linear.bias.len() - 1) / BLOCK;
        for b in 0..B {
            // Blocks past the last output compute what nobody reads.
            let block = (self.output / BLOCK + b).min(last);
            let weights = self.weights.get(block * self.fours..)?;
            blocks.weights[b] = weights.get(..self.fours)?;
            blocks.bias[b] = cast(tiles::sixteen(self.linear.bias, block * BLOCK));
            blocks.multipliers[b] = cast(tiles::sixteen(self.linear.multipliers, block * BLOCK));
        }
        let mut starts = Starts::new(self.windows)?;
        let count = self.windows.pixels.len();
        let mut pixel = 0;
        while count - pixel >= P {
            self.tile::<P, B>(&blocks, pixel, starts.next())?;
            pixel += P;
        }
        if P > 4 && count - pixel >= 4 {
            self.tile::<4, B>(&blocks, pixel, starts.next())?;
            pixel += 4;
        }
        if P > 2 && count - pixel >= 2 {
            self.tile::<2, B>(&blocks, pixel, starts.next())?;
            pixel += 2;
        }
        if count > pixel {
            self.tile::<1, B>(&blocks, pixel, starts.next())?;
        }
        Some(())
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    fn tile<const P: usize, const B: usize>(
        &mut self,
        blocks: &Blocks<'a, B>,
        pixel: usize,
        starts: [usize; P],
    ) -> Option<()> {
        let mut acc = match self.windows.with_offset {
            true => self.sums::<P, B, false>(blocks, starts)?,
            false => self.sums::<P, B, true>(blocks, starts)?,
        };
        if !self.corrections.is_empty() {
            let corrections: [i32; P] = tiles::corrections(self.corrections, pixel);
            for (acc, correction) in acc.iter_mut().zip(corrections) {
                for acc in acc {
                    *acc = _mm512_sub_epi32(*acc, _mm512_set1_epi32(correction));
                }
            }
        }
        // First all of it, so that what is summed stays in registers until then.
        let mut values = [[[0i8; BLOCK]; B]; P];
        let (fours, rest) = acc.as_flattened().as_chunks::<4>();
        let (to, to_rest) = values.as_flattened_mut().as_chunks_mut::<4>();
        for i in 0..P * B / 4 {
            let mut multipliers = [_mm512_setzero_ps(); 4];
            for (v, multipliers) in multipliers.iter_mut().enumerate() {
                *multipliers = blocks.multipliers[(4 * i + v) % B];
            }
            to[i] = cast(requantize_four(&self.finish, fours[i], multipliers));
        }
        for i in 0..P * B % 4 {
            let multipliers = blocks.multipliers[i % B];
            to_rest[i] = requantize(&self.finish, rest[i], multipliers);
        }
        let outputs = self.linear.bias.len();
        let room = outputs - self.output;
        // Where these are all outputs of a pixel, what is written too much is overwritten by
        // the next one.
        let end = match self.output == 0 && self.y_stride == outputs {
            true => self.windows.pixels.len() * outputs,
            false => 0,
        };
        let mut from = pixel * self.y_stride + self.output;
        for values in &values {
            let y = self.y.get_mut(from..)?;
            if room >= B * BLOCK || from + B * BLOCK <= end {
                y.get_mut(..B * BLOCK)?
                    .copy_from_slice(values.as_flattened());
            } else {
                y.get_mut(..room)?
                    .copy_from_slice(values.as_flattened().get(..room)?);
            }
            from += self.y_stride;
        }
        Some(())
    }

    /// Accumulators of `P` windows.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    fn sums<const P: usize, const B: usize, const SIGNED: bool>(
        &self,
        blocks: &Blocks<'a, B>,
        starts: [usize; P],
    ) -> Option<[[__m512i; B]; P]> {
        let mut acc = [blocks.bias; P];
        let n = self.windows.run / 4;
        for run in 0..self.windows.runs {
            let at = run * self.windows.run_step;
            let mut xs: [&[[u8; 4]]; P] = [&[]; P];
            for p in 0..P {
                let bytes = bytemuck::cast_slice(self.windows.x.get(starts[p] + at..)?);
                xs[p] = bytes.as_chunks().0.get(..n)?;
            }
            let mut ws: [&[Fours]; B] = [&[]; B];
            for (w, weights) in ws.iter_mut().zip(blocks.weights) {
                *w = weights.get(run * n..)?.get(..n)?;
            }
            for j in 0..n {
                let mut w = [_mm512_setzero_si512(); B];
                for b in 0..B {
                    w[b] = cast(ws[b][j]);
                }
                for p in 0..P {
                    let mut x = _mm512_set1_epi32(i32::from_ne_bytes(xs[p][j]));
                    if SIGNED {
                        x = _mm512_xor_si512(x, self.sign);
                    }
                    for b in 0..B {
                        acc[p][b] = _mm512_dpbusd_epi32(acc[p][b], x, w[b]);
                    }
                }
            }
        }
        Some(acc)
    }
}

/// One row of a depthwise convolution from interleaved columns.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn depthwise_row(mut step: Depthwise<'_, '_>, y: &mut [i8]) -> Option<()> {
    step.interleave()?;
    let finish = finish(&step.linear);
    for block in 0..step.blocks {
        let (w, x) = step.block(block)?;
        let output = block * BLOCK;
        let bias = cast(tiles::sixteen(step.bias, output));
        let multipliers = cast(tiles::sixteen(step.linear.multipliers, output));
        let room = step.outputs - output;
        let three_taps = (w.first_chunk())
            .filter(|_: &&[Fours; 3]| step.taps == 3 && step.dilation == 1 && room >= BLOCK);
        let (mut at, mut from) = (0, output);
        if let Some(w) = three_taps {
            let w = cast(*w);
            while from < y.len() {
                let acc = three(bias, x.get(at..)?.first_chunk()?, w);
                *y.get_mut(from..)?.first_chunk_mut()? = requantize(&finish, acc, multipliers);
                (at, from) = (at + step.stride, from + step.outputs);
            }
            continue;
        }
        while from < y.len() {
            let acc = window(bias, x.get(at..)?, w, &step)?;
            tiles::write(y, from, room, requantize(&finish, acc, multipliers));
            (at, from) = (at + step.stride, from + step.outputs);
        }
    }
    Some(())
}

/// The accumulators of three columns side by side, as most kernels have.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn three(acc: __m512i, x: &[Fours; 3], w: [__m512i; 3]) -> __m512i {
    let acc = _mm512_dpbusd_epi32(acc, cast(x[0]), w[0]);
    let acc = _mm512_dpbusd_epi32(acc, cast(x[1]), w[1]);
    _mm512_dpbusd_epi32(acc, cast(x[2]), w[2])
}

/// The accumulators of any window.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn window(
    mut acc: __m512i,
    mut x: &[Fours],
    w: &[Fours],
    step: &Depthwise<'_, '_>,
) -> Option<__m512i> {
    for w in w.chunks_exact(step.fours.max(1)) {
        for (x, w) in x.get(..step.fours)?.iter().zip(w) {
            acc = _mm512_dpbusd_epi32(acc, cast(*x), cast(*w));
        }
        x = x.get(step.dilation..).unwrap_or(&[]);
    }
    Some(acc)
}
