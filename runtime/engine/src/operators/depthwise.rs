//! Convolution with one input channel per group.

use super::conv::{columns, rows};
use super::window::each_pixel;
use crate::kernels::{BLOCK, depthwise_tap};
use crate::memory::{Operands, copy, signed_mut};
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
    let (from, to) = (x.shape.nhwc()?, output_shape.nhwc()?);
    let ([_, h, w, channels_in], [.., channels_out]) = (from, to);
    let (channels_in, outputs) = (channels_in as usize, channels_out as usize);
    let taps = (p.kernel_h as usize).checked_mul(p.kernel_w as usize)?;
    let weights: &[i8] = constants.slice(p.weights, taps.checked_mul(outputs)?)?;
    let bias: &[i32] = constants.slice(p.bias, outputs)?;
    let multipliers: &[f32] = constants.slice(p.multipliers, outputs)?;
    let requantize = Requantize::new(p.low, p.high, p.zero_point);
    let times = outputs / channels_in.max(1);
    let (rows, columns) = (rows(p, h), columns(p, w));
    // What a tap in the padding reads, of every channel.
    let padding = [p.input_zero_point as i8; BLOCK];

    each_pixel(
        (x.i8()?, from),
        (signed_mut(output), to),
        |image, oy, ox, y| {
            let (taps_y, taps_x) = (rows.taps(oy), columns.taps(ox));
            for (block, y) in y.chunks_mut(BLOCK).enumerate() {
                let (first, len) = (block * BLOCK, y.len());
                let channels = first..first.checked_add(len)?;
                let mut acc = [0i32; BLOCK];
                let acc = acc.get_mut(..len)?;
                copy(acc, bias.get(channels.clone())?);
                let mut weights = weights.chunks_exact(outputs.max(1));
                for ky in 0..p.kernel_h {
                    for kx in 0..p.kernel_w {
                        let w = weights.next()?.get(channels.clone())?;
                        let inside = taps_y.inside.contains(&ky) && taps_x.inside.contains(&kx);
                        if !inside {
                            depthwise_tap(acc, &padding, w, p.weight_zero_point);
                            continue;
                        }
                        let (iy, ix) = (taps_y.position(ky), taps_x.position(kx));
                        if times == 1 {
                            let x = image.values(iy, ix, first, len)?;
                            depthwise_tap(acc, x, w, p.weight_zero_point);
                        } else {
                            let x = image.values(iy, ix, 0, channels_in)?;
                            let x = repeat(x, times, first, len);
                            depthwise_tap(acc, &x, w, p.weight_zero_point);
                        }
                    }
                }
                let multipliers = multipliers.get(channels)?;
                for ((y, &acc), &multiplier) in y.iter_mut().zip(&*acc).zip(multipliers) {
                    *y = requantize.accumulator(acc, multiplier);
                }
            }
            Some(())
        },
    )
}

/// The `len` inputs of the output channels from `first` on, where `times` consecutive
/// outputs read one input.
fn repeat(x: &[i8], times: usize, first: usize, len: usize) -> [i8; BLOCK] {
    let mut repeated = [0i8; BLOCK];
    let times = times.max(1);
    let outputs = x.get(first / times..).unwrap_or(&[]).iter();
    let outputs = outputs
        .flat_map(|&x| core::iter::repeat_n(x, times))
        .skip(first % times);
    for (slot, x) in repeated.iter_mut().take(len).zip(outputs) {
        *slot = x;
    }
    repeated
}
