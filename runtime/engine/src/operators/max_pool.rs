//! Maximum over windows.

use super::window::Axis;
use crate::memory::{Operands, signed_mut};
use sanderling_plan::step::MaxPool;

pub(super) fn run(p: &MaxPool, operands: Operands<'_>) -> Option<()> {
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
                y.fill(i8::MIN);
                for ky in taps_y.inside.clone() {
                    let row = taps_y.position(ky).checked_mul(w as usize)?;
                    for kx in taps_x.inside.clone() {
                        let start = row
                            .checked_add(taps_x.position(kx))?
                            .checked_mul(channels)?;
                        let x = x.get(start..start.checked_add(channels)?)?;
                        for (y, &x) in y.iter_mut().zip(x) {
                            *y = (*y).max(x);
                        }
                    }
                }
            }
        }
    }
    Some(())
}
