//! Convolution over NHWC, with groups, strides, dilations, and padding.

use super::check::{Check, clamp_i8, nhwc, require, window, zero_point_i8};
use super::word::parameters;
use crate::{Dtype, Operator, StepFault, Target};

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
        /// Offset of the `i8` weights: `[out][kh·kw·in / groups]` as the target
        /// [packs](crate::packing) them, or `[kh][kw][out]` for a depthwise step.
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

/// What a convolution needs scratch for, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConvScratch {
    /// Gathered activations of the pixels that a kernel computes together, the padded copy
    /// of an image, or what the kernels want in place of them; comes first.
    pub tile: usize,
    /// The last rows of an input that the output overwrites, or the last rows
    /// [with padding](Conv::padded_row); follows, 16-byte aligned.
    pub rows: usize,
}

impl ConvScratch {
    /// Both together.
    pub fn bytes(&self) -> Option<usize> {
        crate::align_up(self.tile)?.checked_add(self.rows)
    }
}

/// A step that writes rows while rows further on are still to be read.
pub(super) struct Behind {
    /// Input rows, and bytes of each.
    pub(super) rows: usize,
    pub(super) row: usize,
    /// Output rows, or blocks of rows that are written together, and bytes of each.
    pub(super) out_rows: usize,
    pub(super) out_row: usize,
    /// Input rows that one of them reads, and from one to the next.
    pub(super) reach: usize,
    pub(super) stride: usize,
    /// Rows of padding above.
    pub(super) pad: usize,
}

impl Behind {
    /// Bytes that the input must start behind the output at least. What passes
    /// `usize::MAX` lies behind the last row, for no tensor has as many elements.
    pub(super) fn distance(&self) -> usize {
        let Behind { rows, pad, .. } = *self;
        let stride = self.stride.max(1);
        let Some(last) = self.out_rows.checked_sub(2) else {
            return 0;
        };
        // Linear between the first row, the last whose window starts and ends in the
        // padding, and the last that leaves a row to be read: the largest is at an end.
        let in_padding = pad.saturating_sub(self.reach) / stride;
        let reading = rows
            .saturating_add(pad)
            .saturating_sub(self.reach.saturating_add(1))
            / stride;
        let ends = [0, in_padding, in_padding.saturating_add(1), reading, last];
        ends.iter().fold(0, |most: usize, &oy| {
            let oy = oy.min(last);
            // The input row that is read next once output row `oy` has what it needs.
            let next = oy
                .saturating_mul(stride)
                .saturating_add(self.reach)
                .saturating_sub(pad);
            if next >= rows {
                return most;
            }
            let written = (oy + 1).saturating_mul(self.out_row);
            most.max(written.saturating_sub(next.saturating_mul(self.row)))
        })
    }
}

impl Conv {
    /// Scratch of a step on a `[n][h][w][in]` input, packed for `target`. `overlaps`: the
    /// output takes bytes of the input. `None` past `usize::MAX`.
    pub fn scratch(
        &self,
        target: Target,
        input: [u32; 4],
        depthwise: bool,
        overlaps: bool,
    ) -> Option<ConvScratch> {
        let [_, h, w, channels] = input.map(|n| n as usize);
        let dense = target.dense();
        let k = self
            .taps()?
            .checked_mul(channels / (self.groups as usize).max(1))?;
        let reads_in_place = self.is_point() && self.groups == 1 && dense.reads_in_place(k);
        let tile = match depthwise {
            true => target.depthwise_scratch_bytes(self, w, channels)?,
            false if reads_in_place && !overlaps => 0,
            false => match target.conv_scratch_bytes(self, w, channels) {
                Some(bytes) => bytes,
                None if self.is_flat() => dense.tile_bytes(k)?,
                None => target
                    .padded_image_bytes(self, h, w, channels)?
                    .max(dense.tile_bytes(k)?),
            },
        };
        if let Some(row) = self.padded_row(target, w, channels, depthwise) {
            let rows = row?.checked_mul(self.window_rows())?;
            return Some(ConvScratch { tile, rows });
        }
        let rows = match overlaps && (depthwise || !self.is_flat()) {
            true => w
                .checked_mul(channels)?
                .checked_mul(self.window_rows().min(h))?,
            false => 0,
        };
        Some(ConvScratch { tile, rows })
    }

    /// Bytes of an input row of `width` pixels of `channels` together with what lies before
    /// and after it, where `target`'s convolutions put such rows aside: the padding before,
    /// and a kernel's width after. A window that starts later reads nothing but padding.
    /// `Some(None)` past `usize::MAX`.
    pub fn padded_row(
        &self,
        target: Target,
        width: usize,
        channels: usize,
        depthwise: bool,
    ) -> Option<Option<usize>> {
        let adjacent = self.groups == 1 && self.dilation_w == 1 && !self.is_point();
        (target.dense().padded_rows && (adjacent || depthwise)).then(|| {
            let reach = (self.kernel_w.saturating_sub(1) as usize)
                .checked_mul(self.dilation_w as usize)?
                .checked_add(1)?;
            (self.pad_left as usize)
                .checked_add(width)?
                .checked_add(reach)?
                .checked_mul(channels)
        })
    }

    /// A 1×1 kernel without padding, so that each output pixel reads one input pixel. With
    /// a dilation, which such a kernel has no other use for, there may be padding below or
    /// to the right.
    pub fn is_point(&self) -> bool {
        let [kernel, dilation] = [
            [self.kernel_h, self.kernel_w],
            [self.dilation_h, self.dilation_w],
        ];
        let unpadded = self.pad_top == 0 && self.pad_left == 0;
        kernel == [1, 1] && dilation == [1, 1] && unpadded
    }

    /// [`is_point`](Self::is_point) with stride 1 and one group: a matrix product over
    /// all pixels.
    pub fn is_flat(&self) -> bool {
        self.is_point() && self.stride_h == 1 && self.stride_w == 1 && self.groups == 1
    }

    /// Input rows from the first to the last that a window reads, at least 1.
    pub fn window_rows(&self) -> usize {
        (self.kernel_h.saturating_sub(1) as usize)
            .saturating_mul(self.dilation_h as usize)
            .saturating_add(1)
    }

    /// How many bytes behind the start of its output the input must start at least, for
    /// the output to be written over it; `None` where that cannot be.
    ///
    /// The engine writes the output row by row (pixels of one tile by another where the
    /// step [is flat](Self::is_flat)), after it has put aside the input rows that the
    /// window reads. What it writes must not reach input rows that are still to be read.
    pub fn overlap(
        &self,
        target: Target,
        input: [u32; 4],
        output: [u32; 4],
        depthwise: bool,
    ) -> Option<usize> {
        let [batch, h, w, channels] = input.map(|n| n as usize);
        let [_, out_h, out_w, outputs] = output.map(|n| n as usize);
        if self.is_flat() && !depthwise {
            let pixels = batch.checked_mul(h)?.checked_mul(w)?;
            let tile = target.dense().pixels.max(1);
            let earlier = (pixels.saturating_sub(1) / tile).checked_mul(tile)?;
            return earlier.checked_mul(outputs.saturating_sub(channels));
        }
        if batch != 1 {
            return None;
        }
        let behind = Behind {
            rows: h,
            row: w.checked_mul(channels)?,
            out_rows: out_h,
            out_row: out_w.checked_mul(outputs)?,
            reach: self.window_rows(),
            stride: self.stride_h as usize,
            pad: self.pad_top as usize,
        };
        Some(behind.distance())
    }

    /// Height and width of an image of `height` times `width` with its padding; below and to
    /// the right what the last windows reach, should they start inside the image.
    pub const fn padded(&self, height: usize, width: usize) -> Option<[usize; 2]> {
        let Some(below) = ((self.kernel_h as usize).saturating_sub(1))
            .saturating_mul(self.dilation_h as usize)
            .checked_add(self.pad_top as usize)
        else {
            return None;
        };
        let Some(right) = ((self.kernel_w as usize).saturating_sub(1))
            .saturating_mul(self.dilation_w as usize)
            .checked_add(self.pad_left as usize)
        else {
            return None;
        };
        match (height.checked_add(below), width.checked_add(right)) {
            (Some(height), Some(width)) => Some([height, width]),
            _ => None,
        }
    }

    fn taps(&self) -> Option<usize> {
        (self.kernel_h as usize).checked_mul(self.kernel_w as usize)
    }

    /// `[n][h][w][channels]` of input and output, which are in the record already.
    fn shapes(check: &Check<'_>) -> Result<([u32; 4], [u32; 4]), StepFault> {
        let [x] = check.operands::<1>(Dtype::I8)?;
        Ok((nhwc(&x.shape)?, nhwc(&check.output.shape)?))
    }

    /// Whether an input that starts `distance` bytes behind its output may be overwritten.
    pub(crate) fn may_overlap(&self, check: &Check<'_>, distance: usize) -> bool {
        let depthwise = matches!(check.step.operator, Operator::DepthwiseConv(_));
        Self::shapes(check)
            .ok()
            .and_then(|(input, output)| self.overlap(check.target, input, output, depthwise))
            .is_some_and(|needed| distance >= needed)
    }

    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let (input, output) = Self::shapes(check)?;
        let ([n, h, w, channels_in], [batch, out_h, out_w, channels_out]) = (input, output);
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
        let scratch = self
            .scratch(check.target, input, depthwise, check.overlaps())
            .and_then(|scratch| scratch.bytes());
        check.scratch(scratch.ok_or(StepFault::Scratch)?)?;
        if depthwise {
            require(self.groups == channels_in, StepFault::Shape)?;
        } else if self.is_flat() {
            // All pixels are one row.
            require([h, w] == [out_h, out_w], StepFault::Shape)?;
        } else if self.is_point() {
            // Point kernels read pixels without looking for the border.
            let inside = u64::from(out_h - 1) * u64::from(self.stride_h) < u64::from(h)
                && u64::from(out_w - 1) * u64::from(self.stride_w) < u64::from(w);
            require(inside, StepFault::Shape)?;
        }
        let outputs = channels_out as usize;
        let weights = match depthwise {
            true => self
                .taps()
                .and_then(|taps| check.target.depthwise_weight_bytes(taps, outputs)),
            false => self
                .taps()
                .and_then(|taps| taps.checked_mul((channels_in / self.groups) as usize))
                .and_then(|k| {
                    let group = outputs / self.groups as usize;
                    check.target.dense().weight_bytes(group, k)
                })
                .and_then(|bytes| bytes.checked_mul(self.groups as usize)),
        };
        check.constant(self.weights, weights.ok_or(StepFault::Constant)?)?;
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
