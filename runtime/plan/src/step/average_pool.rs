//! Mean over windows of NHWC.

use super::check::{Check, clamp_i8, nhwc, require, window, zero_point_i8};
use super::word::parameters;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of a mean over windows, as ONNX Runtime's QLinearAveragePool has it:
    ///
    /// `sum = Σ scale_x · f32(x - zero_x)` in `f32`, row by row over the taps inside the
    /// input, `mean = sum / count`, and
    /// `y = clamp(round_ties_even(mean / scale_y + offset) - bias_y, low, high)`.
    pub struct AveragePool {
        /// Rows of the window.
        pub kernel_h: u32,
        /// Columns of the window.
        pub kernel_w: u32,
        /// Input rows between two output rows.
        pub stride_h: u32,
        /// Input columns between two output columns.
        pub stride_w: u32,
        /// Rows of padding above.
        pub pad_top: u32,
        /// Columns of padding to the left.
        pub pad_left: u32,
        /// Whether `count` is the whole window or only its taps inside the input.
        pub count_include_pad: bool,
        /// Scale of x.
        pub scale_x: f32,
        /// Zero point of x.
        pub zero_x: i32,
        /// Scale of y.
        pub scale_y: f32,
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

impl AveragePool {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.operands::<1>(Dtype::I8)?;
        let [n, _, _, c] = nhwc(&x.shape)?;
        let [batch, out_h, out_w, channels] = nhwc(&check.output.shape)?;
        require(n == batch && c == channels, StepFault::Shape)?;
        window(self.kernel_h, self.stride_h, 1, self.pad_top, out_h)?;
        window(self.kernel_w, self.stride_w, 1, self.pad_left, out_w)?;
        zero_point_i8(self.zero_x)?;
        require(self.scale_y > 0.0, StepFault::Parameter)?;
        require(self.bias_y == 0 || self.bias_y == 128, StepFault::Parameter)?;
        clamp_i8(self.low, self.high)
    }
}
