//! The rounding trick against the standard library's rounding.

use super::{Requantize, fma};
use proptest::prelude::*;

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
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 100 } else { 20_000 }, failure_persistence: None, ..ProptestConfig::default() })]

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
    fn fma_rounds_once(a: f32, b: f32, c: f32, small in -300i16..300) {
        for (a, b, c) in [(a, b, c), (f32::from(small), b, c)] {
            let (got, expected) = (fma(a, b, c), a.mul_add(b, c));
            prop_assert!(got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan()));
        }
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
