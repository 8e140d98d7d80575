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
#[cfg(all(target_arch = "arm", feature = "cortex-m55"))]
mod armv8_1m_mve;
mod generic;
mod isa;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::Aarch64;
#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64_dotprod::Aarch64Dotprod;
#[cfg(feature = "cortex-m4")]
pub(crate) use armv7e_m::{Columns, CortexM4, Patch, Tiles};
#[cfg(all(feature = "cortex-m4", target_arch = "arm"))]
pub(crate) use armv7e_m::{Terms, fused};
#[cfg(all(target_arch = "arm", feature = "cortex-m55"))]
pub(crate) use armv8_1m_mve::Mve;
#[cfg(feature = "generic")]
pub(crate) use generic::Generic;
pub(crate) use generic::{BLOCK, sum};
pub(crate) use isa::Isa;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::{add, lookup};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{Avx2, Avx512, Sse2};

use crate::memory::{Constants, copy};
use crate::numerics::Requantize;
use bytemuck::Pod;
use core::ops::Range;
use sanderling_plan::Target;
use sanderling_plan::packing::Dense;
use sanderling_plan::step::Conv;

/// The loops of one instruction set over weights packed for its target.
pub(crate) trait Kernel {
    /// What activations are gathered as: `i8`, or widened to `i16`.
    type Activation: Pod + Into<i32> + Send + Sync;
    /// What its weights are packed for.
    const TARGET: Target;
    /// How they are packed.
    const DENSE: Dense = Self::TARGET.dense();

    /// Products that [`dense`](Self::dense) and [`windows`](Self::windows) compute in a
    /// nanosecond, roughly.
    const SPEED: usize = 2;

    /// Nanoseconds, roughly, that `outputs` channels of so many rows of `k` values take.
    fn nanoseconds([rows, k, outputs]: [usize; 3]) -> usize {
        let outputs = outputs.saturating_add(Self::DENSE.outputs - 1) / Self::DENSE.outputs;
        let block = k.saturating_mul(Self::DENSE.outputs) / Self::SPEED;
        rows.saturating_mul(outputs).saturating_mul(block)
    }

    /// Most rows that [`dense`](Self::dense) takes at once where they lie.
    const ROWS: usize = Self::DENSE.pixels;
    /// Whether [`windows`](Self::windows) multiplies windows of an image with padding.
    const READS_WINDOWS: bool = false;

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

    /// Whether [`put_runs`](Self::put_runs) is there.
    const RUNS: bool = false;

    /// Copies many runs to where [`put`](Self::put) would put them, `to_step` and `to_row`
    /// apart from the start of `to`; `None` where they are not all there.
    fn put_runs(_to: &mut [Self::Activation], _runs: &Runs<'_>) -> Option<()> {
        None
    }

    /// Whether [`conv`](Self::conv) is there.
    const WHOLE_ROWS: bool = false;

    /// One row of outputs of a convolution for which
    /// [`Target::conv_scratch_bytes`] gives the bytes of `scratch`, which keeps them from
    /// row to row.
    fn conv(_row: &ConvRow<'_>, _scratch: &mut [Self::Activation], _y: &mut [i8]) -> Option<()> {
        None
    }

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

    /// The outputs of all windows: those of number `i` start at `y[i · y_stride]`. The
    /// weights are symmetric.
    fn windows(
        _windows: &Windows<'_>,
        _linear: &Linear<'_>,
        _y: &mut [i8],
        _y_stride: usize,
    ) -> Option<()> {
        None
    }

    /// Whether [`conv_strip`](Self::conv_strip) computes such windows.
    fn takes_strip(_strip: &ConvStrip<'_>, _linear: &Linear<'_>) -> bool {
        false
    }

    /// The outputs of all windows of a strip, one after the other.
    fn conv_strip(_strip: &ConvStrip<'_>, _linear: &Linear<'_>, _y: &mut [i8]) -> Option<()> {
        None
    }

    /// Fills every row of windows, `run` weights of which there are `runs`, up with 0 to a
    /// whole number of [`Dense::depth`].
    fn fill_up(_weights: &[i8], _runs: usize, _run: usize, _to: &mut [i8]) -> Option<()> {
        None
    }

    /// Prepares `scratch` for the rows of a depthwise step.
    fn depthwise_start(_row: &DepthwiseRow<'_>, _scratch: &mut [u8]) -> Option<()> {
        Some(())
    }

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

/// What windows of neighbouring pixels read: runs of `len` values, for `count` pixels in
/// each of `rows` rows.
#[allow(dead_code, reason = "some instruction sets read other fields")]
pub(crate) struct Runs<'a> {
    /// A ring of whole rows of `row` values.
    pub(crate) x: &'a [i8],
    pub(crate) row: usize,
    /// Place in the ring of the first row that is read; `row_step` to the next.
    pub(crate) slot: usize,
    pub(crate) row_step: usize,
    /// Where in its row the first pixel's run starts; `step` to the next pixel's.
    pub(crate) start: usize,
    pub(crate) step: usize,
    pub(crate) len: usize,
    pub(crate) rows: usize,
    pub(crate) count: usize,
    /// From row to row, and from pixel to pixel, where they are put.
    pub(crate) to_row: usize,
    pub(crate) to_step: usize,
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

/// Windows over an image none of which reaches past it. Where a window's rows are
/// `run_step` apart and windows of an output row `pixel_step`, window `(oy, ox)` reads
/// `x[oy · row_step + ox · pixel_step + ky · run_step..][..run]` for every `ky` in `0..runs`.
#[allow(dead_code, reason = "some instruction sets read other fields")]
pub(crate) struct Windows<'a> {
    pub(crate) x: &'a [i8],
    /// Whether `x` has [`Dense::activation_offset`] added already, in wrapping bytes.
    pub(crate) with_offset: bool,
    /// The output pixels, numbered row by row.
    pub(crate) pixels: Range<usize>,
    /// Output pixels of a row.
    pub(crate) width: usize,
    pub(crate) row_step: usize,
    pub(crate) pixel_step: usize,
    /// Rows of a window.
    pub(crate) runs: usize,
    /// Values of a row of a window, a multiple of [`Dense::depth`].
    pub(crate) run: usize,
    pub(crate) run_step: usize,
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

    /// At most `count` outputs from `first` on, which begin blocks of weights of `k` each.
    pub(crate) fn outputs_from<K: Kernel>(
        &self,
        first: usize,
        count: usize,
        k: usize,
    ) -> Option<Self> {
        let count = count.min(self.bias.len().checked_sub(first)?);
        let channels = first..first.checked_add(count)?;
        let weight = K::DENSE.weight_bytes(first, k)?;
        let bytes = K::DENSE.weight_bytes(count, k)?;
        Some(Linear {
            weights: self.weights.get(weight..weight.checked_add(bytes)?)?,
            bias: self.bias.get(channels.clone())?,
            multipliers: self.multipliers.get(channels)?,
            ..*self
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

/// What one row of outputs of a convolution is computed from.
#[allow(dead_code, reason = "some instruction sets read other fields")]
pub(crate) struct ConvRow<'a> {
    /// Input row number `r`, `[w][channels]`, the padding above counted; `None` in the
    /// padding.
    pub(crate) rows: &'a dyn Fn(usize) -> Option<&'a [i8]>,
    /// Number of the row.
    pub(crate) oy: usize,
    /// Kernel, strides, padding.
    pub(crate) parameters: &'a Conv,
    /// Input pixels of a row, input channels, and output channels.
    pub(crate) width: usize,
    pub(crate) channels: usize,
    pub(crate) outputs: usize,
    pub(crate) linear: Linear<'a>,
}

/// What one row of outputs of a depthwise convolution is computed from.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "some instruction sets read other fields")]
pub(crate) struct DepthwiseRow<'a> {
    /// The input row, `[w][channels]`, under each kernel row; `None` in the padding.
    pub(crate) rows: &'a dyn Fn(u32) -> Option<&'a [i8]>,
    /// Whether scratch holds nothing yet of what this image's rows keep there.
    #[cfg_attr(
        not(all(target_arch = "arm", feature = "cortex-m55")),
        allow(dead_code, reason = "kernels of Cortex-M55 read it")
    )]
    pub(crate) first: bool,
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

/// What neighbouring outputs of a row of a convolution are computed from, where the input
/// rows contain their padding.
#[allow(dead_code, reason = "some instruction sets read other fields")]
pub(crate) struct ConvStrip<'a> {
    /// The input row under each kernel row, from the first window on.
    pub(crate) rows: &'a [&'a [i8]],
    /// Values of a row of a window.
    pub(crate) run: usize,
    /// Values from a window to the next.
    pub(crate) step: usize,
    /// Windows.
    pub(crate) count: usize,
}

/// What one row of outputs of a depthwise convolution is computed from, where the input
/// rows contain their padding: one output of each channel, symmetric weights.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "some instruction sets read other fields")]
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
