//! Depthwise convolutions: sixteen channels at a time, two taps in 16-bit lanes.
//!
//! As in matrix products without the dot product, two products of bytes fit 16 bits unless
//! all four are -128.

use super::{Finish, f32x16, i8x16, i32x16, padded};
use crate::kernels::DepthwiseStrip;
use core::arch::aarch64::*;

/// Most taps whose weights are kept in registers.
const TAPS: usize = 9;

/// All of a row's windows, with the weights `[kh · kw][channels]`. `FIT`: no two weights of
/// -128 meet in taps `2n` and `2n + 1`.
#[target_feature(enable = "neon")]
pub(crate) fn strip<const FIT: bool>(
    strip: &DepthwiseStrip<'_>,
    weights: &[i8],
    y: &mut [i8],
) -> Option<()> {
    let finish = Finish::new(strip.linear.requantize);
    let mut channel = 0;
    loop {
        let block = Block {
            strip,
            weights: weights.get(channel..)?,
            channel,
            bias: i32x16(padded(strip.linear.bias, channel)),
            multipliers: f32x16(padded(strip.linear.multipliers, channel)),
            finish,
        };
        match (strip.rows, strip.kernel_w) {
            (&[a, b, c], 3) => block.three::<FIT>([a, b, c], y)?,
            _ => block.any::<FIT>(y)?,
        }
        channel += 16;
        if channel >= strip.channels {
            return Some(());
        }
        // The last sixteen channels may be partly those before.
        channel = channel.min(strip.channels.checked_sub(16)?);
    }
}

/// Sixteen channels of a row.
struct Block<'a> {
    strip: &'a DepthwiseStrip<'a>,
    weights: &'a [i8],
    channel: usize,
    bias: [int32x4_t; 4],
    multipliers: [float32x4_t; 4],
    finish: Finish,
}

impl Block<'_> {
    /// Windows of 3×3.
    #[inline]
    #[target_feature(enable = "neon")]
    fn three<const FIT: bool>(&self, [a, b, c]: [&[i8]; 3], y: &mut [i8]) -> Option<()> {
        // As all three are seen to be equally long, one check serves all.
        let len = a.len();
        let rows = [a.get(..len)?, b.get(..len)?, c.get(..len)?];
        let mut weights = [vdupq_n_s8(0); TAPS];
        for (tap, weight) in weights.iter_mut().enumerate() {
            let at = tap.wrapping_mul(self.strip.channels);
            *weight = i8x16(self.weights.get(at..)?.first_chunk::<16>()?);
        }
        let column = |at: usize| {
            let end = at.checked_add(16)?;
            let [a, b, c] = rows;
            Some([
                i8x16(a.get(at..end)?.first_chunk::<16>()?),
                i8x16(b.get(at..end)?.first_chunk::<16>()?),
                i8x16(c.get(at..end)?.first_chunk::<16>()?),
            ])
        };
        let (step, tap) = (self.strip.step, self.strip.tap);
        let mut y = y.get_mut(self.channel..)?;
        let mut at = self.channel;
        let mut left = self.strip.count;
        if left == 0 {
            return Some(());
        }
        if step != tap {
            loop {
                let first = column(at)?;
                let second = column(at.wrapping_add(tap))?;
                let third = column(at.wrapping_add(2 * tap))?;
                self.store::<FIT>(y, [first, second, third], weights)?;
                left -= 1;
                if left == 0 {
                    return Some(());
                }
                at = at.wrapping_add(step);
                y = y.get_mut(self.strip.channels..)?;
            }
        }
        let mut first = column(at)?;
        at = at.wrapping_add(tap);
        let mut second = column(at)?;
        // Three windows a turn, so that columns stay in the registers they are in.
        loop {
            at = at.wrapping_add(tap);
            let third = column(at)?;
            self.store::<FIT>(y, [first, second, third], weights)?;
            left -= 1;
            if left == 0 {
                return Some(());
            }
            at = at.wrapping_add(tap);
            first = column(at)?;
            y = y.get_mut(self.strip.channels..)?;
            self.store::<FIT>(y, [second, third, first], weights)?;
            left -= 1;
            if left == 0 {
                return Some(());
            }
            at = at.wrapping_add(tap);
            second = column(at)?;
            y = y.get_mut(self.strip.channels..)?;
            self.store::<FIT>(y, [third, first, second], weights)?;
            left -= 1;
            if left == 0 {
                return Some(());
            }
            y = y.get_mut(self.strip.channels..)?;
        }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn store<const FIT: bool>(
        &self,
        y: &mut [i8],
        columns: [[int8x16_t; 3]; 3],
        weights: [int8x16_t; TAPS],
    ) -> Option<()> {
        let [[x0, x3, x6], [x1, x4, x7], [x2, x5, x8]] = columns;
        let [w0, w1, w2, w3, w4, w5, w6, w7, w8] = weights;
        let acc = pair::<FIT>(self.bias, [x0, x1], [w0, w1]);
        let acc = pair::<FIT>(acc, [x2, x3], [w2, w3]);
        let acc = pair::<FIT>(acc, [x4, x5], [w4, w5]);
        let acc = pair::<FIT>(acc, [x6, x7], [w6, w7]);
        let acc = single(acc, x8, w8);
        let values = self.finish.sixteen(acc, self.multipliers);
        *y.first_chunk_mut::<16>()? = bytemuck::cast(values);
        Some(())
    }

    /// Windows of any size.
    #[inline]
    #[target_feature(enable = "neon")]
    fn any<const FIT: bool>(&self, y: &mut [i8]) -> Option<()> {
        let DepthwiseStrip {
            rows,
            kernel_w,
            step,
            tap,
            channels,
            count,
            ..
        } = *self.strip;
        let load = |x: &[i8], at: usize| Some(i8x16(x.get(at..)?.first_chunk::<16>()?));
        for pixel in 0..count {
            let start = pixel.checked_mul(step)?.checked_add(self.channel)?;
            let mut acc = self.bias;
            let mut w = self.weights;
            let mut before = None;
            for x in rows {
                let mut x = x.get(start..)?;
                for kx in 0..kernel_w {
                    if kx > 0 {
                        x = x.get(tap..)?;
                    }
                    let here = (load(x, 0)?, load(w, 0)?);
                    w = w.get(channels..).unwrap_or(&[]);
                    before = match before {
                        None => Some(here),
                        Some((x, w)) => {
                            acc = pair::<FIT>(acc, [x, here.0], [w, here.1]);
                            None
                        }
                    };
                }
            }
            if let Some((x, w)) = before {
                acc = single(acc, x, w);
            }
            let values = self.finish.sixteen(acc, self.multipliers);
            let at = pixel.checked_mul(channels)?.checked_add(self.channel)?;
            *y.get_mut(at..)?.first_chunk_mut::<16>()? = bytemuck::cast(values);
        }
        Some(())
    }
}

/// `acc + x[0] · w[0] + x[1] · w[1]`.
#[inline]
#[target_feature(enable = "neon")]
fn pair<const FIT: bool>(
    acc: [int32x4_t; 4],
    [x0, x1]: [int8x16_t; 2],
    [w0, w1]: [int8x16_t; 2],
) -> [int32x4_t; 4] {
    if !FIT {
        return single(single(acc, x0, w0), x1, w1);
    }
    let low = vmull_s8(vget_low_s8(x0), vget_low_s8(w0));
    let high = vmull_high_s8(x0, w0);
    let low = vmlal_s8(low, vget_low_s8(x1), vget_low_s8(w1));
    widening_add(acc, low, vmlal_high_s8(high, x1, w1))
}

/// `acc + x · w`.
#[inline]
#[target_feature(enable = "neon")]
fn single(acc: [int32x4_t; 4], x: int8x16_t, w: int8x16_t) -> [int32x4_t; 4] {
    let low = vmull_s8(vget_low_s8(x), vget_low_s8(w));
    widening_add(acc, low, vmull_high_s8(x, w))
}

#[inline]
#[target_feature(enable = "neon")]
fn widening_add([a, b, c, d]: [int32x4_t; 4], low: int16x8_t, high: int16x8_t) -> [int32x4_t; 4] {
    [
        vaddw_s16(a, vget_low_s16(low)),
        vaddw_high_s16(b, low),
        vaddw_s16(c, vget_low_s16(high)),
        vaddw_high_s16(d, high),
    ]
}
