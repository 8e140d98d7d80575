//! Accumulators to outputs, eight or sixteen at a time.

use crate::numerics::Requantize;
use core::arch::aarch64::*;

/// [`Requantize`] on vectors: the same bits for every accumulator and finite multiplier.
///
/// `FCVTNS` rounds half to even and saturates, as does each narrowing after it, to ranges
/// that contain the bounds; clamping last gives what clamping first gives. No NaN can
/// arise from a whole number and a finite multiplier.
#[derive(Clone, Copy)]
pub(crate) struct Finish {
    zero_point: int16x8_t,
    low: int8x16_t,
    high: int8x16_t,
}

impl Finish {
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn new(requantize: Requantize) -> Self {
        let [low, high, zero_point] = requantize.bounds();
        Finish {
            zero_point: vdupq_n_s16(zero_point as i16),
            low: vdupq_n_s8(low as i8),
            high: vdupq_n_s8(high as i8),
        }
    }

    /// Sixteen outputs.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn sixteen(&self, acc: [int32x4_t; 4], m: [float32x4_t; 4]) -> int8x16_t {
        let ([a, b, c, d], [ma, mb, mc, md]) = (acc, m);
        self.rounded16([scaled(a, ma), scaled(b, mb), scaled(c, mc), scaled(d, md)])
    }

    /// Eight outputs.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn eight(&self, [a, b]: [int32x4_t; 2], [ma, mb]: [float32x4_t; 2]) -> int8x8_t {
        let y = vqmovn_s16(self.narrow(scaled(a, ma), scaled(b, mb)));
        let y = vmax_s8(y, vget_low_s8(self.low));
        vmin_s8(y, vget_low_s8(self.high))
    }

    /// Sixteen outputs from values that are rounded already.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn rounded16(&self, [a, b, c, d]: [int32x4_t; 4]) -> int8x16_t {
        let y = vqmovn_high_s16(vqmovn_s16(self.narrow(a, b)), self.narrow(c, d));
        vminq_s8(vmaxq_s8(y, self.low), self.high)
    }

    /// Eight rounded values with the zero point added, saturated to 16 bits.
    #[inline]
    #[target_feature(enable = "neon")]
    fn narrow(&self, a: int32x4_t, b: int32x4_t) -> int16x8_t {
        vqaddq_s16(vqmovn_high_s32(vqmovn_s32(a), b), self.zero_point)
    }
}

/// `round_ties_even(acc · multiplier)`, saturated.
#[inline]
#[target_feature(enable = "neon")]
fn scaled(acc: int32x4_t, multiplier: float32x4_t) -> int32x4_t {
    vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(acc), multiplier))
}
