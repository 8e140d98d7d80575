//! `i8` or `i16` to `f32` where a model ends.

use super::wide::words;
use crate::memory::Operands;
use sanderling_plan::step::Dequantize;

pub(super) fn run(p: &Dequantize, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        ..
    } = operands;
    let y: &mut [f32] = bytemuck::try_cast_slice_mut(output).ok()?;
    if x.width == 2 {
        for (y, &x) in y.iter_mut().zip(words(&x)?) {
            *y = i32::from(x).wrapping_sub(p.zero_point) as f32 * p.scale;
        }
        return Some(());
    }
    for (y, &x) in y.iter_mut().zip(x.i8()?) {
        *y = i32::from(x).wrapping_sub(p.zero_point) as f32 * p.scale;
    }
    Some(())
}
