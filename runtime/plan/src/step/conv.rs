//! Convolution over NHWC, with groups, strides, dilations, and padding.

use super::check::{Check, clamp_i8, nhwc, require, window, zero_point_i8};
use super::word::parameters;
use crate::{Dtype, Operator, StepFault};

parameters! {
    /// Parameters of a convolution, depthwise ones included.
    ///
    /// With `x` `[n][h][w][in]`, output channel `o` of group `g`:
    ///
    /// `acc = bias[o] + Σ x[ky·stride_h·…][…] · w[o]…  - weight_zero_point · Σ x…`
    ///
    /// in wrapping `i32`, where taps outside the input read `input_zero_point`, and
    ///
    /// `y = clamp(round_ties_even(f32(acc) · multiplier[o]) + zero_point, low, high)`.
    ///
    /// The compiler has folded `-input_zero_point · Σ(w - weight_zero_point)` into the bias.
    pub struct Conv {
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
        /// Rows of padding above; those below follow from the output's height.
        pub pad_top: u32,
        /// Columns of padding to the left; those to the right follow from the output's width.
        pub pad_left: u32,
        /// Groups that the channels are divided into.
        pub groups: u32,
        /// Offset of the `i8` weights: `[out][kh][kw][in / groups]`, or `[kh][kw][out]`
        /// for a depthwise step.
        pub weights: u32,
        /// Offset of `i32[out]`.
        pub bias: u32,
        /// Offset of `f32[out]`: input scale · weight scale / output scale.
        pub multipliers: u32,
        /// What padding reads.
        pub input_zero_point: i32,
        /// Added after rounding.
        pub zero_point: i32,
        /// Lowest output.
        pub low: i32,
        /// Highest output.
        pub high: i32,
        /// Zero point of the weights, 0 for symmetric ones.
        pub weight_zero_point: i32,
    }
}

impl Conv {
    /// Bytes of scratch of a convolution that is not depthwise: one im2col row of a
    /// group, or none where the kernel is a point.
    pub fn scratch_bytes(&self, channels_in: u32) -> Option<usize> {
        if self.is_pointwise() && self.groups == 1 {
            return Some(0);
        }
        self.taps()?
            .checked_mul((channels_in / self.groups.max(1)) as usize)
    }

    /// A 1×1 kernel without padding, so that each output pixel reads one input pixel.
    pub fn is_pointwise(&self) -> bool {
        self.kernel_h == 1 && self.kernel_w == 1 && self.pad_top == 0 && self.pad_left == 0
    }

    fn taps(&self) -> Option<usize> {
        (self.kernel_h as usize).checked_mul(self.kernel_w as usize)
    }

    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.operands::<1>(Dtype::I8)?;
        let [n, h, w, channels_in] = nhwc(&x.shape)?;
        let [batch, out_h, out_w, channels_out] = nhwc(&check.output.shape)?;
        require(n == batch, StepFault::Shape)?;
        require(self.groups > 0, StepFault::Parameter)?;
        require(channels_in.is_multiple_of(self.groups), StepFault::Shape)?;
        require(channels_out.is_multiple_of(self.groups), StepFault::Shape)?;
        window(
            self.kernel_h,
            self.stride_h,
            self.dilation_h,
            self.pad_top,
            out_h,
        )?;
        window(
            self.kernel_w,
            self.stride_w,
            self.dilation_w,
            self.pad_left,
            out_w,
        )?;
        let depthwise = matches!(check.step.operator, Operator::DepthwiseConv(_));
        if depthwise {
            require(self.groups == channels_in, StepFault::Shape)?;
        } else {
            check.scratch(self.scratch_bytes(channels_in).ok_or(StepFault::Scratch)?)?;
            if self.is_pointwise() {
                // Pointwise kernels read pixels without looking for the border.
                let inside = u64::from(out_h - 1) * u64::from(self.stride_h) < u64::from(h)
                    && u64::from(out_w - 1) * u64::from(self.stride_w) < u64::from(w);
                require(inside, StepFault::Shape)?;
            }
        }
        let outputs = channels_out as usize;
        let weights = self
            .taps()
            .and_then(|t| t.checked_mul((channels_in / self.groups) as usize))
            .and_then(|t| t.checked_mul(outputs))
            .ok_or(StepFault::Constant)?;
        check.constant(self.weights, weights)?;
        check.constant(
            self.bias,
            outputs.checked_mul(4).ok_or(StepFault::Constant)?,
        )?;
        check.finite(self.multipliers, outputs)?;
        zero_point_i8(self.input_zero_point)?;
        zero_point_i8(self.zero_point)?;
        zero_point_i8(self.weight_zero_point)?;
        clamp_i8(self.low, self.high)
    }
}
