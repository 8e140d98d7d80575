//! Softmax over the last axis.

use super::check::{Check, require};
use super::word::parameters;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of a softmax, as ONNX Runtime's QLinearSoftmax has it: the table holds
    /// scaled exponentials, so no exponential is computed on the robot.
    ///
    /// With `e[i] = table[(127 - max + x[i]) as u8]` and `sum = Σ e[i]` in `f32`, in order:
    /// `y = clamp(round_ties_even(e[i] · inverse_scale / sum) + zero_point, -128, 127)`.
    pub struct Softmax {
        /// Offset of `f32[256]`, indexed by the byte of `x` shifted so that the row's
        /// maximum is 127.
        pub table: u32,
        /// ⌊1 / scale of y⌋.
        pub inverse_scale: f32,
        /// Zero point of y.
        pub zero_point: i32,
    }
}

impl Softmax {
    /// Entries of the table.
    pub const ENTRIES: usize = 256;

    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.operands::<1>(Dtype::I8)?;
        require(x.shape == check.output.shape, StepFault::Shape)?;
        require(
            (-128..=127).contains(&self.zero_point),
            StepFault::Parameter,
        )?;
        check.finite(self.table, Self::ENTRIES)
    }
}
