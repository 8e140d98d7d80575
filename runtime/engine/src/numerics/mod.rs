//! Rounding and clamping, the same bits on every processor.

#[cfg(test)]
mod tests;

/// 1.5 · 2²³: added to a value within ±2²², it leaves the value rounded half to even in
/// the low bits of the sum.
const ROUND: f32 = 12_582_912.0;

/// Turns a real result in steps of the output into an output: rounds half to even, adds
/// the zero point, clamps.
#[derive(Clone, Copy)]
pub(crate) struct Requantize {
    low: f32,
    high: f32,
    zero_point: i32,
}

impl Requantize {
    /// `round_ties_even(v) + zero_point` within `low..=high`, which lie within `i8`;
    /// `zero_point` lies within ±255.
    pub(crate) fn new(low: i32, high: i32, zero_point: i32) -> Self {
        // The bounds are whole, so that clamping before rounding gives what clamping
        // after it gives, and the sum below never leaves its range.
        Requantize {
            low: low.wrapping_sub(zero_point) as f32,
            high: high.wrapping_sub(zero_point) as f32,
            zero_point,
        }
    }

    /// The output for `value`; a NaN counts as lower than every number.
    #[inline(always)]
    pub(crate) fn real(self, value: f32) -> i8 {
        let value = if value > self.low { value } else { self.low };
        let value = if value < self.high { value } else { self.high };
        let rounded = (value + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32;
        rounded.wrapping_add(self.zero_point) as i8
    }

    /// The output for an accumulator.
    #[inline(always)]
    pub(crate) fn accumulator(self, acc: i32, multiplier: f32) -> i8 {
        self.real(acc as f32 * multiplier)
    }
}

/// `a · b + c` rounded once.
#[inline(always)]
pub(crate) fn fma(a: f32, b: f32, c: f32) -> f32 {
    libm::fmaf(a, b, c)
}
