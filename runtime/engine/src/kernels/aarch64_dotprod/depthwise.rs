//! Depthwise convolutions of 3×3: a column of the window is made of groups of four bytes,
//! three taps of a channel and a zero, and stays in registers for all windows it lies in.

use super::finish::Finish as Bounds;
use super::sdot::sdot;
use super::windows::Row;
use crate::kernels::DepthwiseStrip;
use crate::kernels::neon::{Finish, Lanes};
use core::arch::aarch64::*;
use sanderling_plan::Target;
use sanderling_plan::packing::aarch64::{self, HEADER, LANES};

/// Vectors of weights of a block.
const BLOCK: usize = aarch64::block(Target::Aarch64Dotprod) / LANES;

/// Sixteen channels of three taps and a zero each.
type Column = [int8x16_t; 4];

/// All of a row's windows; `None` for kernels that are not 3×3.
#[target_feature(enable = "neon")]
pub(super) fn three<const TWO: bool>(strip: &DepthwiseStrip<'_>, y: &mut [i8]) -> Option<()> {
    let &[a, b, c] = strip.rows else {
        return None;
    };
    // As all three are seen to be equally long, one check serves all.
    let len = a.len();
    let rows = [a.get(..len)?, b.get(..len)?, c.get(..len)?];
    let finish = Finish::new(strip.linear.requantize);
    let plain = HEADER.checked_add(9usize.checked_mul(strip.channels)?)?;
    let lanes = strip.linear.weights.get(plain..)?.as_chunks::<LANES>().0;
    let blocks = lanes.as_chunks::<BLOCK>().0;
    if !TWO && strip.step == strip.tap && strip.tap == strip.channels {
        let row = Row {
            rows,
            channels: strip.channels,
            count: strip.count,
            weights: blocks,
            bias: strip.linear.bias,
            multipliers: strip.linear.multipliers,
            finish: Bounds::new(strip.linear.requantize),
        };
        return row.outputs(y);
    }
    for (block, weights) in blocks.iter().enumerate() {
        // The last channels may be partly those before.
        let channel = block * Lanes::<TWO>::CHANNELS;
        let channel = channel.min(strip.channels.checked_sub(Lanes::<TWO>::CHANNELS)?);
        Block::<TWO>::new(strip, rows, weights, channel, finish)?.run(strip, y)?;
    }
    Some(())
}

/// Some channels of a row.
struct Block<'a, const TWO: bool> {
    rows: [&'a [i8]; 3],
    channel: usize,
    weights: [Column; 3],
    bias: [int32x4_t; 4],
    multipliers: [float32x4_t; 4],
    finish: Finish,
}

impl<'a, const TWO: bool> Block<'a, TWO> {
    #[inline]
    #[target_feature(enable = "neon")]
    fn new(
        strip: &DepthwiseStrip<'_>,
        rows: [&'a [i8]; 3],
        weights: &[[i8; LANES]; BLOCK],
        channel: usize,
        finish: Finish,
    ) -> Option<Self> {
        let (bias, multipliers) = Lanes::<TWO>::outputs(strip, channel)?;
        Some(Block {
            rows,
            channel,
            weights: bytemuck::cast(*weights),
            bias,
            multipliers,
            finish,
        })
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn run(&self, strip: &DepthwiseStrip<'_>, y: &mut [i8]) -> Option<()> {
        let (tap, channels) = (strip.tap, strip.channels);
        let mut y = y.get_mut(self.channel..)?;
        let mut at = self.channel;
        let mut left = strip.count;
        if left == 0 {
            return Some(());
        }
        let step = strip.step.wrapping_mul(Lanes::<TWO>::WINDOWS);
        if TWO || step != tap {
            // Windows share at most a column.
            let shared = step == tap.wrapping_mul(2);
            // A last window alone is computed twice.
            let mut apart = if left > 1 { strip.step } else { 0 };
            let mut first = self.column(at, apart)?;
            loop {
                let second = self.column(at.wrapping_add(tap), apart)?;
                let third = self.column(at.wrapping_add(2 * tap), apart)?;
                self.store(y, channels, left, [first, second, third])?;
                left = left.saturating_sub(Lanes::<TWO>::WINDOWS);
                if left == 0 {
                    return Some(());
                }
                if left == 1 {
                    apart = 0;
                }
                at = at.wrapping_add(step);
                first = if shared {
                    third
                } else {
                    self.column(at, apart)?
                };
                y = y.get_mut(channels.wrapping_mul(Lanes::<TWO>::WINDOWS)..)?;
            }
        }
        let mut first = self.column(at, 0)?;
        at = at.wrapping_add(tap);
        let mut second = self.column(at, 0)?;
        // Three windows a turn, so that columns stay in the registers they are in.
        loop {
            at = at.wrapping_add(tap);
            let third = self.column(at, 0)?;
            self.store(y, channels, left, [first, second, third])?;
            left -= 1;
            if left == 0 {
                return Some(());
            }
            at = at.wrapping_add(tap);
            first = self.column(at, 0)?;
            y = y.get_mut(channels..)?;
            self.store(y, channels, left, [second, third, first])?;
            left -= 1;
            if left == 0 {
                return Some(());
            }
            at = at.wrapping_add(tap);
            second = self.column(at, 0)?;
            y = y.get_mut(channels..)?;
            self.store(y, channels, left, [third, first, second])?;
            left -= 1;
            if left == 0 {
                return Some(());
            }
            y = y.get_mut(channels..)?;
        }
    }

    /// The column that begins at `at`, with that of a second window `apart`.
    #[inline]
    #[target_feature(enable = "neon")]
    fn column(&self, at: usize, apart: usize) -> Option<Column> {
        Some(interleaved(Lanes::<TWO>::load(self.rows, at, apart)?))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn store(
        &self,
        y: &mut [i8],
        channels: usize,
        left: usize,
        columns: [Column; 3],
    ) -> Option<()> {
        let mut acc = self.bias;
        for (column, weights) in columns.iter().zip(&self.weights) {
            for ((acc, &x), &w) in acc.iter_mut().zip(column).zip(weights) {
                *acc = sdot(*acc, x, w);
            }
        }
        let values = self.finish.sixteen(acc, self.multipliers);
        Lanes::<TWO>::store(y, channels, left, values)
    }
}

/// `[a₀ b₀ c₀ 0 a₁ b₁ c₁ 0 …]`.
#[inline]
#[target_feature(enable = "neon")]
fn interleaved([a, b, c]: [int8x16_t; 3]) -> Column {
    let zero = vdupq_n_s8(0);
    let words = vreinterpretq_s16_s8;
    let (ab0, ab1) = (words(vzip1q_s8(a, b)), words(vzip2q_s8(a, b)));
    let (c0, c1) = (words(vzip1q_s8(c, zero)), words(vzip2q_s8(c, zero)));
    [
        vreinterpretq_s8_s16(vzip1q_s16(ab0, c0)),
        vreinterpretq_s8_s16(vzip2q_s16(ab0, c0)),
        vreinterpretq_s8_s16(vzip1q_s16(ab1, c1)),
        vreinterpretq_s8_s16(vzip2q_s16(ab1, c1)),
    ]
}
