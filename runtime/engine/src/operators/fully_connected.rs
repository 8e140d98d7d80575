//! Matrix product with constant weights.

use crate::kernels::{Linear, linear_row};
use crate::memory::{Operands, signed_mut};
use crate::numerics::Requantize;
use sanderling_plan::step::FullyConnected;

pub(super) fn run(p: &FullyConnected, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        constants,
        ..
    } = operands;
    let (k, outputs) = (x.shape.last() as usize, output_shape.last() as usize);
    let requantize = Requantize::new(p.low, p.high, p.zero_point);
    let offsets = [p.weights, p.bias, p.multipliers];
    let linear = Linear::of(
        &constants,
        offsets,
        outputs,
        k,
        p.weight_zero_point,
        requantize,
    )?;
    let mut rows = x.i8()?.chunks_exact(k.max(1));
    for (y, x) in signed_mut(output)
        .chunks_exact_mut(outputs.max(1))
        .zip(&mut rows)
    {
        linear_row(x, &linear, y);
    }
    Some(())
}
