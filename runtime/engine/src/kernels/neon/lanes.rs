//! Which channels of which pixels the sixteen lanes of a depthwise convolution hold.

use super::i8x16;
use crate::kernels::DepthwiseStrip;
use core::arch::aarch64::*;

/// Sixteen channels of a window, or eight channels of two windows (`TWO`) where there are
/// fewer than sixteen.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Lanes<const TWO: bool>;

impl<const TWO: bool> Lanes<TWO> {
    /// Channels of a window.
    pub(in crate::kernels) const CHANNELS: usize = if TWO { 8 } else { 16 };
    /// Windows.
    pub(in crate::kernels) const WINDOWS: usize = if TWO { 2 } else { 1 };

    /// Values of the rows at `at`, of which the second window's are `apart`.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(in crate::kernels) fn load<const N: usize>(
        rows: [&[i8]; N],
        at: usize,
        apart: usize,
    ) -> Option<[int8x16_t; N]> {
        let mut values = [vdupq_n_s8(0); N];
        if TWO {
            let second = at.checked_add(apart)?;
            for (value, row) in values.iter_mut().zip(rows) {
                let [a, b] = [
                    row.get(at..at.checked_add(8)?)?,
                    row.get(second..second.checked_add(8)?)?,
                ];
                let [a, b] = [*a.first_chunk::<8>()?, *b.first_chunk::<8>()?];
                *value = vcombine_s8(bytemuck::cast(a), bytemuck::cast(b));
            }
        } else {
            let end = at.checked_add(16)?;
            for (value, row) in values.iter_mut().zip(rows) {
                *value = i8x16(row.get(at..end)?.first_chunk::<16>()?);
            }
        }
        Some(values)
    }

    /// The weights of a tap, the same for both windows.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(in crate::kernels) fn weights(w: &[i8], at: usize) -> Option<int8x16_t> {
        let [w] = Self::load([w], at, 0)?;
        Some(w)
    }

    /// Biases and multipliers from channel `channel` on.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(in crate::kernels) fn outputs(
        strip: &DepthwiseStrip<'_>,
        channel: usize,
    ) -> Option<([int32x4_t; 4], [float32x4_t; 4])> {
        let bias = strip.linear.bias.get(channel..)?;
        let multipliers = strip.linear.multipliers.get(channel..)?;
        if TWO {
            let [a, b] = bytemuck::cast(*bias.first_chunk::<8>()?);
            let [c, d] = bytemuck::cast(*multipliers.first_chunk::<8>()?);
            Some(([a, b, a, b], [c, d, c, d]))
        } else {
            Some((
                bytemuck::cast(*bias.first_chunk::<16>()?),
                bytemuck::cast(*multipliers.first_chunk::<16>()?),
            ))
        }
    }

    /// Writes the outputs of one window, and of a second one, `channels` on, where there is
    /// one.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(in crate::kernels) fn store(
        y: &mut [i8],
        channels: usize,
        left: usize,
        values: int8x16_t,
    ) -> Option<()> {
        if TWO {
            *y.first_chunk_mut::<8>()? = bytemuck::cast(vget_low_s8(values));
            if left > 1 {
                let y = y.get_mut(channels..)?;
                *y.first_chunk_mut::<8>()? = bytemuck::cast(vget_high_s8(values));
            }
        } else {
            *y.first_chunk_mut::<16>()? = bytemuck::cast(values);
        }
        Some(())
    }
}
