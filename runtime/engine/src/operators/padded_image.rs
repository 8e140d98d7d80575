//! Convolution over a copy of the image with its padding, for kernels that read windows
//! from it without gathering them.

use crate::kernels::{Kernel, Linear, Windows};
use crate::memory::{Source, signed};
use crate::spread::{Cut, Spread};
use core::ops::Range;
use sanderling_plan::Target;
use sanderling_plan::step::Conv;

/// Bytes behind the image that are read as the end of its last row, without weight.
const SLACK: usize = 16;

/// How windows lie in the image with its padding.
pub(super) struct PaddedImage {
    /// Rows and values of a row, padding included.
    rows: usize,
    row: usize,
    /// Rows and values of the padding before the image.
    above: usize,
    left: usize,
    /// Whether windows read no padding, so that the image may be read as it lies.
    inside: bool,
    /// Values of a row of the image, and of the image.
    image_row: usize,
    image: usize,
    /// What padding reads.
    zero_point: i8,
    /// What kernels add to activations, in wrapping bytes.
    offset: i8,
    /// Output pixels of an image and of a row, output channels.
    pixels: usize,
    width_out: usize,
    channels_out: usize,
    pixel_step: usize,
    row_step: usize,
    /// Rows of a window, values of each, and as many as a whole number of fours has.
    runs: usize,
    run: usize,
    filled: usize,
    run_step: usize,
}

impl PaddedImage {
    /// `None` where the target's kernels gather.
    pub(super) fn new(
        target: Target,
        p: &Conv,
        [_, h, w, channels]: [u32; 4],
        [_, out_h, out_w, channels_out]: [u32; 4],
    ) -> Option<Self> {
        let [h, w, channels] = [h, w, channels].map(|n| n as usize);
        let [out_h, out_w] = [out_h, out_w].map(|n| n as usize);
        if target.padded_image_bytes(p, h, w, channels)? == 0 {
            return None;
        }
        // What the windows reach is all that is copied.
        let [stride_h, stride_w] = [p.stride_h, p.stride_w].map(|n| n as usize);
        let rows = out_h
            .checked_sub(1)?
            .checked_mul(stride_h)?
            .checked_add(p.window_rows())?;
        let columns = out_w
            .checked_sub(1)?
            .checked_mul(stride_w)?
            .checked_add(p.kernel_w as usize)?;
        let [most_rows, most_columns] = p.padded(h, w)?;
        let runs = p.kernel_h as usize;
        let run = (p.kernel_w as usize).checked_mul(channels)?;
        let filled = target.dense().row(run)?;
        let inside =
            filled == run && p.pad_top == 0 && p.pad_left == 0 && rows <= h && columns <= w;
        let image_row = w.checked_mul(channels)?;
        let row = match inside {
            true => image_row,
            false => columns.checked_mul(channels)?,
        };
        let image = h.checked_mul(image_row)?;
        let pixels = out_h.checked_mul(out_w)?;
        // Copying costs no more than gathering does.
        let gathered = pixels.saturating_mul(runs).saturating_mul(run);
        let worth = rows.checked_mul(row)? <= gathered.saturating_add(image);
        if rows > most_rows || columns > most_columns || !worth {
            return None;
        }
        Some(PaddedImage {
            rows,
            row,
            above: p.pad_top as usize,
            left: (p.pad_left as usize).checked_mul(channels)?.min(row),
            inside,
            image_row,
            image,
            zero_point: p.input_zero_point as i8,
            offset: target.dense().activation_offset as i8,
            pixels,
            width_out: out_w,
            channels_out: channels_out as usize,
            pixel_step: stride_w.checked_mul(channels)?,
            row_step: stride_h.checked_mul(row)?,
            runs,
            run,
            filled,
            run_step: (p.dilation_h as usize).checked_mul(row)?,
        })
    }

    /// All images of a batch; `room` is for the copy.
    pub(super) fn run<K: Kernel, S: Spread>(
        &self,
        x: Source<'_>,
        linear: &Linear<'_>,
        (room, y): (&mut [i8], &mut [i8]),
        spread: &S,
    ) -> Option<()> {
        let image_out = self.pixels.checked_mul(self.channels_out)?;
        match x {
            Source::Bytes(x) => {
                let mut images = signed(x).chunks_exact(self.image.max(1));
                for (y, x) in y.chunks_exact_mut(image_out.max(1)).zip(&mut images) {
                    self.one::<K, S>(x, linear, (room, y), spread)?;
                }
                Some(())
            }
            // One image alone, which is copied before any of the output is written.
            Source::Output(at) => {
                self.copy(y.get(at..at.checked_add(self.image)?)?, room)?;
                self.copied::<K, S>(room, linear, y, spread)
            }
        }
    }

    fn one<K: Kernel, S: Spread>(
        &self,
        x: &[i8],
        linear: &Linear<'_>,
        (room, y): (&mut [i8], &mut [i8]),
        spread: &S,
    ) -> Option<()> {
        if self.inside {
            return self.spans::<K, S>((x, false), linear, y, spread);
        }
        self.copy(x, room)?;
        self.copied::<K, S>(room, linear, y, spread)
    }

    /// All output pixels of the image that was copied to `room`.
    fn copied<K: Kernel, S: Spread>(
        &self,
        room: &mut [i8],
        linear: &Linear<'_>,
        y: &mut [i8],
        spread: &S,
    ) -> Option<()> {
        let image = self.rows.checked_mul(self.row)?;
        if self.run == self.filled {
            return self.spans::<K, S>((room.get(..image)?, true), linear, y, spread);
        }
        let slack = sanderling_plan::align_up(image)?.checked_add(SLACK)?;
        let (x, weights) = room.split_at_mut_checked(slack)?;
        let k = self.filled.checked_mul(self.runs)?;
        let outputs = (weights.len().checked_div(k)?)
            .checked_div(K::DENSE.outputs)?
            .checked_mul(K::DENSE.outputs)?;
        for first in (0..linear.bias.len()).step_by(outputs.max(1)) {
            let linear = linear.outputs_from::<K>(first, outputs, self.run * self.runs)?;
            let bytes = K::DENSE.weight_bytes(linear.bias.len(), k)?;
            let filled = weights.get_mut(..bytes)?;
            K::fill_up(linear.weights, self.runs, self.run, filled)?;
            let linear = Linear {
                weights: filled,
                ..linear
            };
            self.spans::<K, S>((x, true), &linear, y.get_mut(first..)?, spread)?;
        }
        Some(())
    }

    /// All output pixels of an image; `x` with whether the offset has been added.
    fn spans<K: Kernel, S: Spread>(
        &self,
        (x, with_offset): (&[i8], bool),
        linear: &Linear<'_>,
        y: &mut [i8],
        spread: &S,
    ) -> Option<()> {
        let size = [self.pixels, self.runs * self.filled, linear.bias.len()];
        // Where these are not all outputs of a pixel, the last pixel ends early.
        let whole = linear.bias.len() == self.channels_out;
        let cut = Cut {
            units: self.pixels,
            values: self.channels_out,
            grain: K::DENSE.pixels,
            cost: if whole { K::nanoseconds(size) } else { 0 },
            own: 0,
        };
        cut.run(spread, y, &mut [], |pixels, y, _| {
            self.span::<K>((x, with_offset), pixels, linear, y)
        })
    }

    /// The output pixels `pixels` of an image; `x` with whether the offset has been added.
    fn span<K: Kernel>(
        &self,
        (x, with_offset): (&[i8], bool),
        pixels: Range<usize>,
        linear: &Linear<'_>,
        y: &mut [i8],
    ) -> Option<()> {
        let windows = Windows {
            x,
            with_offset,
            pixels,
            width: self.width_out,
            row_step: self.row_step,
            pixel_step: self.pixel_step,
            runs: self.runs,
            run: self.filled,
            run_step: self.run_step,
        };
        K::windows(&windows, linear, y, self.channels_out)
    }

    /// Copies the image with its padding and the offset to `room`.
    fn copy(&self, x: &[i8], room: &mut [i8]) -> Option<()> {
        let room = room.get_mut(..self.rows.checked_mul(self.row)?)?;
        let padding = self.zero_point.wrapping_add(self.offset);
        let mut image = x.chunks_exact(self.image_row.max(1));
        for (row, to) in room.chunks_exact_mut(self.row.max(1)).enumerate() {
            let Some(x) = (row >= self.above).then(|| image.next()).flatten() else {
                to.fill(padding);
                continue;
            };
            let (left, to) = to.split_at_mut_checked(self.left)?;
            left.fill(padding);
            let (middle, right) = to.split_at_mut_checked(x.len().min(to.len()))?;
            for (to, &x) in middle.iter_mut().zip(x) {
                *to = x.wrapping_add(self.offset);
            }
            right.fill(padding);
        }
        Some(())
    }
}
