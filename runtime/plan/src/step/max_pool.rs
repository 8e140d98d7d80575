//! Maximum over windows of NHWC.

use super::check::{Check, nhwc, require, window};
use super::word::parameters;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of a maximum over windows; taps outside the input do not count, and
    /// a window with no tap inside gives -128.
    pub struct MaxPool {
        /// Rows of the window.
        pub kernel_h: u32,
        /// Columns of the window.
        pub kernel_w: u32,
        /// Input rows between two output rows.
        pub stride_h: u32,
        /// Input columns between two output columns.
        pub stride_w: u32,
        /// Input rows between two window rows.
        pub dilation_h: u32,
        /// Input columns between two window columns.
        pub dilation_w: u32,
        /// Rows of padding above.
        pub pad_top: u32,
        /// Columns of padding to the left.
        pub pad_left: u32,
    }
}

impl MaxPool {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.operands::<1>(Dtype::I8)?;
        let [n, _, _, c] = nhwc(&x.shape)?;
        let [batch, out_h, out_w, channels] = nhwc(&check.output.shape)?;
        require(n == batch && c == channels, StepFault::Shape)?;
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
        )
    }
}
