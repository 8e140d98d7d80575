//! AVX2 without VNNI: bytes are widened, so that `vpmaddwd` sums two products without
//! saturation; each output has two partial sums in neighbouring lanes until the end.

use super::depthwise::Depthwise;
use super::tiles::{self, BLOCK, Fours, Starts};
use crate::kernels::{Linear, Windows, generic};
use bytemuck::cast;
use core::arch::x86_64::*;

/// Partial sums of a block of outputs.
type Sums = [__m256i; 4];

/// Whether this processor has what the functions here are compiled for. Every processor
/// with AVX2 but a few of one maker has fused multiply-adds.
pub(super) fn detected() -> bool {
    detect!("avx2", "fma")
}

/// What turns accumulators into outputs.
#[derive(Clone, Copy)]
struct Finish {
    low: __m256,
    high: __m256,
    zero_point: __m256i,
}

#[target_feature(enable = "avx2")]
fn finish(linear: &Linear<'_>) -> Finish {
    let (low, high, zero_point) = linear.requantize.parts();
    Finish {
        low: _mm256_set1_ps(low),
        high: _mm256_set1_ps(high),
        zero_point: _mm256_set1_epi32(zero_point),
    }
}

/// [`Requantize::accumulator`](crate::numerics::Requantize::accumulator) of the sums plus
/// `bias`: clamping leaves numbers that `cvtps` rounds half to even, and a NaN, were there
/// one, becomes the lower bound here as there.
#[target_feature(enable = "avx2")]
#[inline]
fn requantize(
    finish: &Finish,
    [a, b, c, d]: Sums,
    bias: [__m256i; 2],
    multipliers: [__m256; 2],
) -> [i8; BLOCK] {
    let mut rounded = [_mm256_setzero_si256(); 2];
    let halves = [_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d)];
    for (h, rounded) in rounded.iter_mut().enumerate() {
        let acc = _mm256_permute4x64_epi64::<0b11_01_10_00>(halves[h]);
        let acc = _mm256_add_epi32(acc, bias[h]);
        let value = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), multipliers[h]);
        let value = _mm256_min_ps(_mm256_max_ps(value, finish.low), finish.high);
        *rounded = _mm256_add_epi32(_mm256_cvtps_epi32(value), finish.zero_point);
    }
    narrow(rounded)
}

/// Outputs as bytes. Nothing saturates: they are within the bounds of a byte.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn narrow([low, high]: [__m256i; 2]) -> [i8; BLOCK] {
    let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
    let (low, high) = (
        _mm256_castsi256_si128(words),
        _mm256_extracti128_si256::<1>(words),
    );
    cast(_mm_packs_epi16(low, high))
}

/// The portable loop, eight at a time.
#[target_feature(enable = "avx2")]
pub(super) fn accumulate(acc: &mut [i32], x: &[i8]) {
    generic::accumulate(acc, x);
}

/// Four activations, as they lie or with the offset, in every lane of 64 bits as words.
#[target_feature(enable = "avx2")]
#[inline]
fn broadcast(x: [u8; 4], flip: u32) -> __m256i {
    let x = _mm_cvtsi32_si128((u32::from_ne_bytes(x) ^ flip).cast_signed());
    _mm256_broadcastq_epi64(_mm_cvtepu8_epi16(x))
}

/// The weights of a block, widened.
#[target_feature(enable = "avx2")]
#[inline]
fn widen(w: &Fours) -> Sums {
    let quarters: [__m128i; 4] = cast(*w);
    [
        _mm256_cvtepi8_epi16(quarters[0]),
        _mm256_cvtepi8_epi16(quarters[1]),
        _mm256_cvtepi8_epi16(quarters[2]),
        _mm256_cvtepi8_epi16(quarters[3]),
    ]
}

/// All outputs of all windows, in tiles that keep the accumulators in registers.
#[target_feature(enable = "avx2")]
pub(super) fn multiply(
    windows: &Windows<'_>,
    corrections: &[i32],
    linear: &Linear<'_>,
    y: &mut [i8],
    y_stride: usize,
) -> Option<()> {
    let fours = windows.runs.checked_mul(windows.run / 4)?;
    let finish = finish(linear);
    let weights = tiles::weights(linear).chunks_exact(fours.max(1));
    for (block, weights) in weights.enumerate() {
        let mut layer = Block {
            windows,
            corrections,
            linear,
            weights,
            finish,
            y: &mut *y,
            y_stride,
            output: block * BLOCK,
        };
        let mut starts = Starts::new(windows)?;
        let count = windows.pixels.len();
        for pixel in (0..count / 2).map(|pair| pair * 2) {
            layer.tile::<2>(pixel, starts.next())?;
        }
        if count % 2 == 1 {
            layer.tile::<1>(count - 1, starts.next())?;
        }
    }
    Some(())
}

struct Block<'a, 'b> {
    windows: &'b Windows<'a>,
    corrections: &'b [i32],
    linear: &'b Linear<'a>,
    /// Of this block.
    weights: &'a [Fours],
    finish: Finish,
    y: &'b mut [i8],
    y_stride: usize,
    /// Its first output.
    output: usize,
}

impl Block<'_, '_> {
    #[target_feature(enable = "avx2")]
    fn tile<const P: usize>(&mut self, pixel: usize, starts: [usize; P]) -> Option<()> {
        let mut acc = [[_mm256_setzero_si256(); 4]; P];
        let flip = match self.windows.with_offset {
            true => 0,
            false => 0x8080_8080,
        };
        let n = self.windows.run / 4;
        for (run, ws) in self.weights.chunks_exact(n.max(1)).enumerate() {
            let at = run * self.windows.run_step;
            let mut xs: [&[[u8; 4]]; P] = [&[]; P];
            for (x, start) in xs.iter_mut().zip(starts) {
                let bytes = bytemuck::cast_slice(self.windows.x.get(start + at..)?);
                *x = bytes.as_chunks().0.get(..n)?;
            }
            for (j, w) in ws.iter().enumerate() {
                let w = widen(w);
                for (acc, x) in acc.iter_mut().zip(xs) {
                    let x = broadcast(x[j], flip);
                    for (acc, w) in acc.iter_mut().zip(w) {
                        *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(x, w));
                    }
                }
            }
        }
        let corrections: [i32; P] = tiles::corrections(self.corrections, pixel);
        let room = self.linear.bias.len().saturating_sub(self.output);
        let bias: [__m256i; 2] = cast(tiles::sixteen(self.linear.bias, self.output));
        let multipliers = cast(tiles::sixteen(self.linear.multipliers, self.output));
        for (p, acc) in acc.into_iter().enumerate() {
            let correction = _mm256_set1_epi32(corrections[p]);
            let [low, high] = bias;
            let bias = [
                _mm256_sub_epi32(low, correction),
                _mm256_sub_epi32(high, correction),
            ];
            let values = requantize(&self.finish, acc, bias, multipliers);
            let from = (pixel + p) * self.y_stride + self.output;
            tiles::write(self.y, from, room, values);
        }
        Some(())
    }
}

/// One row of a depthwise convolution from interleaved columns.
#[target_feature(enable = "avx2")]
pub(super) fn depthwise_row(mut step: Depthwise<'_, '_>, y: &mut [i8]) -> Option<()> {
    step.interleave()?;
    let finish = finish(&step.linear);
    for block in 0..step.blocks {
        let (w, x) = step.block(block)?;
        let output = block * BLOCK;
        let bias = cast(tiles::sixteen(step.bias, output));
        let multipliers = cast(tiles::sixteen(step.linear.multipliers, output));
        let room = step.outputs - output;
        for (pixel, y) in y.chunks_mut(step.outputs).enumerate() {
            let acc = window(x.get(pixel * step.stride..)?, w, &step)?;
            tiles::write(y, output, room, requantize(&finish, acc, bias, multipliers));
        }
    }
    Some(())
}

/// The partial sums of a window.
#[target_feature(enable = "avx2")]
#[inline]
fn window(mut x: &[Fours], w: &[Fours], step: &Depthwise<'_, '_>) -> Option<Sums> {
    let mut acc = [_mm256_setzero_si256(); 4];
    for w in w.chunks_exact(step.fours.max(1)) {
        for (x, w) in x.get(..step.fours)?.iter().zip(w) {
            let (w, x): (_, [__m128i; 4]) = (widen(w), cast(*x));
            for ((acc, w), x) in acc.iter_mut().zip(w).zip(x) {
                let x = _mm256_cvtepu8_epi16(x);
                *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(x, w));
            }
        }
        x = x.get(step.dilation..).unwrap_or(&[]);
    }
    Some(acc)
}
