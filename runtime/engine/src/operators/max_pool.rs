//! Maximum over windows.

use super::window::{Axis, each_pixel};
use crate::memory::{Operands, signed_mut};
use sanderling_plan::step::MaxPool;

pub(super) fn run(p: &MaxPool, operands: Operands<'_>) -> Option<()> {
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
    each_pixel(
        (x.i8()?, from),
        (signed_mut(output), to),
        |image, oy, ox, y| {
            let (taps_y, taps_x) = (rows.taps(oy), columns.taps(ox));
            y.fill(i8::MIN);
            for ky in taps_y.inside.clone() {
                for kx in taps_x.inside.clone() {
                    let x = image.values(taps_y.position(ky), taps_x.position(kx), 0, y.len())?;
                    for (y, &x) in y.iter_mut().zip(x) {
                        *y = (*y).max(x);
                    }
                }
            }
            Some(())
        },
    )
}
