//! Convolution whose activation stands before the quantization.

use super::patch::Patches;
use super::window::Axis;
use crate::memory::{Operands, signed_mut};
use sanderling_plan::step::ActivatedConv;

pub(super) fn run(p: &ActivatedConv, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        scratch,
        constants,
        ..
    } = operands;
    let [_, h, w, channels] = x.shape.nhwc()?;
    let [_, out_h, out_w, outputs] = output_shape.nhwc()?;
    let groups = p.groups.max(1) as usize;
    let (channels, outputs) = (channels as usize, outputs as usize);
    let (group_in, group_out) = (channels / groups, (outputs / groups).max(1));
    let k = p.patch(channels)?;
    let weights: &[i8] = constants.slice(p.weights, outputs.checked_mul(k)?)?;
    let bias: &[i32] = constants.slice(p.bias, outputs)?;
    let multipliers: &[f32] = constants.slice(p.multipliers, outputs)?;
    let bounds: &[f32] = constants.slice(p.bounds, p.steps as usize)?;
    let values: &[i8] = constants.slice(p.values, bounds.len().checked_add(1)?)?;
    let patch = signed_mut(scratch.get_mut(..k)?);
    let axis = |size, kernel, stride, dilation, pad| Axis {
        size,
        kernel,
        stride,
        dilation,
        pad,
    };
    let image = (h as usize)
        .checked_mul(w as usize)?
        .checked_mul(channels)?;
    let mut pixels = signed_mut(output).chunks_exact_mut(outputs.max(1));
    for image in x.i8()?.chunks_exact(image.max(1)) {
        let patches = Patches {
            image,
            channels,
            rows: axis(h, p.kernel_h, p.stride_h, p.dilation_h, p.pad_top),
            columns: axis(w, p.kernel_w, p.stride_w, p.dilation_w, p.pad_left),
            padding: p.input_zero_point as i8,
        };
        for oy in 0..out_h {
            for (ox, y) in (0..out_w).zip(&mut pixels) {
                let mut of_output = weights.chunks_exact(k.max(1));
                let mut affine = bias.iter().zip(multipliers);
                for (g, y) in y.chunks_exact_mut(group_out).enumerate() {
                    patches.gather((oy, ox), g.checked_mul(group_in)?, group_in, patch)?;
                    for ((y, weights), (&bias, &multiplier)) in
                        y.iter_mut().zip(&mut of_output).zip(&mut affine)
                    {
                        let acc = bias.wrapping_add(dot(patch, weights, p.weight_zero_point));
                        let real = acc as f32 * multiplier;
                        *y = *values.get(bounds.partition_point(|&bound| bound <= real))?;
                    }
                }
            }
        }
    }
    Some(())
}

/// `Σ x · (w - zero)`.
pub(super) fn dot(x: &[i8], w: &[i8], zero: i32) -> i32 {
    let both = x.iter().zip(w);
    if zero == 0 {
        return both.fold(0i32, |sum, (&x, &w)| {
            sum.wrapping_add(i32::from(x).wrapping_mul(i32::from(w)))
        });
    }
    both.fold(0i32, |sum, (&x, &w)| {
        sum.wrapping_add(i32::from(x).wrapping_mul(i32::from(w).wrapping_sub(zero)))
    })
}
