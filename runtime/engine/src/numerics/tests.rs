//! Rounding and sums against the standard library's rounding and fused multiply-add.

use super::{Requantize, Sum};
use proptest::prelude::*;
use sanderling_plan::step::Add;
use std::vec::Vec;

/// What [`Requantize::real`] says it computes.
fn stated(value: f32, low: i32, high: i32, zero_point: i32) -> i8 {
    if value.is_nan() {
        return low as i8;
    }
    (f64::from(value.round_ties_even()) + f64::from(zero_point))
        .clamp(f64::from(low), f64::from(high)) as i8
}

fn clamp() -> impl Strategy<Value = (i32, i32)> {
    (-128..=127, -128..=127).prop_map(|(a, b): (i32, i32)| (a.min(b), a.max(b)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 20_000 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_real_is_rounded_half_to_even(
        bits: u32,
        near in -600i32..600,
        (low, high) in clamp(),
        zero_point in -255i32..=255,
    ) {
        let requantize = Requantize::new(low, high, zero_point);
        let half = near as f32 / 2.0;
        for value in [f32::from_bits(bits), half, half.next_up(), half.next_down()] {
            prop_assert_eq!(requantize.real(value), stated(value, low, high, zero_point), "{}", value);
        }
    }

    #[test]
    fn any_accumulator_is_scaled_once(acc: i32, exponent in -12f32..1.0, (low, high) in clamp(), zero_point in -128i32..=127) {
        let multiplier = 10f32.powf(exponent);
        let expected = stated(acc as f32 * multiplier, low, high, zero_point);
        prop_assert_eq!(Requantize::new(low, high, zero_point).accumulator(acc, multiplier), expected);
    }

    #[test]
    fn sums_near_ties_are_those_of_the_formula(
        ratios in (any::<i8>(), any::<i8>(), any::<i16>()),
        shift in 3u32..8,
        nudge in -3i32..=3,
        operands in prop::collection::vec((any::<i8>(), any::<i8>()), 1..40),
        (low, high) in clamp(),
    ) {
        // Ratios with few bits put many sums exactly on a tie, and the nudge beside it.
        let nudged = |v: f32| {
            let v = v / (1u32 << shift) as f32;
            f32::from_bits(v.to_bits().wrapping_add_signed(nudge))
        };
        let p = Add {
            ratio_a: nudged(ratios.0.into()),
            ratio_b: nudged(ratios.1.into()),
            fixed: nudged(ratios.2.into()),
            bias_a: 128,
            bias_b: 0,
            bias_y: 128,
            low,
            high,
        };
        check_sum(&p, &operands);
    }

    #[test]
    fn sums_with_any_ratios_are_those_of_the_formula(
        (ratio_a, ratio_b, fixed) in (finite(), finite(), finite()),
        operands in prop::collection::vec((any::<i8>(), any::<i8>()), 1..40),
    ) {
        let (low, high) = (-128, 127);
        check_sum(&Add { ratio_a, ratio_b, fixed, bias_a: 0, bias_b: 128, bias_y: 0, low, high }, &operands);
    }
}

fn finite() -> impl Strategy<Value = f32> {
    any::<u32>()
        .prop_map(f32::from_bits)
        .prop_filter("a plan's ratios are finite", |v| v.is_finite())
}

fn check_sum(p: &Add, operands: &[(i8, i8)]) {
    let (a, b): (Vec<i8>, Vec<i8>) = operands.iter().copied().unzip();
    let mut y = std::vec![0; operands.len()];
    Sum::new(p).block(&mut y, &a, &b);
    for (&(a, b), &y) in operands.iter().zip(&y) {
        let (a, b) = (
            (i32::from(a) + p.bias_a) as f32,
            (i32::from(b) + p.bias_b) as f32,
        );
        let real = a.mul_add(p.ratio_a, b.mul_add(p.ratio_b, p.fixed));
        assert_eq!(y, stated(real, p.low, p.high, -p.bias_y), "{a} {b} {p:?}");
    }
}

#[test]
fn extremes_saturate() {
    let requantize = Requantize::new(-128, 127, 3);
    for (value, expected) in [
        (f32::INFINITY, 127),
        (f32::MAX, 127),
        (f32::NEG_INFINITY, -128),
        (f32::MIN, -128),
        (f32::NAN, -128),
        (-0.0, 3),
        (f32::MIN_POSITIVE, 3),
        (123.5, 127),
        (122.5, 125),
        (-130.5, -127),
        (-131.5, -128),
    ] {
        assert_eq!(requantize.real(value), expected, "{value}");
    }
}
