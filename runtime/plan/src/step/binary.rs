//! Elementwise sum and product of two quantized tensors.

use super::check::{Check, clamp_i8, require, zero_point_i8};
use super::word::parameters;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of a sum.
    ///
    /// With `a' = a + bias_a` and `b' = b + bias_b` as `f32`:
    /// `y = clamp(round_ties_even(fma(a', ratio_a, fma(b', ratio_b, fixed))) - bias_y, low, high)`.
    ///
    /// ONNX Runtime rounds in terms of the stored dtype, so the biases are 128 for a
    /// tensor that is `u8` in the ONNX file and 0 for an `i8` one.
    pub struct Add {
        /// Scale of a / scale of y.
        pub ratio_a: f32,
        /// Scale of b / scale of y.
        pub ratio_b: f32,
        /// Zero point of y - fma(ratio_a, zero point of a, ratio_b · zero point of b).
        pub fixed: f32,
        /// 0 or 128.
        pub bias_a: i32,
        /// 0 or 128.
        pub bias_b: i32,
        /// 0 or 128.
        pub bias_y: i32,
        /// Lowest output.
        pub low: i32,
        /// Highest output.
        pub high: i32,
    }
}

impl Add {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        same_shapes(check)?;
        for bias in [self.bias_a, self.bias_b, self.bias_y] {
            require(bias == 0 || bias == 128, StepFault::Parameter)?;
        }
        clamp_i8(self.low, self.high)
    }
}

parameters! {
    /// Parameters of a product.
    ///
    /// `y = clamp(round_ties_even(f32((a - zero_a) · (b - zero_b)) · ratio + offset) - bias_y, low, high)`,
    /// product and sum rounded separately.
    pub struct Mul {
        /// Zero point of a.
        pub zero_a: i32,
        /// Zero point of b.
        pub zero_b: i32,
        /// Scale of a · scale of b / scale of y.
        pub ratio: f32,
        /// Zero point of y as ONNX stores it.
        pub offset: f32,
        /// 0, or 128 where y is `u8` in the ONNX file.
        pub bias_y: i32,
        /// Lowest output.
        pub low: i32,
        /// Highest output.
        pub high: i32,
    }
}

impl Mul {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        same_shapes(check)?;
        zero_point_i8(self.zero_a)?;
        zero_point_i8(self.zero_b)?;
        require(self.bias_y == 0 || self.bias_y == 128, StepFault::Parameter)?;
        clamp_i8(self.low, self.high)
    }
}

fn same_shapes(check: &Check<'_>) -> Result<(), StepFault> {
    let [a, b] = check.operands::<2>(Dtype::I8)?;
    let elements = check.output.shape.elements();
    require(
        a.shape.elements() == elements && b.shape.elements() == elements,
        StepFault::Shape,
    )
}
