//! Depthwise convolutions: sixteen channels at a time, two taps in 16-bit lanes.
//!
//! As in matrix products without the dot product, two products of bytes fit 16 bits unless
//! all four are -128.

use super::{Finish, Lanes};
use crate::kernels::{DepthwiseRow, DepthwiseStrip, Linear, generic};
use core::arch::aarch64::*;
use sanderling_plan::packing::aarch64::{HEADER, LANES};

/// Most taps whose weights are kept in registers.
const TAPS: usize = 9;

/// Windows that share loaded weights where those are not kept in registers.
const GROUP: usize = 4;

/// All of a row's windows, with the weights `[header][kh · kw][channels]`.
#[target_feature(enable = "neon")]
pub(crate) fn strip(strip: &DepthwiseStrip<'_>, y: &mut [i8]) -> Option<()> {
    let (header, weights) = strip.linear.weights.split_at_checked(HEADER)?;
    let fit = *header.first()? == 0;
    match (strip.channels < 16, fit) {
        (true, true) => blocks::<true, true>(strip, weights, y),
        (true, false) => blocks::<true, false>(strip, weights, y),
        (false, true) => blocks::<false, true>(strip, weights, y),
        (false, false) => blocks::<false, false>(strip, weights, y),
    }
}

/// What the strips do not take: weights with a zero point, several outputs of a channel,
/// fewer than eight channels, tall kernels.
pub(crate) fn generic_row(row: &DepthwiseRow<'_>, y: &mut [i8]) -> Option<()> {
    let (_, weights) = row.linear.weights.split_at_checked(HEADER)?;
    let linear = Linear {
        weights,
        ..row.linear
    };
    generic::depthwise_row(&DepthwiseRow { linear, ..*row }, y)
}

/// `FIT`: no two neighbouring taps of a channel have weights of -128.
#[inline]
#[target_feature(enable = "neon")]
fn blocks<const TWO: bool, const FIT: bool>(
    strip: &DepthwiseStrip<'_>,
    weights: &[i8],
    y: &mut [i8],
) -> Option<()> {
    let finish = Finish::new(strip.linear.requantize);
    let plain = strip
        .channels
        .checked_mul(strip.rows.len().checked_mul(strip.kernel_w)?)?;
    let lanes = weights.get(plain..)?.as_chunks::<LANES>().0;
    let (mut blocks, _) = lanes.as_chunks::<TAPS>();
    let mut channel = 0;
    loop {
        let (bias, multipliers) = Lanes::<TWO>::outputs(strip, channel)?;
        let block = Block::<TWO> {
            strip,
            weights: weights.get(channel..)?,
            channel,
            bias,
            multipliers,
            finish,
        };
        match (strip.rows, strip.kernel_w) {
            (&[a, b, c], 3) => {
                let (weights, rest) = blocks.split_first()?;
                blocks = rest;
                block.three::<FIT>(bytemuck::cast(*weights), [a, b, c], y)?;
            }
            _ => block.any::<FIT>(y)?,
        }
        channel += Lanes::<TWO>::CHANNELS;
        if channel >= strip.channels {
            return Some(());
        }
        // The last channels may be partly those before.
        channel = channel.min(strip.channels.checked_sub(Lanes::<TWO>::CHANNELS)?);
    }
}

/// Some channels of a row.
struct Block<'a, const TWO: bool> {
    strip: &'a DepthwiseStrip<'a>,
    weights: &'a [i8],
    channel: usize,
    bias: [int32x4_t; 4],
    multipliers: [float32x4_t; 4],
    finish: Finish,
}

impl<const TWO: bool> Block<'_, TWO> {
    /// Windows of 3×3.
    #[inline]
    #[target_feature(enable = "neon")]
    fn three<const FIT: bool>(
        &self,
        weights: [int8x16_t; TAPS],
        [a, b, c]: [&[i8]; 3],
        y: &mut [i8],
    ) -> Option<()> {
        // As all three are seen to be equally long, one check serves all.
        let len = a.len();
        let rows = [a.get(..len)?, b.get(..len)?, c.get(..len)?];
        let column = |at: usize, apart: usize| Lanes::<TWO>::load(rows, at, apart);
        let (tap, channels) = (self.strip.tap, self.strip.channels);
        let mut y = y.get_mut(self.channel..)?;
        let mut at = self.channel;
        let mut left = self.strip.count;
        if left == 0 {
            return Some(());
        }
        let step = self.strip.step.wrapping_mul(Lanes::<TWO>::WINDOWS);
        if TWO || step != tap {
            loop {
                // A last window alone is computed twice.
                let apart = if left > 1 { self.strip.step } else { 0 };
                let first = column(at, apart)?;
                let second = column(at.wrapping_add(tap), apart)?;
                let third = column(at.wrapping_add(2 * tap), apart)?;
                self.store::<FIT>(y, left, [first, second, third], weights)?;
                left = left.saturating_sub(Lanes::<TWO>::WINDOWS);
                if left == 0 {
                    return Some(());
                }
                at = at.wrapping_add(step);
                y = y.get_mut(channels.wrapping_mul(Lanes::<TWO>::WINDOWS)..)?;
            }
        }
        let mut first = column(at, 0)?;
        at = at.wrapping_add(tap);
        let mut second = column(at, 0)?;
        // Three windows a turn, so that columns stay in the registers they are in.
        loop {
            at = at.wrapping_add(tap);
            let third = column(at, 0)?;
            self.store::<FIT>(y, left, [first, second, third], weights)?;
            left -= 1;
            if left == 0 {
                return Some(());
            }
            at = at.wrapping_add(tap);
            first = column(at, 0)?;
            y = y.get_mut(channels..)?;
            self.store::<FIT>(y, left, [second, third, first], weights)?;
            left -= 1;
            if left == 0 {
                return Some(());
            }
            at = at.wrapping_add(tap);
            second = column(at, 0)?;
            y = y.get_mut(channels..)?;
            self.store::<FIT>(y, left, [third, first, second], weights)?;
            left -= 1;
            if left == 0 {
                return Some(());
            }
            y = y.get_mut(channels..)?;
        }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn store<const FIT: bool>(
        &self,
        y: &mut [i8],
        left: usize,
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
        Lanes::<TWO>::store(y, self.strip.channels, left, values)
    }

    /// Windows of any size.
    #[inline]
    #[target_feature(enable = "neon")]
    fn any<const FIT: bool>(&self, y: &mut [i8]) -> Option<()> {
        let (count, channels) = (self.strip.count, self.strip.channels);
        let mut pixel = 0;
        while pixel < count {
            let at = pixel.checked_mul(channels)?.checked_add(self.channel)?;
            let y = y.get_mut(at..)?;
            pixel += match count - pixel >= GROUP * Lanes::<TWO>::WINDOWS {
                true => self.group::<FIT, GROUP>(pixel, y)?,
                false => self.group::<FIT, 1>(pixel, y)?,
            };
        }
        Some(())
    }

    /// `P` times as many windows as the lanes hold; gives how many. Weights are loaded once
    /// for all of them.
    #[inline]
    #[target_feature(enable = "neon")]
    fn group<const FIT: bool, const P: usize>(
        &self,
        pixel: usize,
        mut y: &mut [i8],
    ) -> Option<usize> {
        let DepthwiseStrip {
            rows,
            kernel_w,
            step,
            tap,
            channels,
            count,
            ..
        } = *self.strip;
        let apart = if pixel + 1 < count { step } else { 0 };
        let next = step.wrapping_mul(Lanes::<TWO>::WINDOWS);
        let start = pixel.checked_mul(step)?.checked_add(self.channel)?;
        let mut acc = [self.bias; P];
        let mut w = self.weights;
        for x in rows {
            let mut x = x.get(start..)?;
            let mut kx = 0;
            while kx < kernel_w {
                let w0 = Lanes::<TWO>::weights(w, 0)?;
                w = w.get(channels..).unwrap_or(&[]);
                let mut at = 0usize;
                if kx + 1 == kernel_w {
                    for acc in &mut acc {
                        let [x0] = Lanes::<TWO>::load([x], at, apart)?;
                        *acc = single(*acc, x0, w0);
                        at = at.wrapping_add(next);
                    }
                    break;
                }
                let w1 = Lanes::<TWO>::weights(w, 0)?;
                w = w.get(channels..).unwrap_or(&[]);
                let x1 = x.get(tap..)?;
                for acc in &mut acc {
                    let [x0] = Lanes::<TWO>::load([x], at, apart)?;
                    let [x1] = Lanes::<TWO>::load([x1], at, apart)?;
                    *acc = pair::<FIT>(*acc, [x0, x1], [w0, w1]);
                    at = at.wrapping_add(next);
                }
                x = x1.get(tap..).unwrap_or(&[]);
                kx += 2;
            }
        }
        let mut left = count - pixel;
        for (p, acc) in acc.into_iter().enumerate() {
            if p > 0 {
                y = y.get_mut(channels.wrapping_mul(Lanes::<TWO>::WINDOWS)..)?;
            }
            let values = self.finish.sixteen(acc, self.multipliers);
            Lanes::<TWO>::store(y, channels, left, values)?;
            left = left.saturating_sub(Lanes::<TWO>::WINDOWS);
        }
        Some(P * Lanes::<TWO>::WINDOWS)
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
