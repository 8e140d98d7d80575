//! Float outputs of a model whose last operator is not quantized.

use super::check::{Check, require, zero_point_i8};
use super::word::parameters;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of a table from byte to `f32`: `y = table[x as u8]`.
    pub struct LookupReal {
        /// Offset of `f32[256]`.
        pub table: u32,
    }
}

impl LookupReal {
    /// Entries of a table.
    pub const ENTRIES: usize = 256;

    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.inputs_of::<1>()?;
        require(
            x.dtype == Dtype::I8 && check.output.dtype == Dtype::F32,
            StepFault::Dtype,
        )?;
        require(
            x.shape.elements() == check.output.shape.elements(),
            StepFault::Shape,
        )?;
        check
            .constant(self.table, Self::ENTRIES * size_of::<f32>())
            .map(|_| ())
    }
}

parameters! {
    /// Parameters of a softmax over the last axis that ends a model in `f32`:
    ///
    /// `real(q) = f32(q - zero_x) · scale`, or x itself where that is `f32`;
    /// `e[i] = expf(real(x[i]) - real(max))`,
    /// `y[i] = e[i] / Σ e`, the sum in `f32`, in order, with the rounding errors carried
    /// along (Kahan), so that long rows lose nothing.
    pub struct SoftmaxReal {
        /// Real value of one step of x.
        pub scale: f32,
        /// Zero point of x.
        pub zero_x: i32,
    }
}

impl SoftmaxReal {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.inputs_of::<1>()?;
        require(
            matches!(x.dtype, Dtype::I8 | Dtype::F32) && check.output.dtype == Dtype::F32,
            StepFault::Dtype,
        )?;
        require(x.shape == check.output.shape, StepFault::Shape)?;
        require(self.scale >= 0.0, StepFault::Parameter)?;
        zero_point_i8(self.zero_x)
    }
}
