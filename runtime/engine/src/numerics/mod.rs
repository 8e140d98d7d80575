//! Rounding and clamping, the same bits on every processor.

#[cfg(test)]
mod tests;

#[cfg(all(feature = "cortex-m4", target_arch = "arm"))]
use crate::kernels::{Terms, fused};
#[cfg(all(
    any(test, not(target_arch = "aarch64")),
    not(all(feature = "cortex-m4", target_arch = "arm"))
))]
use libm::fmaf as fused;
#[cfg(any(test, not(target_arch = "aarch64")))]
use sanderling_plan::step::Add;

/// Elements whose sums are checked for doubt together.
#[cfg(not(target_arch = "aarch64"))]
const BLOCK: usize = 64;

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

    /// Lowest and highest output, and the zero point.
    #[cfg(any(
        target_arch = "aarch64",
        all(target_arch = "arm", feature = "cortex-m55"),
        all(target_arch = "arm", feature = "cortex-m4")
    ))]
    pub(crate) fn bounds(self) -> [i32; 3] {
        let bound = |bound: f32| (bound as i32).wrapping_add(self.zero_point);
        [bound(self.low), bound(self.high), self.zero_point]
    }

    /// Lower and upper bound of a value before rounding, and what is added after it.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn parts(self) -> (f32, f32, i32) {
        (self.low, self.high, self.zero_point)
    }

    /// The output for `value`; a NaN counts as lower than every number.
    #[inline(always)]
    pub(crate) fn real(self, value: f32) -> i8 {
        let rounded = (self.clamp(value) + ROUND)
            .to_bits()
            .wrapping_sub(ROUND.to_bits()) as i32;
        rounded.wrapping_add(self.zero_point) as i8
    }

    /// `value` within the bounds, which are whole numbers of steps.
    #[inline(always)]
    fn clamp(self, value: f32) -> f32 {
        let value = if value > self.low { value } else { self.low };
        if value < self.high { value } else { self.high }
    }

    /// The output for an accumulator.
    #[inline(always)]
    pub(crate) fn accumulator(self, acc: i32, multiplier: f32) -> i8 {
        self.real(acc as f32 * multiplier)
    }
}

// 64-bit Arm has the fused instruction: see `kernels::neon`.
#[cfg(any(test, not(target_arch = "aarch64")))]
/// The formula of [`Add`](sanderling_plan::step::Add), mostly without its fused
/// multiply-adds, which few processors here have and safe Rust cannot name in `core`.
///
/// Plain arithmetic is off by less than a known tolerance, so it gives the same output
/// except where its result lies that near to a tie between two outputs. Only blocks with
/// such an element are computed as the formula says.
#[derive(Clone, Copy)]
pub(crate) struct Sum {
    pub(crate) ratio_a: f32,
    pub(crate) ratio_b: f32,
    pub(crate) fixed: f32,
    pub(crate) bias_a: i32,
    pub(crate) bias_b: i32,
    pub(crate) requantize: Requantize,
    /// Distance from the nearest output above which a tie is too near; negative when
    /// every element is to be computed exactly.
    doubt: f32,
}

#[cfg(any(test, not(target_arch = "aarch64")))]
impl Sum {
    pub(crate) fn new(p: &Add) -> Self {
        // No operand exceeds 255 and no intermediate result the sum of all terms'
        // magnitudes. The formula rounds twice, plain arithmetic four times, each time by
        // half a step of 2⁻²³ of that sum; 8 in place of 6 covers the rounding of the
        // bound itself.
        let bound = 255.0 * p.ratio_a.abs() + 255.0 * p.ratio_b.abs() + p.fixed.abs();
        let tolerance = 8.0 * bound * (f32::EPSILON / 2.0);
        let doubt = if tolerance < 0.25 {
            0.5 - tolerance
        } else {
            -1.0
        };
        Sum {
            ratio_a: p.ratio_a,
            ratio_b: p.ratio_b,
            fixed: p.fixed,
            bias_a: p.bias_a,
            bias_b: p.bias_b,
            requantize: Requantize::new(p.low, p.high, p.bias_y.wrapping_neg()),
            doubt,
        }
    }

    /// Adds as many elements as all three have.
    #[cfg(not(target_arch = "aarch64"))]
    pub(crate) fn run(&self, y: &mut [i8], a: &[i8], b: &[i8]) {
        let blocks = y
            .chunks_mut(BLOCK)
            .zip(a.chunks(BLOCK))
            .zip(b.chunks(BLOCK));
        for ((y, a), b) in blocks {
            self.block(y, a, b);
        }
    }

    /// The same for a block, all of which is computed again for one doubtful element.
    #[cfg(not(all(feature = "cortex-m4", target_arch = "arm")))]
    pub(crate) fn block(&self, y: &mut [i8], a: &[i8], b: &[i8]) {
        let mut doubtful = false;
        for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
            let value = self.a(a) * self.ratio_a + (self.b(b) * self.ratio_b + self.fixed);
            let value = self.requantize.clamp(value);
            let rounded = (value + ROUND) - ROUND;
            doubtful |= (value - rounded).abs() > self.doubt;
            *y = self.requantize.real(value);
        }
        if doubtful {
            for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                *y = self.exact(a, b);
            }
        }
    }

    /// Adds as many elements as all three have, with the processor's own fused
    /// multiply-add.
    #[cfg(all(feature = "cortex-m4", target_arch = "arm"))]
    pub(crate) fn block(&self, y: &mut [i8], a: &[i8], b: &[i8]) {
        let (mut y, mut a, mut b) = (y, a, b);
        if self.doubt > 0.0 {
            let [low, high, zero_point] = self.requantize.bounds();
            let bytes = |value: i32| u32::from_ne_bytes([value as u8; 4]);
            let terms = Terms {
                bias_a: self.bias_a,
                bias_b: self.bias_b,
                offset: zero_point.wrapping_sub(low),
                range: bytes(high.wrapping_sub(low)),
                low: bytes(low),
                ratio_a: self.ratio_a,
                ratio_b: self.ratio_b,
                fixed: self.fixed,
            };
            let (words, a_words, b_words);
            (words, y) = y.as_chunks_mut::<4>();
            (a_words, a) = a.as_chunks::<4>();
            (b_words, b) = b.as_chunks::<4>();
            terms.words(words, a_words, b_words);
        }
        for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
            *y = self.exact(a, b);
        }
    }

    /// One element, as the formula says.
    fn exact(&self, a: i8, b: i8) -> i8 {
        let b = fused(self.b(b), self.ratio_b, self.fixed);
        self.requantize.real(fused(self.a(a), self.ratio_a, b))
    }

    #[inline(always)]
    fn a(&self, a: i8) -> f32 {
        i32::from(a).wrapping_add(self.bias_a) as f32
    }

    #[inline(always)]
    fn b(&self, b: i8) -> f32 {
        i32::from(b).wrapping_add(self.bias_b) as f32
    }
}
