//! SSE2: bytes are widened, so that `pmaddwd` sums two products without saturation; each
//! output has two partial sums in neighbouring lanes until the end.

use super::depthwise::Depthwise;
use super::tiles::{self, BLOCK, Fours, Starts};
use crate::kernels::{Linear, Windows};
use bytemuck::cast;
use core::arch::x86_64::*;

/// Partial sums of half a block of outputs.
type Sums = [__m128i; 4];

/// What turns accumulators into outputs.
#[derive(Clone, Copy)]
struct Finish {
    low: __m128,
    high: __m128,
    zero_point: __m128i,
}

#[target_feature(enable = "sse2")]
fn finish(linear: &Linear<'_>) -> Finish {
    let (low, high, zero_point) = linear.requantize.parts();
    Finish {
        low: _mm_set1_ps(low),
        high: _mm_set1_ps(high),
        zero_point: _mm_set1_epi32(zero_point),
    }
}

/// [`Requantize::accumulator`](crate::numerics::Requantize::accumulator) of the sums plus
/// `bias`: clamping leaves numbers that `cvtps` rounds half to even, and a NaN, were there
/// one, becomes the lower bound here as there.
#[target_feature(enable = "sse2")]
#[inline]
fn requantize(
    finish: &Finish,
    [a, b, c, d]: Sums,
    bias: [__m128i; 2],
    multipliers: [__m128; 2],
) -> [i8; 8] {
    let mut rounded = [_mm_setzero_si128(); 2];
    for (h, (a, b)) in [(a, b), (c, d)].into_iter().enumerate() {
        let (a, b) = (_mm_castsi128_ps(a), _mm_castsi128_ps(b));
        let even = _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(a, b));
        let odd = _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(a, b));
        let acc = _mm_add_epi32(_mm_add_epi32(even, odd), bias[h]);
        let value = _mm_mul_ps(_mm_cvtepi32_ps(acc), multipliers[h]);
        let value = _mm_min_ps(_mm_max_ps(value, finish.low), finish.high);
        rounded[h] = _mm_add_epi32(_mm_cvtps_epi32(value), finish.zero_point);
    }
    // Nothing saturates: outputs are within the bounds of a byte.
    let words = _mm_packs_epi32(rounded[0], rounded[1]);
    let [values, _]: [[i8; 8]; 2] = cast(_mm_packs_epi16(words, words));
    values
}

/// The weights of half a block, widened.
#[target_feature(enable = "sse2")]
#[inline]
fn widen(w: [__m128i; 2]) -> Sums {
    let [a, b] = w;
    [
        _mm_srai_epi16::<8>(_mm_unpacklo_epi8(a, a)),
        _mm_srai_epi16::<8>(_mm_unpackhi_epi8(a, a)),
        _mm_srai_epi16::<8>(_mm_unpacklo_epi8(b, b)),
        _mm_srai_epi16::<8>(_mm_unpackhi_epi8(b, b)),
    ]
}

/// All outputs of all windows, in tiles that keep the accumulators in registers.
#[target_feature(enable = "sse2")]
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
        for half in 0..2 {
            let mut starts = Starts::new(windows)?;
            let count = windows.pixels.len();
            for pixel in (0..count / 2).map(|pair| pair * 2) {
                layer.tile::<2>(half, pixel, starts.next())?;
            }
            if count % 2 == 1 {
                layer.tile::<1>(half, count - 1, starts.next())?;
            }
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
    /// Half of the outputs of `P` pixels, as many as registers hold.
    #[target_feature(enable = "sse2")]
    fn tile<const P: usize>(
        &mut self,
        half: usize,
        pixel: usize,
        starts: [usize; P],
    ) -> Option<()> {
        let mut acc = [[_mm_setzero_si128(); 4]; P];
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
                let halves: [[__m128i; 2]; 2] = cast(*w);
                let w = widen(halves[half]);
                for (acc, x) in acc.iter_mut().zip(xs) {
                    let x = (u32::from_ne_bytes(x[j]) ^ flip).cast_signed();
                    let x = _mm_unpacklo_epi8(_mm_set1_epi32(x), _mm_setzero_si128());
                    for (acc, w) in acc.iter_mut().zip(w) {
                        *acc = _mm_add_epi32(*acc, _mm_madd_epi16(x, w));
                    }
                }
            }
        }
        let corrections: [i32; P] = tiles::corrections(self.corrections, pixel);
        let output = self.output + half * 8;
        let room = self.linear.bias.len().saturating_sub(output);
        let [bias, _]: [[__m128i; 2]; 2] = cast(tiles::sixteen(self.linear.bias, output));
        let [multipliers, _] = cast(tiles::sixteen(self.linear.multipliers, output));
        for (p, acc) in acc.into_iter().enumerate() {
            let correction = _mm_set1_epi32(corrections[p]);
            let [low, high] = bias;
            let bias = [
                _mm_sub_epi32(low, correction),
                _mm_sub_epi32(high, correction),
            ];
            let values = requantize(&self.finish, acc, bias, multipliers);
            let from = (pixel + p) * self.y_stride + output;
            tiles::write(self.y, from, room, values);
        }
        Some(())
    }
}

/// One row of a depthwise convolution from interleaved columns.
#[target_feature(enable = "sse2")]
pub(super) fn depthwise_row(mut step: Depthwise<'_, '_>, y: &mut [i8]) -> Option<()> {
    step.interleave()?;
    let finish = finish(&step.linear);
    for block in 0..step.blocks {
        let (w, x) = step.block(block)?;
        for half in 0..2 {
            let output = block * BLOCK + half * 8;
            let [bias, _]: [[__m128i; 2]; 2] = cast(tiles::sixteen(step.bias, output));
            let [multipliers, _] = cast(tiles::sixteen(step.linear.multipliers, output));
            let room = step.outputs.saturating_sub(output);
            for (pixel, y) in y.chunks_mut(step.outputs).enumerate() {
                let acc = window(x.get(pixel * step.stride..)?, w, half, &step)?;
                tiles::write(y, output, room, requantize(&finish, acc, bias, multipliers));
            }
        }
    }
    Some(())
}

/// The partial sums of half a block of a window.
#[target_feature(enable = "sse2")]
#[inline]
fn window(mut x: &[Fours], w: &[Fours], half: usize, step: &Depthwise<'_, '_>) -> Option<Sums> {
    let mut acc = [_mm_setzero_si128(); 4];
    let zero = _mm_setzero_si128();
    for w in w.chunks_exact(step.fours.max(1)) {
        for (x, w) in x.get(..step.fours)?.iter().zip(w) {
            let (w, x): ([[__m128i; 2]; 2], [[__m128i; 2]; 2]) = (cast(*w), cast(*x));
            let [a, b] = x[half];
            let x = [
                _mm_unpacklo_epi8(a, zero),
                _mm_unpackhi_epi8(a, zero),
                _mm_unpacklo_epi8(b, zero),
                _mm_unpackhi_epi8(b, zero),
            ];
            for ((acc, w), x) in acc.iter_mut().zip(widen(w[half])).zip(x) {
                *acc = _mm_add_epi32(*acc, _mm_madd_epi16(x, w));
            }
        }
        x = x.get(step.dilation..).unwrap_or(&[]);
    }
    Some(acc)
}
