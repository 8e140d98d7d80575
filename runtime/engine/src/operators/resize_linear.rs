//! Linear resize.

use crate::memory::{Operands, signed_mut};
use crate::numerics::Requantize;
use sanderling_plan::step::ResizeLinear;

pub(super) fn run(p: &ResizeLinear, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        constants,
        ..
    } = operands;
    let [_, h, w, channels] = x.shape.nhwc()?;
    let [_, out_h, out_w, _] = output_shape.nhwc()?;
    let (out_h, out_w) = (out_h as usize, out_w as usize);
    let rows: &[[u16; 2]] = constants.slice(p.rows, out_h)?;
    let row_weights: &[[f32; 2]] = constants.slice(p.row_weights, out_h)?;
    let columns: &[[u16; 2]] = constants.slice(p.columns, out_w)?;
    let column_weights: &[[f32; 2]] = constants.slice(p.column_weights, out_w)?;
    let requantize = Requantize::new(p.low, p.high, p.zero_point);
    let real = |q: i8| i32::from(q).wrapping_sub(p.zero_x) as f32 * p.scale_x;
    let channels = channels as usize;
    let row_bytes = (w as usize).checked_mul(channels)?;
    let image_bytes = (h as usize).checked_mul(row_bytes)?;
    let row_out = out_w.checked_mul(channels)?;
    let image_out = out_h.checked_mul(row_out)?;
    let mut images = x.i8()?.chunks_exact(image_bytes.max(1));
    for (y, x) in signed_mut(output)
        .chunks_exact_mut(image_out.max(1))
        .zip(&mut images)
    {
        let row = |row: u16| {
            let start = usize::from(row).checked_mul(row_bytes)?;
            x.get(start..start.checked_add(row_bytes)?)
        };
        let mut lines = y.chunks_exact_mut(row_out.max(1));
        for ((&[a, b], &[u, v]), y) in rows.iter().zip(row_weights).zip(&mut lines) {
            let (above, below) = (row(a)?, row(b)?);
            let mut pixels = y.chunks_exact_mut(channels.max(1));
            for ((&[c, d], &[s, t]), y) in columns.iter().zip(column_weights).zip(&mut pixels) {
                let (left, right) = (pixel(c, channels)?, pixel(d, channels)?);
                let above = above
                    .get(left.clone())?
                    .iter()
                    .zip(above.get(right.clone())?);
                let below = below.get(left)?.iter().zip(below.get(right)?);
                let weights = [s * u, t * u, s * v, t * v];
                for ((y, (&ac, &ad)), (&bc, &bd)) in y.iter_mut().zip(above).zip(below) {
                    let sum = weights[0] * real(ac)
                        + weights[1] * real(ad)
                        + weights[2] * real(bc)
                        + weights[3] * real(bd);
                    *y = requantize.real(sum / p.scale_y);
                }
            }
        }
    }
    Some(())
}

/// The channels of the pixel in `column` of a row.
fn pixel(column: u16, channels: usize) -> Option<core::ops::Range<usize>> {
    let start = usize::from(column).checked_mul(channels)?;
    Some(start..start.checked_add(channels)?)
}
