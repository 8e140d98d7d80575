//! Matrix product with constant real weights.

use super::reals::{Results, plain, within};
use crate::memory::Operands;
use sanderling_plan::step::RealProduct;

pub(super) fn run(p: &RealProduct, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        constants,
        ..
    } = operands;
    let (k, outputs) = (x.shape.last() as usize, output_shape.last() as usize);
    let weights: &[f32] = constants.slice(p.weights, k.checked_mul(outputs)?)?;
    let offsets: &[f32] = constants.slice(p.offsets, outputs)?;
    let mut y = Results::of(output, output_shape.elements(), p.scale_y, p.zero_point)?;
    let mut at = 0usize;
    for row in plain(&x)?.chunks_exact(k.max(1)) {
        for (weights, &offset) in weights.chunks_exact(k.max(1)).zip(offsets) {
            let terms = row.iter().zip(weights);
            let sum = terms.fold(0f32, |sum, (x, w)| sum + x * w);
            y.set(at, within(sum + offset, p.low, p.high))?;
            at = at.checked_add(1)?;
        }
    }
    Some(())
}
