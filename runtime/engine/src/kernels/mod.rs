//! Inner loops, one file per instruction set.
//!
//! Operators walk shapes, borders, and groups; a kernel gets dense rows. Every set
//! computes the same bits as [`generic`], which runs everywhere.

mod generic;

pub(crate) use generic::{BLOCK, depthwise_tap, linear_row, sum};

use crate::memory::Constants;
use crate::numerics::Requantize;

/// Weights, biases, and requantization of consecutive output channels.
#[derive(Clone, Copy)]
pub(crate) struct Linear<'a> {
    /// `[out][k]`.
    pub(crate) weights: &'a [i8],
    /// `[out]`, in steps of the accumulator.
    pub(crate) bias: &'a [i32],
    /// `[out]`, steps of the output per step of the accumulator.
    pub(crate) multipliers: &'a [f32],
    pub(crate) weight_zero_point: i32,
    pub(crate) requantize: Requantize,
}

impl<'a> Linear<'a> {
    /// Looks `outputs` channels of `k` weights each up by their offsets.
    pub(crate) fn of(
        constants: &Constants<'a>,
        [weights, bias, multipliers]: [u32; 3],
        outputs: usize,
        k: usize,
        weight_zero_point: i32,
        requantize: Requantize,
    ) -> Option<Self> {
        Some(Linear {
            weights: constants.slice(weights, outputs.checked_mul(k)?)?,
            bias: constants.slice(bias, outputs)?,
            multipliers: constants.slice(multipliers, outputs)?,
            weight_zero_point,
            requantize,
        })
    }

    /// `count` channels from `first` on.
    pub(crate) fn channels(&self, first: usize, count: usize, k: usize) -> Option<Self> {
        let end = first.checked_add(count)?;
        Some(Linear {
            weights: self
                .weights
                .get(first.checked_mul(k)?..end.checked_mul(k)?)?,
            bias: self.bias.get(first..end)?,
            multipliers: self.multipliers.get(first..end)?,
            ..*self
        })
    }
}
