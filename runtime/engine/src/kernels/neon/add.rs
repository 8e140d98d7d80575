//! The formula of [`Add`] with fused multiply-adds, which this processor has.

use super::{Finish, i8x16, store16};
use crate::numerics::Requantize;
use core::arch::aarch64::*;
use sanderling_plan::step::Add;

/// Adds as many elements as all have; an operand that is `None` is what `y` holds.
#[allow(unsafe_code, reason = "NEON is there")]
pub(crate) fn add(p: &Add, y: &mut [i8], a: Option<&[i8]>, b: Option<&[i8]>) {
    // SAFETY: every 64-bit Arm processor that Rust is built for has NEON.
    unsafe {
        let sum = Sum::new(p);
        match (a, b) {
            (Some(a), Some(b)) => sums(y, a, b, |_, a, b| sum.sixteen(a, b)),
            (Some(a), None) => sums(y, a, a, |y, a, _| sum.sixteen(a, y)),
            (None, Some(b)) => sums(y, b, b, |y, b, _| sum.sixteen(y, b)),
            (None, None) => sums(y, &[], &[], |y, _, _| sum.sixteen(y, y)),
        }
    }
}

/// Computes `y` from what it holds and from `a` and `b`, which are as long; past their ends
/// are zeros.
#[inline]
#[target_feature(enable = "neon")]
fn sums(
    y: &mut [i8],
    a: &[i8],
    b: &[i8],
    sum: impl Fn(int8x16_t, int8x16_t, int8x16_t) -> int8x16_t,
) {
    let len = y.len() / 16 * 16;
    let (ys, rest) = y.as_chunks_mut::<16>();
    let at = |x: &[i8]| i8x16(&super::padded(x, len));
    if let (Some(a), Some(b)) = (a.get(..len), b.get(..len)) {
        let both = a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0);
        for (y, (a, b)) in ys.iter_mut().zip(both) {
            *y = bytemuck::cast(sum(i8x16(y), i8x16(a), i8x16(b)));
        }
    } else {
        for y in ys {
            let y_before = i8x16(y);
            *y = bytemuck::cast(sum(y_before, y_before, y_before));
        }
    }
    if !rest.is_empty() {
        let before = i8x16(&super::padded(rest, 0));
        store16(rest, sum(before, at(a), at(b)));
    }
}

struct Sum {
    ratio_a: float32x4_t,
    ratio_b: float32x4_t,
    fixed: float32x4_t,
    bias_a: int16x8_t,
    bias_b: int16x8_t,
    finish: Finish,
}

impl Sum {
    #[target_feature(enable = "neon")]
    fn new(p: &Add) -> Self {
        Sum {
            ratio_a: vdupq_n_f32(p.ratio_a),
            ratio_b: vdupq_n_f32(p.ratio_b),
            fixed: vdupq_n_f32(p.fixed),
            bias_a: vdupq_n_s16(p.bias_a as i16),
            bias_b: vdupq_n_s16(p.bias_b as i16),
            finish: Finish::new(Requantize::new(p.low, p.high, p.bias_y.wrapping_neg())),
        }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn sixteen(&self, a: int8x16_t, b: int8x16_t) -> int8x16_t {
        let (a, b) = (widened(a, self.bias_a), widened(b, self.bias_b));
        let [a0, a1, a2, a3] = a;
        let [b0, b1, b2, b3] = b;
        self.finish.rounded16([
            self.four(a0, b0),
            self.four(a1, b1),
            self.four(a2, b2),
            self.four(a3, b3),
        ])
    }

    /// `round_ties_even(fma(a, ratio_a, fma(b, ratio_b, fixed)))`. All terms are finite and
    /// each product is exact, so that there is no NaN.
    #[inline]
    #[target_feature(enable = "neon")]
    fn four(&self, a: float32x4_t, b: float32x4_t) -> int32x4_t {
        let b = vfmaq_f32(self.fixed, b, self.ratio_b);
        vcvtnq_s32_f32(vfmaq_f32(b, a, self.ratio_a))
    }
}

/// Sixteen bytes, each with `bias` added, as numbers.
#[inline]
#[target_feature(enable = "neon")]
fn widened(x: int8x16_t, bias: int16x8_t) -> [float32x4_t; 4] {
    let low = vaddw_s8(bias, vget_low_s8(x));
    let high = vaddw_high_s8(bias, x);
    [
        vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
        vcvtq_f32_s32(vmovl_high_s16(low)),
        vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
        vcvtq_f32_s32(vmovl_high_s16(high)),
    ]
}
