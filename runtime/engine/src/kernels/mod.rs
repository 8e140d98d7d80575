//! Inner loops, one file per instruction set.
//!
//! Operators walk shapes, borders, and groups and gather activations; a kernel gets dense
//! rows. Every set computes the same bits as [`generic`], which runs everywhere.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
mod aarch64_dotprod;
#[cfg(feature = "cortex-m4")]
mod armv7e_m;
mod generic;
mod isa;
#[cfg(target_arch = "aarch64")]
mod neon;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::Aarch64;
#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64_dotprod::Aarch64Dotprod;
#[cfg(feature = "cortex-m4")]
pub(crate) use armv7e_m::CortexM4;
#[cfg(all(feature = "cortex-m4", target_arch = "arm"))]
pub(crate) use armv7e_m::{Terms, fused};
#[cfg(feature = "generic")]
pub(crate) use generic::Generic;
pub(crate) use generic::{BLOCK, sum};
pub(crate) use isa::Isa;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::add;

use crate::memory::{Constants, copy};
use crate::numerics::Requantize;
use bytemuck::Pod;
use sanderling_plan::Target;
use sanderling_plan::packing::Dense;
use sanderling_plan::step::Conv;

/// The loops of one instruction set over weights packed for its target.
pub(crate) trait Kernel {
    /// What activations are gathered as: `i8`, or widened to `i16`.
    type Activation: Pod + Into<i32>;
    /// What its weights are packed for.
    const TARGET: Target;
    /// How they are packed.
    const DENSE: Dense = Self::TARGET.dense();

    /// The activations as they lie, where this kernel reads rows of `i8`.
    fn as_they_lie(x: &[i8]) -> Option<&[Self::Activation]>;

    /// Writes `x` into row `pixel` of a tile whose rows have `row` activations, from
    /// activation `at` on.
    fn put(tile: &mut [Self::Activation], row: usize, pixel: usize, at: usize, x: &[i8]);

    /// [`put`](Self::put) for `count` rows from row `pixel` on: `len` values for each,
    /// `step` apart in `x`.
    #[inline(always)]
    fn put_strip(
        tile: &mut [Self::Activation],
        row: usize,
        pixel: usize,
        at: usize,
        x: &[i8],
        [count, step, len]: [usize; 3],
    ) {
        for p in 0..count {
            let start = p.wrapping_mul(step);
            let x = x.get(start..start.wrapping_add(len)).unwrap_or(&[]);
            Self::put(tile, row, pixel.wrapping_add(p), at, x);
        }
    }

    /// Longest row that is first gathered as bytes where its pieces have other lengths than
    /// multiples of [`Dense::depth`], because putting such pieces is slow.
    const STAGED: usize = 0;

    /// Copies `x`, which is short mostly.
    fn stage(to: &mut [i8], x: &[i8]) {
        copy(to, x);
    }

    /// The same as [`put`](Self::put) with one value `count` times.
    fn fill(
        tile: &mut [Self::Activation],
        row: usize,
        pixel: usize,
        at: usize,
        count: usize,
        value: i8,
    );

    /// Sum of the activations of row `pixel`.
    fn sum(rows: &Rows<'_, Self::Activation>, pixel: usize) -> i32 {
        let start = pixel.wrapping_mul(rows.stride);
        let row = rows.x.get(start..start.wrapping_add(rows.k)).unwrap_or(&[]);
        row.iter().fold(0i32, |sum, &x| sum.wrapping_add(x.into()))
    }

    /// The outputs of all rows: those of row `pixel` start at `y[pixel · y_stride]`.
    fn dense(
        rows: Rows<'_, Self::Activation>,
        linear: &Linear<'_>,
        y: &mut [i8],
        y_stride: usize,
    ) -> Option<()>;

    /// One row of outputs of a depthwise convolution, `[out_w][out]`. `scratch` has what
    /// [`Target::depthwise_scratch_bytes`] asks for and keeps its bytes from row to row.
    fn depthwise(row: &DepthwiseRow<'_>, _scratch: &mut [u8], y: &mut [i8]) -> Option<()> {
        generic::depthwise_row(row, y)
    }

    /// Fewest channels that [`depthwise_strip`](Self::depthwise_strip) takes.
    const DEPTHWISE_CHANNELS: usize = usize::MAX;

    /// One row of outputs of a depthwise convolution over rows with their padding, where the
    /// target [has such](Dense::padded_rows).
    fn depthwise_strip(_strip: &DepthwiseStrip<'_>, _y: &mut [i8]) -> Option<()> {
        None
    }
}

/// Rows of activations, at most [`Dense::pixels`], for a kernel.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, A> {
    /// Where they lie as they are: row `p` starts at `p · stride`. Where they were
    /// gathered: as the kernel's `put` arranged them.
    pub(crate) x: &'a [A],
    pub(crate) stride: usize,
    pub(crate) count: usize,
    /// Activations of a row, a multiple of [`Dense::depth`].
    pub(crate) k: usize,
    /// What is taken off each accumulator of a row: the weights' zero point times the
    /// row's sum. Empty where the weights are symmetric.
    pub(crate) corrections: &'a [i32],
}

impl<A> Rows<'_, A> {
    /// What is taken off each accumulator of row `pixel`.
    #[inline(always)]
    pub(crate) fn correction(&self, pixel: usize) -> i32 {
        self.corrections.get(pixel).copied().unwrap_or(0)
    }
}

/// Weights, biases, and requantization of consecutive output channels.
#[derive(Clone, Copy)]
pub(crate) struct Linear<'a> {
    /// Packed for the kernel's target.
    pub(crate) weights: &'a [i8],
    /// `[out]`, in steps of the accumulator.
    pub(crate) bias: &'a [i32],
    /// `[out]`, steps of the output per step of the accumulator.
    pub(crate) multipliers: &'a [f32],
    pub(crate) weight_zero_point: i32,
    pub(crate) requantize: Requantize,
}

impl<'a> Linear<'a> {
    /// Looks `groups` groups of `outputs` channels of `k` weights each up by their offsets.
    pub(crate) fn of<K: Kernel>(
        constants: &Constants<'a>,
        [weights, bias, multipliers]: [u32; 3],
        [groups, outputs, k]: [usize; 3],
        weight_zero_point: i32,
        requantize: Requantize,
    ) -> Option<Self> {
        let bytes = K::DENSE.weight_bytes(outputs, k)?.checked_mul(groups)?;
        let channels = groups.checked_mul(outputs)?;
        Some(Linear {
            weights: constants.slice(weights, bytes)?,
            bias: constants.slice(bias, channels)?,
            multipliers: constants.slice(multipliers, channels)?,
            weight_zero_point,
            requantize,
        })
    }

    /// Group number `group` of `outputs` channels, whose weights have `bytes`.
    pub(crate) fn group(&self, group: usize, outputs: usize, bytes: usize) -> Option<Self> {
        let (channel, weight) = (group.checked_mul(outputs)?, group.checked_mul(bytes)?);
        let channels = channel..channel.checked_add(outputs)?;
        Some(Linear {
            weights: self.weights.get(weight..weight.checked_add(bytes)?)?,
            bias: self.bias.get(channels.clone())?,
            multipliers: self.multipliers.get(channels)?,
            ..*self
        })
    }
}

/// What one row of outputs of a depthwise convolution is computed from.
#[derive(Clone, Copy)]
pub(crate) struct DepthwiseRow<'a> {
    /// The input row, `[w][channels]`, under each kernel row; `None` in the padding.
    pub(crate) rows: &'a dyn Fn(u32) -> Option<&'a [i8]>,
    /// Kernel, strides, padding.
    pub(crate) parameters: &'a Conv,
    /// Input pixels of a row.
    pub(crate) width: u32,
    /// Input channels.
    pub(crate) channels: usize,
    /// Output channels, a multiple of the input channels.
    pub(crate) outputs: usize,
    /// `[kh · kw · out]`, packed for the kernel's target.
    pub(crate) linear: Linear<'a>,
}

/// What one row of outputs of a depthwise convolution is computed from, where the input
/// rows contain their padding: one output of each channel, symmetric weights.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
pub(crate) struct DepthwiseStrip<'a> {
    /// The input row under each kernel row, from the first window on.
    pub(crate) rows: &'a [&'a [i8]],
    pub(crate) kernel_w: usize,
    /// Values from a window to the next, and from a tap to the next.
    pub(crate) step: usize,
    pub(crate) tap: usize,
    pub(crate) channels: usize,
    /// Windows.
    pub(crate) count: usize,
    /// `[kh · kw · out]`, packed for the kernel's target.
    pub(crate) linear: Linear<'a>,
}
