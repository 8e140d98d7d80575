//! Sums with fused multiply-adds, as the formula has them.

use super::tiles::BLOCK;
use crate::numerics::Sum;
use bytemuck::cast;
use core::arch::x86_64::*;

/// [`Sum::exact`] of sixteen elements at a time.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn avx512(sum: &Sum, y: &mut [i8], a: &[i8], b: &[i8]) {
    let ratio_a = _mm512_set1_ps(sum.ratio_a);
    let ratio_b = _mm512_set1_ps(sum.ratio_b);
    let fixed = _mm512_set1_ps(sum.fixed);
    let (low, high, zero_point) = sum.requantize.parts();
    let (low, high) = (_mm512_set1_ps(low), _mm512_set1_ps(high));
    let zero_point = _mm512_set1_epi32(zero_point);
    let (bias_a, bias_b) = (_mm512_set1_epi32(sum.bias_a), _mm512_set1_epi32(sum.bias_b));
    let (ys, y_rest) = y.as_chunks_mut::<BLOCK>();
    let ((xs, a_rest), (bs, b_rest)) = (a.as_chunks::<BLOCK>(), b.as_chunks::<BLOCK>());
    for ((y, a), b) in ys.iter_mut().zip(xs).zip(bs) {
        let a = _mm512_add_epi32(_mm512_cvtepi8_epi32(cast(*a)), bias_a);
        let b = _mm512_add_epi32(_mm512_cvtepi8_epi32(cast(*b)), bias_b);
        let value = _mm512_fmadd_ps(_mm512_cvtepi32_ps(b), ratio_b, fixed);
        let value = _mm512_fmadd_ps(_mm512_cvtepi32_ps(a), ratio_a, value);
        let value = _mm512_min_ps(_mm512_max_ps(value, low), high);
        let value = _mm512_add_epi32(_mm512_cvtps_epi32(value), zero_point);
        *y = cast(_mm512_cvtepi32_epi8(value));
    }
    sum.block(y_rest, a_rest, b_rest);
}

/// [`Sum::exact`] of sixteen elements at a time.
#[target_feature(enable = "avx2,fma")]
pub(super) fn avx2(sum: &Sum, y: &mut [i8], a: &[i8], b: &[i8]) {
    let ratio_a = _mm256_set1_ps(sum.ratio_a);
    let ratio_b = _mm256_set1_ps(sum.ratio_b);
    let fixed = _mm256_set1_ps(sum.fixed);
    let (low, high, zero_point) = sum.requantize.parts();
    let (low, high) = (_mm256_set1_ps(low), _mm256_set1_ps(high));
    let zero_point = _mm256_set1_epi32(zero_point);
    let (bias_a, bias_b) = (_mm256_set1_epi32(sum.bias_a), _mm256_set1_epi32(sum.bias_b));
    let (ys, y_rest) = y.as_chunks_mut::<BLOCK>();
    let ((xs, a_rest), (bs, b_rest)) = (a.as_chunks::<BLOCK>(), b.as_chunks::<BLOCK>());
    for ((y, a), b) in ys.iter_mut().zip(xs).zip(bs) {
        let (a, b): (__m128i, __m128i) = (cast(*a), cast(*b));
        let mut halves = [_mm256_setzero_si256(); 2];
        let operands = [(a, b), (_mm_srli_si128::<8>(a), _mm_srli_si128::<8>(b))];
        for (half, (a, b)) in halves.iter_mut().zip(operands) {
            let a = _mm256_add_epi32(_mm256_cvtepi8_epi32(a), bias_a);
            let b = _mm256_add_epi32(_mm256_cvtepi8_epi32(b), bias_b);
            let value = _mm256_fmadd_ps(_mm256_cvtepi32_ps(b), ratio_b, fixed);
            let value = _mm256_fmadd_ps(_mm256_cvtepi32_ps(a), ratio_a, value);
            let value = _mm256_min_ps(_mm256_max_ps(value, low), high);
            *half = _mm256_add_epi32(_mm256_cvtps_epi32(value), zero_point);
        }
        *y = super::avx2::narrow(halves);
    }
    sum.block(y_rest, a_rest, b_rest);
}
