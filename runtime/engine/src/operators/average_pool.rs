//! Mean over windows.

use super::window::Axis;
use crate::kernels::BLOCK;
use crate::memory::{Operands, signed_mut};
use crate::numerics::Requantize;
use sanderling_plan::step::AveragePool;

pub(super) fn run(p: &AveragePool, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        ..
    } = operands;
    let [_, h, w, channels] = x.shape.nhwc()?;
    let [_, out_h, out_w, _] = output_shape.nhwc()?;
    let rows = Axis {
        size: h,
        kernel: p.kernel_h,
        stride: p.stride_h,
        dilation: 1,
        pad: p.pad_top,
    };
    let columns = Axis {
        size: w,
        kernel: p.kernel_w,
        stride: p.stride_w,
        dilation: 1,
        pad: p.pad_left,
    };
    let requantize = Requantize::new(p.low, p.high, p.bias_y.wrapping_neg());
    let window = p.kernel_h.saturating_mul(p.kernel_w);
    let channels = channels as usize;
    let image_bytes = (h as usize)
        .checked_mul(w as usize)?
        .checked_mul(channels)?;
    let image_out = (out_h as usize)
        .checked_mul(out_w as usize)?
        .checked_mul(channels)?;
    let batches = signed_mut(output).chunks_exact_mut(image_out.max(1));
    for (y, x) in batches.zip(x.i8()?.chunks_exact(image_bytes.max(1))) {
        let mut pixels = y.chunks_exact_mut(channels.max(1));
        for oy in 0..out_h {
            let taps_y = rows.taps(oy);
            for (ox, y) in (0..out_w).zip(&mut pixels) {
                let taps_x = columns.taps(ox);
                let inside = taps_y.inside.len().saturating_mul(taps_x.inside.len()) as u32;
                let count = if p.count_include_pad { window } else { inside } as f32;
                for (block, y) in y.chunks_mut(BLOCK).enumerate() {
                    let mut sums = [0f32; BLOCK];
                    for ky in taps_y.inside.clone() {
                        let row = taps_y.position(ky).checked_mul(w as usize)?;
                        for kx in taps_x.inside.clone() {
                            let pixel = row.checked_add(taps_x.position(kx))?;
                            let start = pixel.checked_mul(channels)?.checked_add(block * BLOCK)?;
                            let x = x.get(start..start.checked_add(y.len())?)?;
                            for (sum, &x) in sums.iter_mut().zip(x) {
                                *sum += p.scale_x * i32::from(x).wrapping_sub(p.zero_x) as f32;
                            }
                        }
                    }
                    for (y, sum) in y.iter_mut().zip(sums) {
                        *y = requantize.real(sum / count / p.scale_y + p.offset);
                    }
                }
            }
        }
    }
    Some(())
}
