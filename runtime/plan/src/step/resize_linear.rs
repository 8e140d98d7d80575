//! Linear resize of NHWC.

use super::check::{Check, clamp_i8, nhwc, require, zero_point_i8};
use super::word::parameters;
use crate::bytes::u16_at;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of a bilinear resize as ONNX Runtime computes it, between a
    /// DequantizeLinear and a QuantizeLinear, every operation rounded to `f32`:
    ///
    /// `real(q) = f32(q - zero_x) · scale_x`, and with the two rows `a`, `b` of an output
    /// row, their weights `u`, `v`, and the two columns `c`, `d` with weights `s`, `t`:
    /// `sum = s·u·real(x[a][c]) + t·u·real(x[a][d]) + s·v·real(x[b][c]) + t·v·real(x[b][d])`
    /// from left to right, each product from left to right;
    /// `y = clamp(round_ties_even(sum / scale_y) + zero_point)`.
    pub struct ResizeLinear {
        /// Offset of `u16[output height][2]`: the two input rows.
        pub rows: u32,
        /// Offset of `f32[output height][2]`: their weights.
        pub row_weights: u32,
        /// Offset of `u16[output width][2]`: the two input columns.
        pub columns: u32,
        /// Offset of `f32[output width][2]`: their weights.
        pub column_weights: u32,
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

impl ResizeLinear {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.operands::<1>(Dtype::I8)?;
        let [n, h, w, c] = nhwc(&x.shape)?;
        let [batch, out_h, out_w, channels] = nhwc(&check.output.shape)?;
        require(n == batch && c == channels, StepFault::Shape)?;
        require(self.scale_y > 0.0, StepFault::Parameter)?;
        zero_point_i8(self.zero_x)?;
        zero_point_i8(self.zero_point)?;
        clamp_i8(self.low, self.high)?;
        for (offset, weights, count, limit) in [
            (self.rows, self.row_weights, out_h, h),
            (self.columns, self.column_weights, out_w, w),
        ] {
            let count = (count as usize)
                .checked_mul(2)
                .ok_or(StepFault::Parameter)?;
            let bytes = count.checked_mul(2).ok_or(StepFault::Parameter)?;
            let table = check.constant(offset, bytes)?;
            let inside = (0..count)
                .all(|i| u16_at(table, 2 * i).is_some_and(|source| u32::from(source) < limit));
            require(inside, StepFault::Parameter)?;
            check.finite(weights, count)?;
        }
        Ok(())
    }
}
