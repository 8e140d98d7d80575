//! 16-bit activations. ONNX Runtime runs them in `f32` between DequantizeLinear and
//! QuantizeLinear; sums here are exact integers, so that an output may differ by one of
//! its 65,536 steps.

use super::check::{Check, nhwc, require, window, zero_point_i8};
use super::word::parameters;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of a convolution of `i16` with `i8` weights `[out][kh][kw][in / groups]`:
    ///
    /// `acc = bias[o] + Σ (x - input_zero_point) · (w - weight_zero_point)` in `i64`, over
    /// the taps inside the input;
    /// `y = clamp(round_ties_even(f32(acc) · multiplier[o]) + zero_point, low, high)`.
    pub struct WideConv {
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
        /// Offset of `i32[out]`.
        pub bias: u32,
        /// Offset of `f32[out]`: input scale · weight scale / output scale.
        pub multipliers: u32,
        /// Zero point of x.
        pub input_zero_point: i32,
        /// Zero point of the weights.
        pub weight_zero_point: i32,
        /// Zero point of y.
        pub zero_point: i32,
        /// Lowest output.
        pub low: i32,
        /// Highest output.
        pub high: i32,
    }
}

impl WideConv {
    /// Elements of scratch: the activations that one output pixel of a group reads.
    pub fn patch(&self, channels_in: usize) -> Option<usize> {
        (self.kernel_h as usize)
            .checked_mul(self.kernel_w as usize)?
            .checked_mul(channels_in / (self.groups as usize).max(1))
    }

    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.operands::<1>(Dtype::I16)?;
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
        check.scratch(patch.checked_mul(2).ok_or(StepFault::Scratch)?)?;
        let weights = patch.checked_mul(outputs).ok_or(StepFault::Constant)?;
        check.constant(self.weights, weights)?;
        let words = outputs.checked_mul(4).ok_or(StepFault::Constant)?;
        check.constant(self.bias, words)?;
        check.finite(self.multipliers, outputs)?;
        zero_point_i8(self.weight_zero_point)?;
        i16_range(self.input_zero_point, self.input_zero_point)?;
        i16_range(self.zero_point, self.zero_point)?;
        i16_range(self.low, self.high)
    }
}

parameters! {
    /// Parameters of a sum or product of two `i16` tensors of one shape, every operation
    /// rounded to `f32`:
    ///
    /// `a' = f32(a - zero_a) · scale_a`, `b'` likewise, `real = a' + b'` or `a' · b'`;
    /// `y = clamp(round_ties_even(real / scale_y) + zero_point, low, high)`.
    pub struct WidePair {
        /// The product instead of the sum.
        pub product: bool,
        /// Real value of one step of a.
        pub scale_a: f32,
        /// Zero point of a.
        pub zero_a: i32,
        /// Real value of one step of b; negative for a difference.
        pub scale_b: f32,
        /// Zero point of b.
        pub zero_b: i32,
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

impl WidePair {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [a, b] = check.operands::<2>(Dtype::I16)?;
        require(
            a.bytes == check.output.bytes && b.bytes == check.output.bytes,
            StepFault::Shape,
        )?;
        require(self.scale_y > 0.0, StepFault::Parameter)?;
        i16_range(self.zero_a, self.zero_a)?;
        i16_range(self.zero_b, self.zero_b)?;
        i16_range(self.zero_point, self.zero_point)?;
        i16_range(self.low, self.high)
    }
}

parameters! {
    /// Parameters of a change of scale, `i8` or `i16` to either:
    ///
    /// `y = clamp(round_ties_even(f32(x - zero_x) · scale_x / scale_y) + zero_point, low, high)`,
    /// each operation rounded.
    pub struct WideRequantize {
        /// Real value of one step of x.
        pub scale_x: f32,
        /// Zero point of x.
        pub zero_x: i32,
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

impl WideRequantize {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.inputs_of::<1>()?;
        let y = check.output;
        let known = |dtype| matches!(dtype, Dtype::I8 | Dtype::I16);
        require(known(x.dtype) && known(y.dtype), StepFault::Dtype)?;
        require(x.shape.elements() == y.shape.elements(), StepFault::Shape)?;
        require(self.scale_y > 0.0, StepFault::Parameter)?;
        i16_range(self.zero_x, self.zero_x)?;
        i16_range(self.zero_point, self.zero_point)?;
        i16_range(self.low, self.high)
    }
}

/// `low..=high` is a range of `i16`.
pub(super) fn i16_range(low: i32, high: i32) -> Result<(), StepFault> {
    let range = i32::from(i16::MIN)..=i32::from(i16::MAX);
    require(
        range.contains(&low) && range.contains(&high) && low <= high,
        StepFault::Parameter,
    )
}
