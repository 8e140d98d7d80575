//! Matrix products: two pixels by eight outputs at a time.
//!
//! `SMULL` and `SMLAL2` add two products in each of eight 16-bit lanes, `SADALP` adds
//! pairs of lanes to four 32-bit sums of an output: three instructions for sixteen
//! products. Two products of bytes fit 16 bits unless all four bytes are -128; the packed
//! weights say of each block whether two weights of -128 meet in it.

use crate::kernels::neon::{Finish, i8x16, padded, pixels, store_strip8};
use crate::kernels::{Linear, Rows};
use core::arch::aarch64::*;

/// Outputs whose weights are interleaved.
const BLOCK: usize = 8;
/// Weights of an output that stand together.
const DEPTH: usize = 16;
/// Bytes of a block for sixteen activations.
const CHUNK: usize = DEPTH * BLOCK;
/// Bytes in front of a block.
const HEADER: usize = 16;

#[target_feature(enable = "neon")]
pub(super) fn dense(
    rows: Rows<'_, i8>,
    linear: &Linear<'_>,
    y: &mut [i8],
    y_stride: usize,
) -> Option<()> {
    if rows.k < DEPTH || rows.count == 0 {
        return None;
    }
    let outputs = linear.bias.len();
    let block = rows.k.checked_mul(BLOCK)?.checked_add(HEADER)?;
    let finish = Finish::new(linear.requantize);
    let mut weights = linear.weights;
    let mut first = 0;
    if rows.count == 1 {
        // One row, as fully connected layers have it: little but the weights.
        let ys = y.get_mut(..outputs)?.as_chunks_mut::<BLOCK>().0;
        let biases = linear.bias.as_chunks::<BLOCK>().0;
        let multipliers = linear.multipliers.as_chunks::<BLOCK>().0;
        for ((y, bias), multipliers) in ys.iter_mut().zip(biases).zip(multipliers) {
            let (block, rest) = weights.split_at_checked(block)?;
            weights = rest;
            let (header, w) = block.split_at_checked(HEADER)?;
            let strip = Strip {
                w: w.as_chunks::<CHUNK>().0,
                bias: *bias,
                multipliers: bytemuck::cast(*multipliers),
                finish,
                room: BLOCK,
            };
            match header.first()? {
                0 => strip.run::<1, true>(&rows, 0, rows.x, y, BLOCK)?,
                _ => strip.run::<1, false>(&rows, 0, rows.x, y, BLOCK)?,
            }
        }
        first = outputs / BLOCK * BLOCK;
    }
    while first < outputs {
        let (block, rest) = weights.split_at_checked(block)?;
        weights = rest;
        let (header, w) = block.split_at_checked(HEADER)?;
        let strip = Strip {
            w: w.as_chunks::<CHUNK>().0,
            bias: padded(linear.bias, first),
            multipliers: bytemuck::cast(padded::<f32, 8>(linear.multipliers, first)),
            finish,
            room: BLOCK.min(outputs - first),
        };
        match header.first()? {
            0 => strip.pixels::<true>(&rows, y.get_mut(first..)?, y_stride)?,
            _ => strip.pixels::<false>(&rows, y.get_mut(first..)?, y_stride)?,
        }
        first += BLOCK;
    }
    Some(())
}

/// Eight outputs, of which the last may be absent.
struct Strip<'a> {
    w: &'a [[i8; CHUNK]],
    bias: [i32; BLOCK],
    multipliers: [float32x4_t; 2],
    finish: Finish,
    room: usize,
}

impl Strip<'_> {
    /// The outputs of all pixels. `FIT`: two products fit 16 bits.
    #[inline]
    #[target_feature(enable = "neon")]
    fn pixels<const FIT: bool>(
        &self,
        rows: &Rows<'_, i8>,
        y: &mut [i8],
        y_stride: usize,
    ) -> Option<()> {
        let (mut x, mut y) = (rows.x, y);
        let mut pixel = 0;
        while rows.count - pixel >= 2 {
            self.run::<2, FIT>(rows, pixel, x, y, y_stride)?;
            // There may be nothing behind the last.
            x = x.get(2 * rows.stride..).unwrap_or(&[]);
            y = y.get_mut(2 * y_stride..).unwrap_or(&mut []);
            pixel += 2;
        }
        match rows.count - pixel {
            0 => Some(()),
            _ => self.run::<1, FIT>(rows, pixel, x, y, y_stride),
        }
    }

    /// The outputs of `P` pixels from `pixel` on, which begin with `x` and `y`.
    #[inline]
    #[target_feature(enable = "neon")]
    fn run<const P: usize, const FIT: bool>(
        &self,
        rows: &Rows<'_, i8>,
        pixel: usize,
        x: &[i8],
        y: &mut [i8],
        y_stride: usize,
    ) -> Option<()> {
        let n = self.w.len();
        let mut xs: [&[[i8; DEPTH]]; P] = [&[]; P];
        for (xs, x) in xs.iter_mut().zip(pixels::<P>(x, rows.stride, rows.k)?) {
            *xs = x.as_chunks::<DEPTH>().0.get(..n)?;
        }
        // The first of the four sums of an output begins with its bias.
        let mut acc = [[vdupq_n_s32(0); BLOCK]; P];
        for acc in &mut acc {
            for (acc, &bias) in acc.iter_mut().zip(&self.bias) {
                *acc = vsetq_lane_s32::<0>(bias, vdupq_n_s32(0));
            }
        }
        let ws = self.w;
        for i in 0..n {
            let w: [int8x16_t; BLOCK] = bytemuck::cast(*ws.get(i)?);
            let mut x = [vdupq_n_s8(0); P];
            for (x, xs) in x.iter_mut().zip(xs) {
                *x = i8x16(xs.get(i)?);
            }
            for (o, w) in w.into_iter().enumerate() {
                for (acc, x) in acc.iter_mut().zip(x) {
                    let acc = acc.get_mut(o)?;
                    *acc = sixteen::<FIT>(*acc, x, w);
                }
            }
        }
        let mut values = [vdup_n_s8(0); P];
        for (p, (values, acc)) in values.iter_mut().zip(acc).enumerate() {
            let [a, b, c, d, e, f, g, h] = acc;
            let mut acc = [
                vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)),
                vpaddq_s32(vpaddq_s32(e, f), vpaddq_s32(g, h)),
            ];
            if !rows.corrections.is_empty() {
                let correction = vdupq_n_s32(rows.correction(pixel + p));
                acc = acc.map(|acc| vsubq_s32(acc, correction));
            }
            *values = self.finish.eight(acc, self.multipliers);
        }
        store_strip8(y, y_stride, self.room, values)
    }
}

/// `acc + x · w`, spread over four sums.
#[inline]
#[target_feature(enable = "neon")]
fn sixteen<const FIT: bool>(acc: int32x4_t, x: int8x16_t, w: int8x16_t) -> int32x4_t {
    let low = vmull_s8(vget_low_s8(x), vget_low_s8(w));
    if FIT {
        return vpadalq_s16(acc, vmlal_high_s8(low, x, w));
    }
    vpadalq_s16(vpadalq_s16(acc, low), vmull_high_s8(x, w))
}
