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

#[cfg(test)]
mod tests {
    use super::Finish;
    use crate::numerics::Requantize;
    use proptest::prelude::*;

    /// Any accumulator, and those near a tie or an end.
    fn accumulator() -> impl Strategy<Value = i32> {
        prop_oneof![
            any::<i32>(),
            -70_000..70_000i32,
            -600..600i32,
            Just(i32::MIN),
            Just(i32::MAX),
        ]
    }

    proptest! {
        #[test]
        fn vectors_round_as_single_values_do(
            acc in proptest::array::uniform16(accumulator()),
            m in proptest::array::uniform16(prop_oneof![
                Just(0.5f32), Just(0.25), Just(-0.5), Just(f32::MAX), Just(0.0), 1e-6f32..4.0,
            ]),
            (low, high) in (-128..=127i32, -128..=127i32),
            zero_point in -255..=255i32,
        ) {
            let requantize = Requantize::new(low.min(high), low.max(high), zero_point);
            let expected: [i8; 16] =
                core::array::from_fn(|i| requantize.accumulator(acc[i], m[i]));
            // SAFETY: every 64-bit Arm processor that Rust is built for has NEON.
            #[allow(unsafe_code, reason = "NEON is there")]
            let (sixteen, eight) = unsafe {
                let finish = Finish::new(requantize);
                let (acc, m): ([_; 4], [_; 4]) = (bytemuck::cast(acc), bytemuck::cast(m));
                let eight = finish.eight([acc[0], acc[1]], [m[0], m[1]]);
                (finish.sixteen(acc, m), eight)
            };
            prop_assert_eq!(bytemuck::cast::<_, [i8; 16]>(sixteen), expected);
            prop_assert_eq!(&bytemuck::cast::<_, [i8; 8]>(eight)[..], &expected[..8]);
        }
    }
}
