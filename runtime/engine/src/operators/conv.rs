//! Convolution with groups.

use super::window::Axis;
use crate::kernels::{Linear, linear_row};
use crate::memory::{Operands, copy, signed_mut};
use crate::numerics::Requantize;
use sanderling_plan::step::Conv;

pub(super) fn run(p: &Conv, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        scratch,
        constants,
    } = operands;
    let [_, h, w, channels_in] = x.shape.nhwc()?;
    let [_, out_h, out_w, channels_out] = output_shape.nhwc()?;
    let (groups, channels_in) = (p.groups.max(1) as usize, channels_in as usize);
    let (group_in, group_out) = (channels_in / groups, channels_out as usize / groups);
    let k = (p.kernel_h as usize)
        .checked_mul(p.kernel_w as usize)?
        .checked_mul(group_in)?;
    let requantize = Requantize::new(p.low, p.high, p.zero_point);
    let linear = Linear::of(
        &constants,
        [p.weights, p.bias, p.multipliers],
        channels_out as usize,
        k,
        p.weight_zero_point,
        requantize,
    )?;
    let image = Image {
        rows: rows(p, h),
        columns: columns(p, w),
        width: w as usize,
        channels: channels_in,
        group: group_in,
        zero_point: p.input_zero_point as i8,
    };
    let image_bytes = (h as usize)
        .checked_mul(w as usize)?
        .checked_mul(channels_in)?;
    let pixels_out = (out_h as usize).checked_mul(out_w as usize)?;
    let batches =
        signed_mut(output).chunks_exact_mut(pixels_out.checked_mul(channels_out as usize)?.max(1));
    for (y, x) in batches.zip(x.i8()?.chunks_exact(image_bytes.max(1))) {
        let mut pixels = y.chunks_exact_mut((channels_out as usize).max(1));
        for oy in 0..out_h {
            for (ox, y) in (0..out_w).zip(&mut pixels) {
                for (g, y) in y.chunks_exact_mut(group_out.max(1)).enumerate() {
                    let linear = linear.channels(g * group_out, group_out, k)?;
                    if p.is_pointwise() {
                        linear_row(image.point(x, oy, ox, g)?, &linear, y);
                    } else {
                        let patch = signed_mut(scratch.get_mut(..k)?);
                        image.patch(x, oy, ox, g, patch)?;
                        linear_row(patch, &linear, y);
                    }
                }
            }
        }
    }
    Some(())
}

/// The vertical axis of a convolution's window over `height` rows.
pub(super) fn rows(p: &Conv, height: u32) -> Axis {
    Axis {
        size: height,
        kernel: p.kernel_h,
        stride: p.stride_h,
        dilation: p.dilation_h,
        pad: p.pad_top,
    }
}

/// The horizontal axis of a convolution's window over `width` columns.
pub(super) fn columns(p: &Conv, width: u32) -> Axis {
    Axis {
        size: width,
        kernel: p.kernel_w,
        stride: p.stride_w,
        dilation: p.dilation_w,
        pad: p.pad_left,
    }
}

/// How windows read an NHWC image.
struct Image {
    rows: Axis,
    columns: Axis,
    width: usize,
    channels: usize,
    /// Channels of a group.
    group: usize,
    /// What padding reads.
    zero_point: i8,
}

impl Image {
    /// The group `g` of the one pixel that a point kernel reads.
    fn point<'a>(&self, x: &'a [i8], oy: u32, ox: u32, g: usize) -> Option<&'a [i8]> {
        let iy = oy.wrapping_mul(self.rows.stride) as usize;
        let ix = ox.wrapping_mul(self.columns.stride) as usize;
        self.pixel(x, iy, ix, g)
    }

    fn pixel<'a>(&self, x: &'a [i8], iy: usize, ix: usize, g: usize) -> Option<&'a [i8]> {
        let pixel = iy.checked_mul(self.width)?.checked_add(ix)?;
        let start = pixel
            .checked_mul(self.channels)?
            .checked_add(g * self.group)?;
        x.get(start..start.checked_add(self.group)?)
    }

    /// Gathers the window of an output pixel, `[kh][kw][group]`.
    fn patch(&self, x: &[i8], oy: u32, ox: u32, g: usize, patch: &mut [i8]) -> Option<()> {
        let (taps_y, taps_x) = (self.rows.taps(oy), self.columns.taps(ox));
        let row_bytes = (self.columns.kernel as usize).checked_mul(self.group)?;
        let (first, end) = (taps_x.inside.start as usize, taps_x.inside.end as usize);
        let dense = self.columns.dilation == 1 && self.group == self.channels;
        for (ky, row) in (0..).zip(patch.chunks_exact_mut(row_bytes.max(1))) {
            if !taps_y.inside.contains(&ky) || first == end {
                row.fill(self.zero_point);
                continue;
            }
            let iy = taps_y.position(ky);
            let (before, rest) = row.split_at_mut_checked(first * self.group)?;
            let (inside, after) = rest.split_at_mut_checked((end - first) * self.group)?;
            before.fill(self.zero_point);
            after.fill(self.zero_point);
            if dense {
                // Neighbouring taps are neighbours in memory.
                let ix = taps_x.position(taps_x.inside.start);
                let start = iy.checked_mul(self.width)?.checked_add(ix)?;
                let start = start.checked_mul(self.channels)?;
                copy(inside, x.get(start..start.checked_add(inside.len())?)?);
            } else {
                let taps = taps_x
                    .inside
                    .clone()
                    .zip(inside.chunks_exact_mut(self.group.max(1)));
                for (kx, tap) in taps {
                    copy(tap, self.pixel(x, iy, taps_x.position(kx), g)?);
                }
            }
        }
        Some(())
    }
}
