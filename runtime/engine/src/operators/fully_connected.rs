//! Matrix product with constant weights.

use super::dense::Products;
use crate::kernels::{Kernel, Linear};
use crate::memory::{Operands, signed_mut};
use crate::numerics::Requantize;
use crate::spread::Spread;
use sanderling_plan::step::FullyConnected;

pub(super) fn run<K: Kernel, S: Spread>(
    p: &FullyConnected,
    operands: Operands<'_>,
    spread: &S,
) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        scratch,
        constants,
        ..
    } = operands;
    let (k, outputs) = (x.shape.last() as usize, output_shape.last() as usize);
    let linear = Linear::of::<K>(
        &constants,
        [p.weights, p.bias, p.multipliers],
        [1, outputs, k],
        p.weight_zero_point,
        Requantize::new(p.low, p.high, p.zero_point),
    )?;
    let tile = scratch.get_mut(..p.scratch_bytes(K::TARGET, k)?)?;
    Products::<K> {
        k,
        linear,
        tile: bytemuck::try_cast_slice_mut(tile).ok()?,
    }
    .apart(x.i8()?, signed_mut(output), spread)
}
