//! Convolution whose activation stands before the quantization.

use super::window::{Axis, each_pixel};
use crate::memory::{Operands, signed_mut};
use sanderling_plan::step::ActivatedConv;

pub(super) fn run(p: &ActivatedConv, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        constants,
        ..
    } = operands;
    let (from, to) = (x.shape.nhwc()?, output_shape.nhwc()?);
    let ([_, h, w, channels_in], [.., channels_out]) = (from, to);
    let groups = p.groups.max(1) as usize;
    let (channels_in, outputs) = (channels_in as usize, channels_out as usize);
    let (group_in, group_out) = (channels_in / groups, (outputs / groups).max(1));
    let kernel = (p.kernel_h as usize).checked_mul(p.kernel_w as usize)?;
    let k = kernel.checked_mul(group_in)?;
    let weights: &[i8] = constants.slice(p.weights, outputs.checked_mul(k)?)?;
    let bias: &[i32] = constants.slice(p.bias, outputs)?;
    let multipliers: &[f32] = constants.slice(p.multipliers, outputs)?;
    let bounds: &[f32] = constants.slice(p.bounds, p.steps as usize)?;
    let values: &[i8] = constants.slice(p.values, bounds.len().checked_add(1)?)?;
    let rows = Axis {
        size: h,
        kernel: p.kernel_h,
        stride: p.stride_h,
        dilation: p.dilation_h,
        pad: p.pad_top,
    };
    let columns = Axis {
        size: w,
        kernel: p.kernel_w,
        stride: p.stride_w,
        dilation: p.dilation_w,
        pad: p.pad_left,
    };
    let padding = p.input_zero_point;
    each_pixel(
        (x.i8()?, from),
        (signed_mut(output), to),
        |image, oy, ox, y| {
            let (down, across) = (rows.taps(oy), columns.taps(ox));
            let mut channels = weights.chunks_exact(k.max(1));
            let constants = bias.iter().zip(multipliers);
            let outputs = y.iter_mut().zip(&mut channels).zip(constants);
            for (o, ((y, weights), (&bias, &multiplier))) in outputs.enumerate() {
                let first = (o / group_out).checked_mul(group_in)?;
                let mut acc = bias;
                let mut taps = weights.chunks_exact(group_in.max(1));
                for ky in 0..p.kernel_h {
                    for (kx, tap) in (0..p.kernel_w).zip(&mut taps) {
                        let inside = down.inside.contains(&ky) && across.inside.contains(&kx);
                        let sum = if inside {
                            let (iy, ix) = (down.position(ky), across.position(kx));
                            let x = image.values(iy, ix, first, group_in)?;
                            dot(x, tap, p.weight_zero_point)
                        } else {
                            padding.wrapping_mul(sum(tap, p.weight_zero_point))
                        };
                        acc = acc.wrapping_add(sum);
                    }
                }
                let real = acc as f32 * multiplier;
                *y = *values.get(bounds.partition_point(|&bound| bound <= real))?;
            }
            Some(())
        },
    )
}

fn dot(x: &[i8], w: &[i8], zero: i32) -> i32 {
    x.iter().zip(w).fold(0i32, |sum, (&x, &w)| {
        sum.wrapping_add(i32::from(x).wrapping_mul(i32::from(w).wrapping_sub(zero)))
    })
}

fn sum(w: &[i8], zero: i32) -> i32 {
    w.iter().fold(0i32, |sum, &w| {
        sum.wrapping_add(i32::from(w).wrapping_sub(zero))
    })
}
