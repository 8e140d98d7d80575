//! Matrix product of two tensors, neither of which is constant.

use super::check::{Check, clamp_i8, require, zero_point_i8};
use super::word::parameters;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of a product of matrices, x being `[batch][m][k]`, the second operand
    /// `[batch][n][k]` (its rows are the columns of the mathematical matrix), and y
    /// `[batch][m][n]`:
    ///
    /// `acc = Σ (a - zero_a) · (b - zero_b)` in wrapping `i32`;
    /// `y = clamp(round_ties_even(f32(acc) · multiplier) + zero_point)`.
    pub struct MatMul {
        /// Matrices on either side.
        pub batch: u32,
        /// Zero point of a.
        pub zero_a: i32,
        /// Zero point of b.
        pub zero_b: i32,
        /// Scale of a · scale of b / scale of y.
        pub multiplier: f32,
        /// Zero point of y.
        pub zero_point: i32,
        /// Lowest output.
        pub low: i32,
        /// Highest output.
        pub high: i32,
    }
}

impl MatMul {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [a, b] = check.operands::<2>(Dtype::I8)?;
        let matrix = |tensor: &crate::Tensor| <[u32; 3]>::try_from(tensor.shape.dims());
        let shape = |_| StepFault::Shape;
        let [batch_a, m, k] = matrix(a).map_err(shape)?;
        let [batch_b, n, depth] = matrix(b).map_err(shape)?;
        let [batch, rows, columns] = matrix(check.output).map_err(shape)?;
        require(
            [batch_a, batch_b, batch] == [self.batch; 3] && k == depth && (m, n) == (rows, columns),
            StepFault::Shape,
        )?;
        zero_point_i8(self.zero_a)?;
        zero_point_i8(self.zero_b)?;
        zero_point_i8(self.zero_point)?;
        clamp_i8(self.low, self.high)
    }
}
