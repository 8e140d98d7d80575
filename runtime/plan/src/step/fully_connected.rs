//! Matrix product with constant weights.

use super::check::{Check, clamp_i8, require, zero_point_i8};
use super::word::parameters;
use crate::{Dtype, StepFault, Target};

parameters! {
    /// Parameters of a matrix product `[rows][k] × [k][out]`, rows being all dimensions
    /// but the last.
    ///
    /// `acc = bias[o] + Σ x[k] · w[o][k] - weight_zero_point · Σ x[k]` in wrapping `i32`, and
    /// `y = clamp(round_ties_even(f32(acc) · multiplier[o]) + zero_point, low, high)`.
    pub struct FullyConnected {
        /// Offset of the `i8` weights `[out][k]`, as the target [packs](crate::packing) them.
        pub weights: u32,
        /// Offset of `i32[out]`, the input's zero point folded in.
        pub bias: u32,
        /// Offset of `f32[out]`.
        pub multipliers: u32,
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

impl FullyConnected {
    /// Bytes of scratch on rows of `k`: a tile of gathered activations where the target's
    /// kernels do not read them as they lie.
    pub fn scratch_bytes(&self, target: Target, k: usize) -> Option<usize> {
        let dense = target.dense();
        if dense.reads_in_place(k) {
            return Some(0);
        }
        dense.tile_bytes(k)
    }

    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.operands::<1>(Dtype::I8)?;
        let k = x.shape.last() as usize;
        let outputs = check.output.shape.last() as usize;
        let rows = x.shape.elements().checked_div(k).ok_or(StepFault::Shape)?;
        require(
            rows.checked_mul(outputs) == Some(check.output.shape.elements()),
            StepFault::Shape,
        )?;
        let dense = check.target.dense();
        check.scratch(
            self.scratch_bytes(check.target, k)
                .ok_or(StepFault::Scratch)?,
        )?;
        let weights = dense.weight_bytes(outputs, k);
        check.constant(self.weights, weights.ok_or(StepFault::Constant)?)?;
        check.constant(
            self.bias,
            outputs.checked_mul(4).ok_or(StepFault::Constant)?,
        )?;
        check.finite(self.multipliers, outputs)?;
        zero_point_i8(self.zero_point)?;
        zero_point_i8(self.weight_zero_point)?;
        clamp_i8(self.low, self.high)
    }
}
