//! Convolution with groups.

use super::window::{Axis, Image, each_pixel};
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
    let (from, to) = (x.shape.nhwc()?, output_shape.nhwc()?);
    let ([_, h, w, channels_in], [.., channels_out]) = (from, to);
    let groups = p.groups.max(1);
    let (group_in, group_out) = (
        (channels_in / groups) as usize,
        (channels_out / groups) as usize,
    );
    let k = (p.kernel_h as usize)
        .checked_mul(p.kernel_w as usize)?
        .checked_mul(group_in)?;
    let linear = Linear::of(
        &constants,
        [p.weights, p.bias, p.multipliers],
        channels_out as usize,
        k,
        p.weight_zero_point,
        Requantize::new(p.low, p.high, p.zero_point),
    )?;
    let window = Window {
        rows: rows(p, h),
        columns: columns(p, w),
        group: group_in,
        dense: p.dilation_w == 1 && groups == 1,
        zero_point: p.input_zero_point as i8,
    };
    each_pixel(
        (x.i8()?, from),
        (signed_mut(output), to),
        |image, oy, ox, y| {
            for (g, y) in y.chunks_exact_mut(group_out.max(1)).enumerate() {
                let linear = linear.channels(g * group_out, group_out, k)?;
                if p.is_pointwise() {
                    let (iy, ix) = (oy.wrapping_mul(p.stride_h), ox.wrapping_mul(p.stride_w));
                    let x = image.values(iy as usize, ix as usize, g * group_in, group_in)?;
                    linear_row(x, &linear, y);
                } else {
                    let patch = signed_mut(scratch.get_mut(..k)?);
                    window.gather(image, oy, ox, g * group_in, patch)?;
                    linear_row(patch, &linear, y);
                }
            }
            Some(())
        },
    )
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

/// How a window reads an image.
struct Window {
    rows: Axis,
    columns: Axis,
    /// Channels of a group.
    group: usize,
    /// Whether neighbouring taps of a row are neighbours in memory.
    dense: bool,
    /// What padding reads.
    zero_point: i8,
}

impl Window {
    /// Gathers the group from `channel` on of an output pixel's window, `[kh][kw][group]`.
    fn gather(
        &self,
        image: Image<'_>,
        oy: u32,
        ox: u32,
        channel: usize,
        patch: &mut [i8],
    ) -> Option<()> {
        let (taps_y, taps_x) = (self.rows.taps(oy), self.columns.taps(ox));
        let row = (self.columns.kernel as usize).checked_mul(self.group)?;
        let (first, end) = (taps_x.inside.start as usize, taps_x.inside.end as usize);
        for (ky, row) in (0..).zip(patch.chunks_exact_mut(row.max(1))) {
            if !taps_y.inside.contains(&ky) || first == end {
                row.fill(self.zero_point);
                continue;
            }
            let iy = taps_y.position(ky);
            let (before, rest) = row.split_at_mut_checked(first * self.group)?;
            let (inside, after) = rest.split_at_mut_checked((end - first) * self.group)?;
            before.fill(self.zero_point);
            after.fill(self.zero_point);
            if self.dense {
                let ix = taps_x.position(taps_x.inside.start);
                copy(inside, image.values(iy, ix, 0, inside.len())?);
            } else {
                let taps = taps_x.inside.clone();
                for (kx, tap) in taps.zip(inside.chunks_exact_mut(self.group.max(1))) {
                    copy(
                        tap,
                        image.values(iy, taps_x.position(kx), channel, self.group)?,
                    );
                }
            }
        }
        Some(())
    }
}
