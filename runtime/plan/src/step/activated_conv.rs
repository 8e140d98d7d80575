//! Convolution whose activation stands before the quantization.

use super::check::{Check, nhwc, require, window, zero_point_i8};
use super::word::parameters;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of a convolution that an activation follows without a quantization
    /// between them. ONNX Runtime runs both in `f32`; here the sum stays an integer, and
    /// the activation with everything after it is a function with at most 2¹⁶ levels.
    ///
    /// `acc` is that of [`Conv`](super::Conv), weights `[out][kh][kw][in / groups]`, and
    /// `y = values[number of bounds that are at most f32(acc) · multiplier[o]]`.
    pub struct ActivatedConv {
        /// Rows of the kernel.
        pub kernel_h: u32,
        /// Columns of the kernel.
        pub kernel_w: u32,
        /// Input rows between two output rows.
        pub stride_h: u32,
        /// Input columns between two output columns.
        pub stride_w: u32,
        /// Input rows between two kernel rows.
        pub dilation_h: u32,
        /// Input columns between two kernel columns.
        pub dilation_w: u32,
        /// Rows of padding above.
        pub pad_top: u32,
        /// Columns of padding to the left.
        pub pad_left: u32,
        /// Groups that the channels are divided into.
        pub groups: u32,
        /// Offset of the `i8` weights.
        pub weights: u32,
        /// Offset of `i32[out]`, the input's zero point folded in as in [`Conv`](super::Conv).
        pub bias: u32,
        /// Offset of `f32[out]`: input scale · weight scale.
        pub multipliers: u32,
        /// What padding reads.
        pub input_zero_point: i32,
        /// Zero point of the weights.
        pub weight_zero_point: i32,
        /// Offset of `f32[steps]`, in rising order.
        pub bounds: u32,
        /// Offset of `i8[steps + 1]`.
        pub values: u32,
        /// Number of bounds.
        pub steps: u32,
    }
}

impl ActivatedConv {
    /// Most bounds.
    pub const MAX_STEPS: u32 = 1 << 16;

    /// Elements of scratch: the activations that one output pixel of a group reads.
    pub fn patch(&self, channels_in: usize) -> Option<usize> {
        (self.kernel_h as usize)
            .checked_mul(self.kernel_w as usize)?
            .checked_mul(channels_in / (self.groups as usize).max(1))
    }

    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.operands::<1>(Dtype::I8)?;
        let [n, _, _, channels_in] = nhwc(&x.shape)?;
        let [batch, out_h, out_w, channels_out] = nhwc(&check.output.shape)?;
        require(n == batch, StepFault::Shape)?;
        require(self.groups > 0, StepFault::Parameter)?;
        require(channels_in.is_multiple_of(self.groups), StepFault::Shape)?;
        require(channels_out.is_multiple_of(self.groups), StepFault::Shape)?;
        let (h, w) = (self.kernel_h, self.kernel_w);
        window(h, self.stride_h, self.dilation_h, self.pad_top, out_h)?;
        window(w, self.stride_w, self.dilation_w, self.pad_left, out_w)?;
        let outputs = channels_out as usize;
        let patch = self.patch(channels_in as usize);
        let patch = patch.ok_or(StepFault::Scratch)?;
        check.scratch(patch)?;
        let weights = patch.checked_mul(outputs).ok_or(StepFault::Constant)?;
        check.constant(self.weights, weights)?;
        let words = outputs.checked_mul(4).ok_or(StepFault::Constant)?;
        check.constant(self.bias, words)?;
        check.finite(self.multipliers, outputs)?;
        zero_point_i8(self.input_zero_point)?;
        zero_point_i8(self.weight_zero_point)?;
        require(self.steps <= Self::MAX_STEPS, StepFault::Parameter)?;
        check.finite(self.bounds, self.steps as usize)?;
        check
            .constant(self.values, self.steps as usize + 1)
            .map(|_| ())
    }
}
