//! Mean over the middle of three groups of axes.

use super::check::{Check, clamp_i8, require, zero_point_i8};
use super::word::parameters;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of a mean over `reduce` of `[outer][reduce][inner]`.
    ///
    /// `acc = Σ x - reduce · zero_x` in wrapping `i32`, and
    /// `y = clamp(round_ties_even(f32(acc) · multiplier) + zero_point, low, high)`.
    pub struct ReduceMean {
        /// Product of the dimensions before the reduced ones.
        pub outer: u32,
        /// Product of the reduced dimensions.
        pub reduce: u32,
        /// Product of the dimensions after the reduced ones.
        pub inner: u32,
        /// Zero point of x.
        pub zero_x: i32,
        /// Scale of x / (scale of y · reduce).
        pub multiplier: f32,
        /// Added after rounding.
        pub zero_point: i32,
        /// Lowest output.
        pub low: i32,
        /// Highest output.
        pub high: i32,
    }
}

impl ReduceMean {
    /// Bytes of scratch: one `i32` accumulator per inner position.
    pub fn scratch_bytes(&self) -> Option<usize> {
        (self.inner as usize).checked_mul(4)
    }

    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.operands::<1>(Dtype::I8)?;
        let (outer, reduce, inner) = (
            u64::from(self.outer),
            u64::from(self.reduce),
            u64::from(self.inner),
        );
        require(outer > 0 && reduce > 0 && inner > 0, StepFault::Parameter)?;
        let read = outer.checked_mul(reduce).and_then(|n| n.checked_mul(inner));
        require(read == Some(x.shape.elements() as u64), StepFault::Shape)?;
        let written = outer.checked_mul(inner);
        require(
            written == Some(check.output.shape.elements() as u64),
            StepFault::Shape,
        )?;
        check.scratch(self.scratch_bytes().ok_or(StepFault::Scratch)?)?;
        zero_point_i8(self.zero_x)?;
        zero_point_i8(self.zero_point)?;
        clamp_i8(self.low, self.high)
    }
}
