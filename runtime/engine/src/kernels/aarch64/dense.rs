//! Matrix products: two pixels by eight outputs at a time.
//!
//! `SMULL` and `SMLAL2` add two products in each of eight 16-bit lanes, `SADALP` adds
//! pairs of lanes to four 32-bit sums of an output: three instructions for sixteen
//! products. Two products of bytes fit 16 bits unless all four bytes are -128; the packed
//! weights say of each block whether two weights of -128 meet in it.

use crate::kernels::neon::{Finish, i8x16, padded, store8};
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
    let outputs = linear.bias.len();
    let block = rows.k.checked_mul(BLOCK)?.checked_add(HEADER)?;
    let finish = Finish::new(linear.requantize);
    let mut weights = linear.weights;
    let mut first = 0;
    while first < outputs {
        let (block, rest) = weights.split_at_checked(block)?;
        weights = rest;
        let (header, w) = block.split_at_checked(HEADER)?;
        let strip = Strip {
            w: w.as_chunks::<CHUNK>().0,
            bias: bytemuck::cast(padded::<i32, 8>(linear.bias, first)),
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
    bias: [int32x4_t; 2],
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
        let mut pixel = 0;
        while pixel < rows.count {
            let y = y.get_mut(pixel.checked_mul(y_stride)?..)?;
            pixel += match rows.count - pixel {
                1 => self.run::<1, FIT>(rows, pixel, y, y_stride)?,
                _ => self.run::<2, FIT>(rows, pixel, y, y_stride)?,
            };
        }
        Some(())
    }

    /// The outputs of `P` pixels from `pixel` on; gives `P`.
    #[inline]
    #[target_feature(enable = "neon")]
    fn run<const P: usize, const FIT: bool>(
        &self,
        rows: &Rows<'_, i8>,
        pixel: usize,
        y: &mut [i8],
        y_stride: usize,
    ) -> Option<usize> {
        let n = self.w.len();
        let mut xs: [&[[i8; DEPTH]]; P] = [&[]; P];
        for (p, xs) in xs.iter_mut().enumerate() {
            let start = (pixel + p).checked_mul(rows.stride)?;
            let x = rows.x.get(start..start.checked_add(rows.k)?)?;
            *xs = x.as_chunks::<DEPTH>().0.get(..n)?;
        }
        let mut acc = [[vdupq_n_s32(0); BLOCK]; P];
        for (i, w) in self.w.iter().enumerate() {
            let mut x = [vdupq_n_s8(0); P];
            for (x, xs) in x.iter_mut().zip(xs) {
                *x = i8x16(xs.get(i)?);
            }
            let w: [int8x16_t; BLOCK] = bytemuck::cast(*w);
            for (o, w) in w.into_iter().enumerate() {
                for (acc, x) in acc.iter_mut().zip(x) {
                    let acc = acc.get_mut(o)?;
                    *acc = sixteen::<FIT>(*acc, x, w);
                }
            }
        }
        for (p, acc) in acc.into_iter().enumerate() {
            let [a, b, c, d, e, f, g, h] = acc;
            let correction = vdupq_n_s32(rows.correction(pixel + p));
            let [bias0, bias1] = self.bias.map(|bias| vsubq_s32(bias, correction));
            let acc = [
                vaddq_s32(vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)), bias0),
                vaddq_s32(vpaddq_s32(vpaddq_s32(e, f), vpaddq_s32(g, h)), bias1),
            ];
            let start = p.checked_mul(y_stride)?;
            let y = y.get_mut(start..start.checked_add(self.room)?)?;
            store8(y, self.finish.eight(acc, self.multipliers));
        }
        Some(P)
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
