//! `f32` to `i8` where a model begins.

use crate::memory::{Operands, signed_mut};
use crate::numerics::Requantize;
use sanderling_plan::step::Quantize;

pub(super) fn run(p: &Quantize, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        ..
    } = operands;
    let x: &[f32] = bytemuck::try_cast_slice(x.bytes()?).ok()?;
    let requantize = Requantize::new(-128, 127, p.zero_point);
    for (y, &x) in signed_mut(output).iter_mut().zip(x) {
        *y = requantize.real(x / p.scale);
    }
    Some(())
}
