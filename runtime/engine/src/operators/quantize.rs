//! `f32` to `i8` or `i16` where a model begins.

use super::wide::rounded;
use crate::memory::{Operands, signed_mut};
use crate::numerics::Requantize;
use sanderling_plan::step::Quantize;

pub(super) fn run(p: &Quantize, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        ..
    } = operands;
    let x: &[f32] = bytemuck::try_cast_slice(x.bytes()?).ok()?;
    if output.len() > output_shape.elements() {
        let y: &mut [i16] = bytemuck::try_cast_slice_mut(output).ok()?;
        let (low, high) = (i16::MIN.into(), i16::MAX.into());
        for (y, &x) in y.iter_mut().zip(x) {
            *y = rounded(x / p.scale, p.zero_point, low, high) as i16;
        }
        return Some(());
    }
    let requantize = Requantize::new(-128, 127, p.zero_point);
    for (y, &x) in signed_mut(output).iter_mut().zip(x) {
        *y = requantize.real(x / p.scale);
    }
    Some(())
}
