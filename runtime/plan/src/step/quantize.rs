//! Quantization at the borders of a model.

use super::check::{Check, require};
use super::word::parameters;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of `f32` to `i8`:
    /// `y = round_ties_even(clamp(x / scale, -128 - zero_point, 127 - zero_point)) + zero_point`;
    /// a NaN becomes -128.
    pub struct Quantize {
        /// Real value of one step.
        pub scale: f32,
        /// Value that stands for real 0.
        pub zero_point: i32,
    }
}

impl Quantize {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.inputs_of::<1>()?;
        require(
            x.dtype == Dtype::F32 && check.output.dtype == Dtype::I8,
            StepFault::Dtype,
        )?;
        require(
            x.shape.elements() == check.output.shape.elements(),
            StepFault::Shape,
        )?;
        require(self.scale > 0.0, StepFault::Parameter)?;
        require(
            (-128..=127).contains(&self.zero_point),
            StepFault::Parameter,
        )
    }
}

parameters! {
    /// Parameters of `i8` to `f32`: `y = f32(x - zero_point) · scale`.
    pub struct Dequantize {
        /// Real value of one step.
        pub scale: f32,
        /// Value that stands for real 0.
        pub zero_point: i32,
    }
}

impl Dequantize {
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
        require(
            (-128..=127).contains(&self.zero_point),
            StepFault::Parameter,
        )
    }
}
