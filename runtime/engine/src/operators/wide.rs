//! Operators on 16-bit activations.

use super::patch::Patches;
use super::window::Axis;
use crate::memory::{Input, Operands, signed, signed_mut};
use sanderling_plan::step::{WideConv, WidePair, WideRequantize};

/// Products that are summed in 32 bits before 64 are needed: `128 · 65,535 · 255 < 2³¹`.
const CHUNK: usize = 128;

pub(super) fn conv(p: &WideConv, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        scratch,
        constants,
        ..
    } = operands;
    let ([_, h, w, channels_in], [_, out_h, out_w, outputs]) =
        (x.shape.nhwc()?, output_shape.nhwc()?);
    let groups = p.groups.max(1) as usize;
    let (channels, outputs) = (channels_in as usize, outputs as usize);
    let (group_in, group_out) = (channels / groups, (outputs / groups).max(1));
    let k = p.patch(channels)?;
    let weights: &[i8] = constants.slice(p.weights, outputs.checked_mul(k)?)?;
    let bias: &[i32] = constants.slice(p.bias, outputs)?;
    let multipliers: &[f32] = constants.slice(p.multipliers, outputs)?;
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
    let scratch = scratch.get_mut(..k.checked_mul(size_of::<i16>())?)?;
    let patch: &mut [i16] = bytemuck::try_cast_slice_mut(scratch).ok()?;
    let y: &mut [i16] = bytemuck::try_cast_slice_mut(output).ok()?;
    let mut pixels = y.chunks_exact_mut(outputs.max(1));
    for image in words(&x)?.chunks_exact(image.max(1)) {
        let patches = Patches {
            image,
            channels,
            rows: axis(h, p.kernel_h, p.stride_h, p.dilation_h, p.pad_top),
            columns: axis(w, p.kernel_w, p.stride_w, p.dilation_w, p.pad_left),
            padding: p.input_zero_point as i16,
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
                        let acc = i64::from(bias).wrapping_add(dot(patch, weights, p));
                        *y = rounded(acc as f32 * multiplier, p.zero_point, p.low, p.high) as i16;
                    }
                }
            }
        }
    }
    Some(())
}

fn dot(x: &[i16], w: &[i8], p: &WideConv) -> i64 {
    let chunks = x.chunks(CHUNK).zip(w.chunks(CHUNK));
    // Symmetric on both sides, as quantizers choose them for 16 bits.
    if (p.input_zero_point, p.weight_zero_point) == (0, 0) {
        return chunks.fold(0i64, |sum, (x, w)| {
            let part = x.iter().zip(w).fold(0i32, |sum, (&x, &w)| {
                sum.wrapping_add(i32::from(x).wrapping_mul(i32::from(w)))
            });
            sum.wrapping_add(i64::from(part))
        });
    }
    chunks.fold(0i64, |sum, (x, w)| {
        let part = x.iter().zip(w).fold(0i32, |sum, (&x, &w)| {
            let x = i32::from(x).wrapping_sub(p.input_zero_point);
            let w = i32::from(w).wrapping_sub(p.weight_zero_point);
            sum.wrapping_add(x.wrapping_mul(w))
        });
        sum.wrapping_add(i64::from(part))
    })
}

pub(super) fn pair(p: &WidePair, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [a, b, _],
        output,
        ..
    } = operands;
    let y: &mut [i16] = bytemuck::try_cast_slice_mut(output).ok()?;
    for ((y, &a), &b) in y.iter_mut().zip(words(&a)?).zip(words(&b)?) {
        let a = i32::from(a).wrapping_sub(p.zero_a) as f32 * p.scale_a;
        let b = i32::from(b).wrapping_sub(p.zero_b) as f32 * p.scale_b;
        let real = if p.product { a * b } else { a + b };
        *y = rounded(real / p.scale_y, p.zero_point, p.low, p.high) as i16;
    }
    Some(())
}

pub(super) fn requantize(p: &WideRequantize, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        ..
    } = operands;
    let one = |x: i32| {
        let real = x.wrapping_sub(p.zero_x) as f32 * p.scale_x;
        rounded(real / p.scale_y, p.zero_point, p.low, p.high)
    };
    let wide = output.len() > output_shape.elements();
    match (x.width, wide) {
        (1, false) => {
            let y = signed_mut(output).iter_mut();
            y.zip(x.i8()?).for_each(|(y, &x)| *y = one(x.into()) as i8);
        }
        (1, true) => {
            let y: &mut [i16] = bytemuck::try_cast_slice_mut(output).ok()?;
            let x = signed(x.bytes()?);
            (y.iter_mut().zip(x)).for_each(|(y, &x)| *y = one(x.into()) as i16);
        }
        (_, false) => {
            let y = signed_mut(output).iter_mut();
            y.zip(words(&x)?)
                .for_each(|(y, &x)| *y = one(x.into()) as i8);
        }
        (_, true) => {
            let y: &mut [i16] = bytemuck::try_cast_slice_mut(output).ok()?;
            (y.iter_mut().zip(words(&x)?)).for_each(|(y, &x)| *y = one(x.into()) as i16);
        }
    }
    Some(())
}

/// The operand's elements.
pub(super) fn words<'a>(x: &Input<'a>) -> Option<&'a [i16]> {
    bytemuck::try_cast_slice(x.bytes()?).ok()
}

/// `round_ties_even(value) + zero_point` within `low..=high`, which lie within `i16`; a
/// NaN counts as lower than every number.
pub(super) fn rounded(value: f32, zero_point: i32, low: i32, high: i32) -> i32 {
    // 1.5 · 2²³ leaves the value rounded half to even in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let (low, high) = (
        low.wrapping_sub(zero_point) as f32,
        high.wrapping_sub(zero_point) as f32,
    );
    let value = if value > low { value } else { low };
    let value = if value < high { value } else { high };
    let steps = (value + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    steps.wrapping_add(zero_point)
}
