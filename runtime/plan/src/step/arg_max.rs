//! Index of the largest or smallest element.

use super::check::{Check, require};
use super::word::parameters;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of an arg-max of signed bytes over the middle of three groups of axes,
    /// x being `[outer][reduce][inner]` and y `[outer][inner]` of `i32`:
    ///
    /// `y[o][i]` is the index `r` of the largest `x[o][r][i]`, the first of several that
    /// are equal. ONNX says `int64`; a plan stores 32 bits, which every index fits.
    pub struct ArgMax {
        /// Product of the extents before the reduced axis.
        pub outer: u32,
        /// Extent of the reduced axis.
        pub reduce: u32,
        /// Product of the extents after it.
        pub inner: u32,
        /// The smallest instead of the largest.
        pub smallest: bool,
        /// The last of several that are equal instead of the first.
        pub last: bool,
    }
}

impl ArgMax {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.inputs_of::<1>()?;
        require(
            x.dtype == Dtype::I8 && check.output.dtype == Dtype::I32,
            StepFault::Dtype,
        )?;
        require(self.reduce > 0, StepFault::Parameter)?;
        let kept = u64::from(self.outer).saturating_mul(u64::from(self.inner));
        require(
            kept.saturating_mul(u64::from(self.reduce)) == x.shape.elements() as u64
                && kept == check.output.shape.elements() as u64,
            StepFault::Shape,
        )
    }
}
