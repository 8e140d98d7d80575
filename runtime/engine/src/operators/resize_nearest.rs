//! Nearest-neighbour resize.

use crate::memory::{Operands, copy, signed_mut};
use sanderling_plan::step::ResizeNearest;

pub(super) fn run(p: &ResizeNearest, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        constants,
        ..
    } = operands;
    let [_, h, w, channels] = x.shape.nhwc()?;
    let [_, out_h, out_w, _] = output_shape.nhwc()?;
    let rows: &[u16] = constants.slice(p.rows, out_h as usize)?;
    let columns: &[u16] = constants.slice(p.columns, out_w as usize)?;
    let channels = channels as usize;
    let row_bytes = (w as usize).checked_mul(channels)?;
    let image_bytes = (h as usize).checked_mul(row_bytes)?;
    let row_out = (out_w as usize).checked_mul(channels)?;
    let image_out = (out_h as usize).checked_mul(row_out)?;
    let mut images = x.i8()?.chunks_exact(image_bytes.max(1));
    for (y, x) in signed_mut(output)
        .chunks_exact_mut(image_out.max(1))
        .zip(&mut images)
    {
        for (&row, y) in rows.iter().zip(&mut y.chunks_exact_mut(row_out.max(1))) {
            let start = usize::from(row).checked_mul(row_bytes)?;
            let x = x.get(start..start.checked_add(row_bytes)?)?;
            for (&column, y) in columns.iter().zip(&mut y.chunks_exact_mut(channels.max(1))) {
                let start = usize::from(column).checked_mul(channels)?;
                copy(y, x.get(start..start.checked_add(channels)?)?);
            }
        }
    }
    Some(())
}
