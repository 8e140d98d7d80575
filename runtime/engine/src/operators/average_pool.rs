//! Mean over windows.

use super::window::{Axis, each_pixel};
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
    let (from, to) = (x.shape.nhwc()?, output_shape.nhwc()?);
    let [_, h, w, _] = from;
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
    each_pixel(
        (x.i8()?, from),
        (signed_mut(output), to),
        |image, oy, ox, y| {
            let (taps_y, taps_x) = (rows.taps(oy), columns.taps(ox));
            let inside = taps_y.inside.len().saturating_mul(taps_x.inside.len()) as u32;
            let count = if p.count_include_pad { window } else { inside } as f32;
            for (block, y) in y.chunks_mut(BLOCK).enumerate() {
                let mut sums = [0f32; BLOCK];
                for ky in taps_y.inside.clone() {
                    for kx in taps_x.inside.clone() {
                        let (iy, ix) = (taps_y.position(ky), taps_x.position(kx));
                        let x = image.values(iy, ix, block * BLOCK, y.len())?;
                        for (sum, &x) in sums.iter_mut().zip(x) {
                            *sum += p.scale_x * i32::from(x).wrapping_sub(p.zero_x) as f32;
                        }
                    }
                }
                for (y, sum) in y.iter_mut().zip(sums) {
                    *y = requantize.real(sum / count / p.scale_y + p.offset);
                }
            }
            Some(())
        },
    )
}
