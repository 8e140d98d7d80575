//! Matrix products: up to six pixels by eight or sixteen outputs at a time.

use super::sdot::sdot_lane;
use super::strip::{self, Strip as Whole};
use crate::kernels::neon::{
    Finish, f32x16, i8x16, i32x16, padded, pixels, store_strip, store_strip8,
};
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
    let whole = outputs / strip::OUTPUTS;
    if whole > 0 && rows.count >= strip::PIXELS && rows.corrections.is_empty() {
        let all = Whole {
            rows: &[rows.x],
            run: rows.k,
            step: rows.stride,
            count: rows.count,
            weights,
            bias: linear.bias.as_chunks().0,
            multipliers: linear.multipliers.as_chunks().0,
            requantize: linear.requantize,
        };
        all.outputs(y, y_stride)?;
        first = whole * strip::OUTPUTS;
        weights = weights.get(2 * whole * block..)?;
    } else if rows.count == 1 {
        // One row, as fully connected layers have it: little but the weights.
        let ys = y.get_mut(..outputs)?.as_chunks_mut::<16>().0;
        let biases = linear.bias.as_chunks::<16>().0;
        let multipliers = linear.multipliers.as_chunks::<16>().0;
        for ((y, bias), multipliers) in ys.iter_mut().zip(biases).zip(multipliers) {
            let (w, rest) = weights.split_at_checked(2 * block)?;
            let (w0, w1) = w.split_at_checked(block)?;
            weights = rest;
            let strip = Strip::<4> {
                w: [w0, w1],
                bias: i32x16(*bias),
                multipliers: f32x16(*multipliers),
                finish,
                room: 16,
            };
            strip.run::<1>(&rows, 0, rows.x, y, 16)?;
        }
        first = outputs / 16 * 16;
    }
    while first < outputs {
        let (w0, rest) = weights.split_at_checked(block)?;
        let y = y.get_mut(first..)?;
        if outputs - first > BLOCK {
            let (w1, rest) = rest.split_at_checked(block)?;
            weights = rest;
            Strip::<4>::new(linear, first, [w0, w1], finish)?.pixels(&rows, y, y_stride)?;
            first += 2 * BLOCK;
        } else {
            weights = rest;
            Strip::<2>::new(linear, first, [w0, w0], finish)?.pixels(&rows, y, y_stride)?;
            first += BLOCK;
        }
    }
    Some(())
}

/// `V` vectors of four outputs, of which the last may be absent.
struct Strip<'a, const V: usize> {
    /// Weights of two blocks; where there is one, it stands for both.
    w: [&'a [i8]; 2],
    bias: [int32x4_t; V],
    multipliers: [float32x4_t; V],
    finish: Finish,
    /// Outputs that are there.
    room: usize,
}

impl<'a, const V: usize> Strip<'a, V> {
    #[inline]
    #[target_feature(enable = "neon")]
    fn new(linear: &Linear<'_>, first: usize, w: [&'a [i8]; 2], finish: Finish) -> Option<Self> {
        Some(Strip {
            w,
            bias: *i32x16(padded(linear.bias, first)).first_chunk()?,
            multipliers: *f32x16(padded(linear.multipliers, first)).first_chunk()?,
            finish,
            room: linear.bias.len().checked_sub(first)?.min(4 * V),
        })
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn pixels(&self, rows: &Rows<'_, i8>, mut y: &mut [i8], y_stride: usize) -> Option<()> {
        let mut x = rows.x;
        let mut pixel = 0;
        while rows.count - pixel >= 6 {
            self.run::<6>(rows, pixel, x, y, y_stride)?;
            // There may be nothing behind the last.
            x = x.get(6 * rows.stride..).unwrap_or(&[]);
            y = y.get_mut(6 * y_stride..).unwrap_or(&mut []);
            pixel += 6;
        }
        match rows.count - pixel {
            1 => self.run::<1>(rows, pixel, x, y, y_stride),
            2 => self.run::<2>(rows, pixel, x, y, y_stride),
            3 => self.run::<3>(rows, pixel, x, y, y_stride),
            4 => self.run::<4>(rows, pixel, x, y, y_stride),
            5 => {
                self.run::<3>(rows, pixel, x, y, y_stride)?;
                x = x.get(3 * rows.stride..)?;
                self.run::<2>(rows, pixel + 3, x, y.get_mut(3 * y_stride..)?, y_stride)
            }
            _ => Some(()),
        }
    }

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
        if let [a, b, c, d] = *self.multipliers.as_slice() {
            let mut values = [vdupq_n_s8(0); P];
            for (values, acc) in values.iter_mut().zip(acc) {
                *values = self.finish.sixteen(*acc.first_chunk()?, [a, b, c, d]);
            }
            return store_strip(y, y_stride, self.room, values);
        }
        let multipliers = *self.multipliers.first_chunk()?;
        let mut values = [vdup_n_s8(0); P];
        for (values, acc) in values.iter_mut().zip(acc) {
            *values = self.finish.eight(*acc.first_chunk()?, multipliers);
        }
        store_strip8(y, y_stride, self.room, values)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn multiply<const P: usize>(
        &self,
        x: [&[i8]; P],
        acc: &mut [[int32x4_t; V]; P],
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
            four::<P, 0, V>(acc, a0, b0, x);
            four::<P, 1, V>(acc, a1, b1, x);
            four::<P, 2, V>(acc, a2, b2, x);
            four::<P, 3, V>(acc, a3, b3, x);
        }
        let w0s = w0.as_chunks::<32>().0.get(4 * n..)?;
        let w1s = w1.as_chunks::<32>().0.get(4 * n..)?;
        if w0s.is_empty() || w1s.is_empty() {
            return Some(());
        }
        // What is left are at most three times four, in the last sixteen.
        let mut last = [vdupq_n_s8(0); P];
        for (last, x) in last.iter_mut().zip(x) {
            *last = match x.last_chunk::<16>() {
                Some(x) => i8x16(x),
                None => aligned_to_end(x),
            };
        }
        match (w0s, w1s) {
            ([a], [b]) => four::<P, 3, V>(acc, a, b, last),
            ([a0, a1], [b0, b1]) => {
                four::<P, 2, V>(acc, a0, b0, last);
                four::<P, 3, V>(acc, a1, b1, last);
            }
            ([a0, a1, a2], [b0, b1, b2]) => {
                four::<P, 1, V>(acc, a0, b0, last);
                four::<P, 2, V>(acc, a1, b1, last);
                four::<P, 3, V>(acc, a2, b2, last);
            }
            _ => return None,
        }
        Some(())
    }
}

/// Four, eight, or twelve values at the end of a vector.
#[inline]
#[target_feature(enable = "neon")]
fn aligned_to_end(x: &[i8]) -> int8x16_t {
    let four = |x: Option<&[i8; 4]>| {
        let x = x.map_or(0, |x| u32::from_le_bytes(bytemuck::cast(*x)));
        vcreate_s8(u64::from(x) << 32)
    };
    match x.last_chunk::<8>() {
        Some(last) => {
            let before = x.get(..x.len() - 8).unwrap_or(&[]);
            vcombine_s8(four(before.last_chunk()), bytemuck::cast(*last))
        }
        None => vcombine_s8(vcreate_s8(0), four(x.last_chunk())),
    }
}

/// Four activations of each pixel, in `LANE`, times the weights of `V` times four outputs.
#[inline]
#[target_feature(enable = "neon")]
fn four<const P: usize, const LANE: usize, const V: usize>(
    acc: &mut [[int32x4_t; V]; P],
    w0: &[i8; 32],
    w1: &[i8; 32],
    x: [int8x16_t; P],
) {
    let ([w0, w1], [w2, w3]): ([int8x16_t; 2], [int8x16_t; 2]) =
        (bytemuck::cast(*w0), bytemuck::cast(*w1));
    // Weight by weight, so that few of them are in registers at a time.
    for (o, w) in [w0, w1, w2, w3].into_iter().take(V).enumerate() {
        for (acc, x) in acc.iter_mut().zip(x) {
            if let Some(acc) = acc.get_mut(o) {
                *acc = sdot_lane::<LANE>(*acc, w, x);
            }
        }
    }
}
