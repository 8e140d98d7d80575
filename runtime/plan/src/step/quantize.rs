//! Quantization at the borders of a model.

use super::check::{Check, require, zero_point_i8};
use super::wide::i16_range;
use super::word::parameters;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of `f32` to `i8` or `i16`, `low..=high` being the range of the dtype:
    /// `y = round_ties_even(clamp(x / scale, low - zero_point, high - zero_point)) + zero_point`;
    /// a NaN becomes `low`.
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
            x.dtype == Dtype::F32 && matches!(check.output.dtype, Dtype::I8 | Dtype::I16),
            StepFault::Dtype,
        )?;
        require(
            x.shape.elements() == check.output.shape.elements(),
            StepFault::Shape,
        )?;
        require(self.scale > 0.0, StepFault::Parameter)?;
        zero_point(check.output.dtype, self.zero_point)
    }
}

parameters! {
    /// Parameters of `i8` or `i16` to `f32`: `y = f32(x - zero_point) · scale`.
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
            matches!(x.dtype, Dtype::I8 | Dtype::I16) && check.output.dtype == Dtype::F32,
            StepFault::Dtype,
        )?;
        require(
            x.shape.elements() == check.output.shape.elements(),
            StepFault::Shape,
        )?;
        zero_point(x.dtype, self.zero_point)
    }
}

fn zero_point(dtype: Dtype, zero_point: i32) -> Result<(), StepFault> {
    match dtype {
        Dtype::I16 => i16_range(zero_point, zero_point),
        _ => zero_point_i8(zero_point),
    }
}
