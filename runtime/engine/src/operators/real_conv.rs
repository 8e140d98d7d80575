//! Convolution whose sums stay real.

use super::activated_conv::dot;
use super::patch::Patches;
use super::reals::{Reals, Results, within};
use super::window::Axis;
use crate::memory::{Operands, Source, signed_mut};
use sanderling_plan::step::RealConv;

pub(super) fn run(p: &RealConv, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, z, _],
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
    let offsets: &[f32] = constants.slice(p.offsets, outputs)?;
    let patch = signed_mut(scratch.get_mut(..k)?);
    // An operand that the step does not have stands for its output.
    let z = match z.source {
        Source::Bytes(_) => Some(Reals::of(&z, p.scale_z, p.zero_z)?),
        Source::Output(_) => None,
    };
    let mut y = Results::of(output, output_shape.elements(), p.scale_y, p.zero_point)?;
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
    let mut at = 0usize;
    for image in x.i8()?.chunks_exact(image.max(1)) {
        let patches = Patches {
            image,
            channels,
            rows: axis(h, p.kernel_h, p.stride_h, p.dilation_h, p.pad_top),
            columns: axis(w, p.kernel_w, p.stride_w, p.dilation_w, p.pad_left),
            padding: p.input_zero_point as i8,
        };
        for oy in 0..out_h {
            for ox in 0..out_w {
                let mut of_output = weights.chunks_exact(k.max(1));
                let mut affine = bias.iter().zip(multipliers).zip(offsets);
                for g in 0..groups {
                    patches.gather((oy, ox), g.checked_mul(group_in)?, group_in, patch)?;
                    for (weights, ((&bias, &multiplier), &offset)) in
                        (&mut of_output).zip(&mut affine).take(group_out)
                    {
                        let acc = bias.wrapping_add(dot(patch, weights, p.weight_zero_point));
                        let mut real = acc as f32 * multiplier + offset;
                        if let Some(z) = z {
                            real += z.get(at)?;
                        }
                        y.set(at, within(real, p.low, p.high))?;
                        at = at.checked_add(1)?;
                    }
                }
            }
        }
    }
    Some(())
}
