//! Matrix products: up to four pixels by sixteen outputs at a time.

use super::sdot::sdot_lane;
use crate::kernels::neon::{Finish, f32x16, i8x16, i32x16, padded, pixels, store_strip};
use crate::kernels::{Linear, Rows};
use core::arch::aarch64::*;

/// Outputs whose weights are interleaved.
const BLOCK: usize = 8;
/// Bytes of a block for sixteen activations.
const CHUNK: usize = 16 * BLOCK;

#[target_feature(enable = "neon")]
pub(super) fn dense(
    rows: Rows<'_, i8>,
    linear: &Linear<'_>,
    y: &mut [i8],
    y_stride: usize,
) -> Option<()> {
    if rows.count == 0 {
        return None;
    }
    let outputs = linear.bias.len();
    let block = rows.k.checked_mul(BLOCK)?;
    let finish = Finish::new(linear.requantize);
    let mut weights = linear.weights;
    let mut first = 0;
    while first < outputs {
        let bias = i32x16(padded(linear.bias, first));
        let multipliers = f32x16(padded(linear.multipliers, first));
        let (w0, rest) = weights.split_at_checked(block)?;
        // The last eight outputs may be alone; they are computed twice.
        let (w1, rest) = rest.split_at_checked(block).unwrap_or((w0, rest));
        weights = rest;
        let strip = Strip {
            w: [w0, w1],
            bias,
            multipliers,
            finish,
        };
        let room = 16.min(outputs - first);
        let (mut x, mut y) = (rows.x, y.get_mut(first..)?);
        let mut pixel = 0;
        while rows.count - pixel >= 4 {
            strip.run::<4>(&rows, pixel, x, y, y_stride, room)?;
            // There may be nothing behind the last.
            x = x.get(4 * rows.stride..).unwrap_or(&[]);
            y = y.get_mut(4 * y_stride..).unwrap_or(&mut []);
            pixel += 4;
        }
        match rows.count - pixel {
            1 => strip.run::<1>(&rows, pixel, x, y, y_stride, room)?,
            2 => strip.run::<2>(&rows, pixel, x, y, y_stride, room)?,
            3 => strip.run::<3>(&rows, pixel, x, y, y_stride, room)?,
            _ => (),
        }
        first += 16;
    }
    Some(())
}

/// Sixteen outputs, of which the last may be absent.
struct Strip<'a> {
    /// Weights of two blocks.
    w: [&'a [i8]; 2],
    bias: [int32x4_t; 4],
    multipliers: [float32x4_t; 4],
    finish: Finish,
}

impl Strip<'_> {
    /// The outputs of `P` pixels from `pixel` on, which begin with `x` and `y`.
    #[inline]
    #[target_feature(enable = "neon")]
    fn run<const P: usize>(
        &self,
        rows: &Rows<'_, i8>,
        pixel: usize,
        x: &[i8],
        y: &mut [i8],
        y_stride: usize,
        room: usize,
    ) -> Option<()> {
        let x = pixels::<P>(x, rows.stride, rows.k)?;
        let mut acc = [self.bias; P];
        if !rows.corrections.is_empty() {
            for (p, acc) in acc.iter_mut().enumerate() {
                let correction = vdupq_n_s32(rows.correction(pixel + p));
                *acc = acc.map(|acc| vsubq_s32(acc, correction));
            }
        }
        self.multiply(x, &mut acc, rows.k)?;
        let mut values = [vdupq_n_s8(0); P];
        for (values, acc) in values.iter_mut().zip(acc) {
            *values = self.finish.sixteen(acc, self.multipliers);
        }
        store_strip(y, y_stride, room, values)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn multiply<const P: usize>(
        &self,
        x: [&[i8]; P],
        acc: &mut [[int32x4_t; 4]; P],
        k: usize,
    ) -> Option<()> {
        let [w0, w1] = self.w;
        let n = k / 16;
        let w0s = w0.as_chunks::<CHUNK>().0.get(..n)?;
        let w1s = w1.as_chunks::<CHUNK>().0.get(..n)?;
        let mut xs: [&[[i8; 16]]; P] = [&[]; P];
        for (xs, x) in xs.iter_mut().zip(x) {
            *xs = x.as_chunks::<16>().0.get(..n)?;
        }
        for i in 0..n {
            let mut x = [vdupq_n_s8(0); P];
            for (x, xs) in x.iter_mut().zip(xs) {
                *x = i8x16(xs.get(i)?);
            }
            let (w0, w1) = (w0s.get(i)?, w1s.get(i)?);
            let (w0, w1) = (w0.as_chunks::<32>().0, w1.as_chunks::<32>().0);
            let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (w0, w1) else {
                return None;
            };
            four::<P, 0>(acc, a0, b0, x);
            four::<P, 1>(acc, a1, b1, x);
            four::<P, 2>(acc, a2, b2, x);
            four::<P, 3>(acc, a3, b3, x);
        }
        let rest = n * 16;
        let w0s = w0.as_chunks::<32>().0.iter().skip(4 * n);
        let w1s = w1.as_chunks::<32>().0.iter().skip(4 * n);
        for (i, (w0, w1)) in w0s.zip(w1s).enumerate() {
            let mut four_x = [vdupq_n_s8(0); P];
            for (to, x) in four_x.iter_mut().zip(x) {
                let x = x.get(rest + 4 * i..)?.first_chunk::<4>()?;
                *to = vreinterpretq_s8_s32(vdupq_n_s32(i32::from_le_bytes(bytemuck::cast(*x))));
            }
            four::<P, 0>(acc, w0, w1, four_x);
        }
        Some(())
    }
}

/// Four activations of each pixel, in `LANE`, times those of sixteen outputs.
#[inline]
#[target_feature(enable = "neon")]
fn four<const P: usize, const LANE: usize>(
    acc: &mut [[int32x4_t; 4]; P],
    w0: &[i8; 32],
    w1: &[i8; 32],
    x: [int8x16_t; P],
) {
    let ([w0, w1], [w2, w3]): ([int8x16_t; 2], [int8x16_t; 2]) =
        (bytemuck::cast(*w0), bytemuck::cast(*w1));
    for (acc, x) in acc.iter_mut().zip(x) {
        let [a, b, c, d] = *acc;
        *acc = [
            sdot_lane::<LANE>(a, w0, x),
            sdot_lane::<LANE>(b, w1, x),
            sdot_lane::<LANE>(c, w2, x),
            sdot_lane::<LANE>(d, w3, x),
        ];
    }
}
