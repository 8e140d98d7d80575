//! Convolution with one input channel per group.

use super::conv::{columns, rows};
use crate::kernels::{BLOCK, depthwise_tap};
use crate::memory::{Operands, signed_mut};
use crate::numerics::Requantize;
use sanderling_plan::step::Conv;

pub(super) fn run(p: &Conv, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        constants,
        ..
    } = operands;
    let [_, h, w, channels_in] = x.shape.nhwc()?;
    let [_, out_h, out_w, channels_out] = output_shape.nhwc()?;
    let (channels_in, outputs) = (channels_in as usize, channels_out as usize);
    let taps = (p.kernel_h as usize).checked_mul(p.kernel_w as usize)?;
    let weights: &[i8] = constants.slice(p.weights, taps.checked_mul(outputs)?)?;
    let bias: &[i32] = constants.slice(p.bias, outputs)?;
    let multipliers: &[f32] = constants.slice(p.multipliers, outputs)?;
    let requantize = Requantize::new(p.low, p.high, p.zero_point);
    let multiplier = outputs / channels_in.max(1);
    let (rows, columns) = (rows(p, h), columns(p, w));
    // What a tap in the padding reads, of every channel.
    let padding = [p.input_zero_point as i8; BLOCK];
    let image_bytes = (h as usize)
        .checked_mul(w as usize)?
        .checked_mul(channels_in)?;
    let image_out = (out_h as usize)
        .checked_mul(out_w as usize)?
        .checked_mul(outputs)?;

    let batches = signed_mut(output).chunks_exact_mut(image_out.max(1));
    for (y, x) in batches.zip(x.i8()?.chunks_exact(image_bytes.max(1))) {
        let mut pixels = y.chunks_exact_mut(outputs.max(1));
        for oy in 0..out_h {
            let taps_y = rows.taps(oy);
            for (ox, y) in (0..out_w).zip(&mut pixels) {
                let taps_x = columns.taps(ox);
                for (block, y) in y.chunks_mut(BLOCK).enumerate() {
                    let (from, len) = (block * BLOCK, y.len());
                    let mut acc = [0i32; BLOCK];
                    let acc = acc.get_mut(..len)?;
                    crate::memory::copy(acc, bias.get(from..from.checked_add(len)?)?);
                    let mut tap = from;
                    for ky in 0..p.kernel_h {
                        for kx in 0..p.kernel_w {
                            let w = weights.get(tap..tap.checked_add(len)?)?;
                            tap = tap.checked_add(outputs)?;
                            if !(taps_y.inside.contains(&ky) && taps_x.inside.contains(&kx)) {
                                depthwise_tap(acc, &padding, w, p.weight_zero_point);
                                continue;
                            }
                            let pixel = taps_y.position(ky).checked_mul(columns.size as usize)?;
                            let pixel = pixel.checked_add(taps_x.position(kx))?;
                            let start = pixel.checked_mul(channels_in)?;
                            let x = x.get(start..start.checked_add(channels_in)?)?;
                            if multiplier == 1 {
                                depthwise_tap(acc, x.get(from..)?, w, p.weight_zero_point);
                            } else {
                                let repeated = repeat(x, multiplier, from, len);
                                depthwise_tap(acc, &repeated, w, p.weight_zero_point);
                            }
                        }
                    }
                    let scales = multipliers.get(from..from.checked_add(len)?)?;
                    for ((y, &acc), &multiplier) in y.iter_mut().zip(&*acc).zip(scales) {
                        *y = requantize.accumulator(acc, multiplier);
                    }
                }
            }
        }
    }
    Some(())
}

/// The `len` inputs of the output channels from `from` on, where `times` consecutive
/// outputs read one input.
fn repeat(x: &[i8], times: usize, from: usize, len: usize) -> [i8; BLOCK] {
    let mut repeated = [0i8; BLOCK];
    let times = times.max(1);
    let outputs = x.get(from / times..).unwrap_or(&[]).iter();
    let outputs = outputs
        .flat_map(|&x| core::iter::repeat_n(x, times))
        .skip(from % times);
    for (slot, x) in repeated.iter_mut().take(len).zip(outputs) {
        *slot = x;
    }
    repeated
}
