//! Convolution with 3×3 kernels and stride 1, by the smallest of Winograd's algorithms.

use super::check::{Check, clamp_i8, nhwc, require, window, zero_point_i8};
use super::conv::Behind;
use super::word::parameters;
use crate::packing::winograd;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of a convolution with one group, a 3×3 kernel, stride 1, and no dilation,
    /// which computes what [`Conv`](super::Conv) does, bit for bit, with 16 products where
    /// that needs 36.
    ///
    /// `F(2×2, 3×3)` (Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks*,
    /// 2015): 2×2 outputs are `Aᵀ (U ∘ Bᵀ d B) A / 4` of the 4×4 inputs `d`, with
    ///
    /// ```text
    ///      ⎡1  0 -1  0⎤       ⎡2  0  0⎤
    /// Bᵀ = ⎢0  1  1  0⎥  2G = ⎢1  1  1⎥   Aᵀ = ⎡1  1  1  0⎤   U = 2G · g · (2G)ᵀ
    ///      ⎢0 -1  1  0⎥       ⎢1 -1  1⎥        ⎣0  1 -1 -1⎦
    ///      ⎣0  1  0 -1⎦       ⎣0  0  2⎦
    /// ```
    ///
    /// All of it in integers: with weights `g` less their zero point, `|U| ≤ 9 · 255`; with
    /// inputs as they lie, `|Bᵀ d B| ≤ 4 · 128`; both fit 16 bits. What `Aᵀ … A` sums over
    /// up to [`MAX_CHANNELS`](winograd::MAX_CHANNELS) channels is four times the sum of the
    /// direct convolution, below `4 · 9 · 128 · 255 · 128 < 2²⁸`, so that the division is
    /// exact. Sums on the way may wrap.
    pub struct WinogradConv {
        /// Rows of padding above; those below follow from the output's height.
        pub pad_top: u32,
        /// Columns of padding to the left; those to the right follow from the output's width.
        pub pad_left: u32,
        /// Offset of the transformed `i16` weights, see [`winograd`].
        pub weights: u32,
        /// Offset of `i32[out]`, the input's zero point folded in as in [`Conv`](super::Conv).
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
    }
}

/// What such a convolution needs scratch for, in bytes, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WinogradScratch {
    /// Transformed inputs of the tiles that are computed together.
    pub tiles: usize,
    /// A pixel of padding, and where channels are not a whole number of fours, the 4×4 pixels
    /// of a tile.
    pub patch: usize,
    /// The last rows of an input that the output overwrites.
    pub rows: usize,
}

impl WinogradScratch {
    /// All together.
    pub fn bytes(&self) -> Option<usize> {
        self.tiles.checked_add(self.patch)?.checked_add(self.rows)
    }
}

impl WinogradConv {
    /// Rows and columns of the kernel.
    pub const KERNEL: u32 = 3;

    /// Scratch of a step from an `[n][h][w][in]` input to outputs `out_w` wide. `overlaps`:
    /// the output takes bytes of the input. `None` past `usize::MAX`.
    pub fn scratch(
        &self,
        [_, h, w, channels]: [u32; 4],
        out_w: u32,
        overlaps: bool,
    ) -> Option<WinogradScratch> {
        let steps = (channels as usize).div_ceil(winograd::DEPTH);
        let pixel = self.pixel_bytes(channels as usize)?;
        let patch = match channels as usize == pixel {
            true => pixel,
            false => pixel.checked_mul(1 + winograd::POSITIONS)?,
        };
        let rows = match overlaps {
            true => (w as usize)
                .checked_mul(channels as usize)?
                .checked_mul(Self::rows_aside(out_w).min(h as usize))?,
            false => 0,
        };
        Some(WinogradScratch {
            tiles: winograd::tile_bytes(steps)?,
            patch: crate::align_up(patch)?,
            rows,
        })
    }

    /// Bytes of a pixel with a whole number of fours of channels.
    pub fn pixel_bytes(&self, channels: usize) -> Option<usize> {
        channels.checked_next_multiple_of(winograd::DEPTH)
    }

    /// Input rows that tiles which are computed together read: four, and two more for each
    /// row of tiles that they go on into.
    pub const fn rows_aside(out_w: u32) -> usize {
        match out_w.div_ceil(2) {
            // A row has one tile; three of them are three rows.
            0 | 1 => 8,
            // The last of a row, and two of the next.
            _ => 6,
        }
    }

    /// Input rows before the first that row `tile_row` of tiles does not read.
    pub fn rows_before(&self, height: usize, tile_row: usize) -> usize {
        (tile_row.saturating_mul(2).saturating_add(4))
            .saturating_sub(self.pad_top as usize)
            .min(height)
    }

    /// How many bytes behind the start of its output the input must start at least, for the
    /// output to be written over it; `None` where that cannot be. As
    /// [`Conv::overlap`](super::Conv::overlap), but two output rows at a time.
    pub fn overlap(&self, input: [u32; 4], output: [u32; 4]) -> Option<usize> {
        let [batch, h, w, channels] = input.map(|n| n as usize);
        let [_, out_h, out_w, outputs] = output.map(|n| n as usize);
        if batch != 1 {
            return None;
        }
        let behind = Behind {
            rows: h,
            row: w.checked_mul(channels)?,
            out_rows: out_h.div_ceil(2),
            out_row: out_w.checked_mul(outputs)?.checked_mul(2)?,
            reach: 4,
            stride: 2,
            pad: self.pad_top as usize,
        };
        Some(behind.distance())
    }

    fn shapes(check: &Check<'_>) -> Result<([u32; 4], [u32; 4]), StepFault> {
        let [x] = check.operands::<1>(Dtype::I8)?;
        Ok((nhwc(&x.shape)?, nhwc(&check.output.shape)?))
    }

    /// Whether an input that starts `distance` bytes behind its output may be overwritten.
    pub(crate) fn may_overlap(&self, check: &Check<'_>, distance: usize) -> bool {
        Self::shapes(check)
            .ok()
            .and_then(|(input, output)| self.overlap(input, output))
            .is_some_and(|needed| distance >= needed)
    }

    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let (input, output) = Self::shapes(check)?;
        let ([n, .., channels_in], [batch, out_h, out_w, channels_out]) = (input, output);
        require(winograd::runs(check.target), StepFault::Parameter)?;
        require(n == batch, StepFault::Shape)?;
        let inputs = channels_in as usize;
        require(inputs <= winograd::MAX_CHANNELS, StepFault::Shape)?;
        // A tile has four rows and columns.
        window(Self::KERNEL + 1, 1, 1, self.pad_top, out_h)?;
        window(Self::KERNEL + 1, 1, 1, self.pad_left, out_w)?;
        let scratch = self
            .scratch(input, out_w, check.overlaps())
            .and_then(|scratch| scratch.bytes());
        check.scratch(scratch.ok_or(StepFault::Scratch)?)?;
        let outputs = channels_out as usize;
        let weights = winograd::weight_bytes(outputs, inputs).ok_or(StepFault::Constant)?;
        check.constant(self.weights, weights)?;
        let words = outputs.checked_mul(4).ok_or(StepFault::Constant)?;
        check.constant(self.bias, words)?;
        check.finite(self.multipliers, outputs)?;
        zero_point_i8(self.input_zero_point)?;
        zero_point_i8(self.zero_point)?;
        clamp_i8(self.low, self.high)
    }
}
