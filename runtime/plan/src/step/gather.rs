//! Rows picked by index, as an embedding does.

use super::check::{Check, require};
use super::word::parameters;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of a gather, x being `[outer][extent][inner]`, the second operand `i32`
    /// indices, and y `[outer][indices][inner]` of whole elements:
    ///
    /// `y[o][j][i] = x[o][index[j]][i]`. A negative index counts from the end; one that
    /// lies outside is taken as the nearest that does not.
    pub struct Gather {
        /// Product of the extents before the axis.
        pub outer: u32,
        /// Extent of the axis.
        pub extent: u32,
        /// Product of the extents after the axis.
        pub inner: u32,
    }
}

impl Gather {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x, indices] = check.inputs_of::<2>()?;
        let y = check.output;
        require(
            indices.dtype == Dtype::I32 && x.dtype.bytes() == y.dtype.bytes(),
            StepFault::Dtype,
        )?;
        require(
            self.extent > 0 && self.extent <= i32::MAX as u32,
            StepFault::Parameter,
        )?;
        let rest = u64::from(self.outer).saturating_mul(u64::from(self.inner));
        let count = |axis: u64| rest.saturating_mul(axis);
        require(
            count(u64::from(self.extent)) == x.shape.elements() as u64
                && count(indices.shape.elements() as u64) == y.shape.elements() as u64,
            StepFault::Shape,
        )
    }
}
