//! Normalization of rows.

use super::check::{Check, clamp_i8, require, zero_point_i8};
use super::word::parameters;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of a layer normalization over the last axis, `n` elements long. ONNX
    /// Runtime runs it in `f32`; here the sums are exact integers, and only what follows
    /// is `f32`, so that one output in some 200,000 differs, by one step.
    ///
    /// With `d[i] = x[i] - zero_x`, `sum = Σ d[i]`, `squares = Σ d[i]²`:
    /// `mean = f32(sum) / f32(n)`,
    /// `spread = sqrt(f32(n · squares - sum²) / (f32(n) · f32(n)) · (scale_x · scale_x) + epsilon)`,
    /// `real = ((f32(d[i]) - mean) · scale_x / spread) · gain[i] + bias[i]`, each operation
    /// rounded, from left to right;
    /// `y = clamp(round_ties_even(real / scale_y) + zero_point)`.
    pub struct LayerNorm {
        /// Offset of `f32[n]`.
        pub gain: u32,
        /// Offset of `f32[n]`.
        pub bias: u32,
        /// Real value of one step of x.
        pub scale_x: f32,
        /// Zero point of x.
        pub zero_x: i32,
        /// Added to the variance.
        pub epsilon: f32,
        /// Real value of one step of y.
        pub scale_y: f32,
        /// Zero point of y.
        pub zero_point: i32,
        /// Lowest output.
        pub low: i32,
        /// Highest output.
        pub high: i32,
    }
}

impl LayerNorm {
    /// Longest row whose sums cannot overflow 63 bits: `n² · 255² < 2⁶³`.
    pub const MAX_WIDTH: u32 = 1 << 23;

    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.operands::<1>(Dtype::I8)?;
        require(x.shape == check.output.shape, StepFault::Shape)?;
        let width = x.shape.last();
        require(width <= Self::MAX_WIDTH, StepFault::Shape)?;
        require(
            self.scale_y > 0.0 && self.epsilon >= 0.0,
            StepFault::Parameter,
        )?;
        zero_point_i8(self.zero_x)?;
        zero_point_i8(self.zero_point)?;
        clamp_i8(self.low, self.high)?;
        check.finite(self.gain, width as usize)?;
        check.finite(self.bias, width as usize)
    }
}
