//! Depthwise convolutions of 3×3: a column of the window is made of groups of four bytes,
//! three taps of a channel and a zero, and stays in registers for all windows it lies in.

use super::sdot::sdot;
use crate::kernels::DepthwiseStrip;
use crate::kernels::neon::{Finish, f32x16, i8x16, i32x16, padded};
use core::arch::aarch64::*;

/// Sixteen channels of three taps and a zero each.
type Column = [int8x16_t; 4];

/// All of a row's windows; `None` for kernels that are not 3×3.
#[target_feature(enable = "neon")]
pub(super) fn three(strip: &DepthwiseStrip<'_>, y: &mut [i8]) -> Option<()> {
    let &[a, b, c] = strip.rows else {
        return None;
    };
    // As all three are seen to be equally long, one check serves all.
    let len = a.len();
    let rows = [a.get(..len)?, b.get(..len)?, c.get(..len)?];
    let finish = Finish::new(strip.linear.requantize);
    let mut channel = 0;
    loop {
        Block::new(strip, rows, channel, finish)?.run(strip, y)?;
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
    rows: [&'a [i8]; 3],
    channel: usize,
    weights: [Column; 3],
    bias: [int32x4_t; 4],
    multipliers: [float32x4_t; 4],
    finish: Finish,
}

impl<'a> Block<'a> {
    #[inline]
    #[target_feature(enable = "neon")]
    fn new(
        strip: &DepthwiseStrip<'_>,
        rows: [&'a [i8]; 3],
        channel: usize,
        finish: Finish,
    ) -> Option<Self> {
        let linear = &strip.linear;
        let channels = strip.channels;
        let w = linear.weights.get(channel..)?;
        let mut weights = [[vdupq_n_s8(0); 4]; 3];
        for (kx, column) in weights.iter_mut().enumerate() {
            let tap = |ky: usize| {
                let at = (3 * ky + kx).wrapping_mul(channels);
                Some(i8x16(w.get(at..)?.first_chunk::<16>()?))
            };
            *column = interleaved([tap(0)?, tap(1)?, tap(2)?]);
        }
        Some(Block {
            rows,
            channel,
            weights,
            bias: i32x16(padded(linear.bias, channel)),
            multipliers: f32x16(padded(linear.multipliers, channel)),
            finish,
        })
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn run(&self, strip: &DepthwiseStrip<'_>, y: &mut [i8]) -> Option<()> {
        let (step, tap, channels) = (strip.step, strip.tap, strip.channels);
        let mut y = y.get_mut(self.channel..)?;
        let mut at = self.channel;
        let mut left = strip.count;
        if left == 0 {
            return Some(());
        }
        if step != tap {
            // Windows share at most a column.
            let shared = step == tap.wrapping_mul(2);
            let mut first = self.column(at)?;
            loop {
                let second = self.column(at.wrapping_add(tap))?;
                let third = self.column(at.wrapping_add(2 * tap))?;
                self.store(y, [first, second, third])?;
                left -= 1;
                if left == 0 {
                    return Some(());
                }
                at = at.wrapping_add(step);
                first = if shared { third } else { self.column(at)? };
                y = y.get_mut(channels..)?;
            }
        }
        let mut first = self.column(at)?;
        at = at.wrapping_add(tap);
        let mut second = self.column(at)?;
        // Three windows a turn, so that columns stay in the registers they are in.
        loop {
            at = at.wrapping_add(tap);
            let third = self.column(at)?;
            self.store(y, [first, second, third])?;
            left -= 1;
            if left == 0 {
                return Some(());
            }
            at = at.wrapping_add(tap);
            first = self.column(at)?;
            y = y.get_mut(channels..)?;
            self.store(y, [second, third, first])?;
            left -= 1;
            if left == 0 {
                return Some(());
            }
            at = at.wrapping_add(tap);
            second = self.column(at)?;
            y = y.get_mut(channels..)?;
            self.store(y, [third, first, second])?;
            left -= 1;
            if left == 0 {
                return Some(());
            }
            y = y.get_mut(channels..)?;
        }
    }

    /// The column that begins at `at`.
    #[inline]
    #[target_feature(enable = "neon")]
    fn column(&self, at: usize) -> Option<Column> {
        let [a, b, c] = self.rows;
        let end = at.checked_add(16)?;
        let row = |x: &[i8]| Some(i8x16(x.get(at..end)?.first_chunk::<16>()?));
        Some(interleaved([row(a)?, row(b)?, row(c)?]))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn store(&self, y: &mut [i8], columns: [Column; 3]) -> Option<()> {
        let mut acc = self.bias;
        for (column, weights) in columns.iter().zip(&self.weights) {
            for ((acc, &x), &w) in acc.iter_mut().zip(column).zip(weights) {
                *acc = sdot(*acc, x, w);
            }
        }
        let values = self.finish.sixteen(acc, self.multipliers);
        *y.first_chunk_mut::<16>()? = bytemuck::cast(values);
        Some(())
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
