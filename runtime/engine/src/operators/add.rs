//! Sum of two tensors.

use crate::memory::Operands;
use sanderling_plan::step::Add;

#[cfg(target_arch = "aarch64")]
pub(super) fn run(p: &Add, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [a, b, _],
        output,
        ..
    } = operands;
    crate::kernels::add(p, crate::memory::signed_mut(output), a.i8(), b.i8());
    Some(())
}

#[cfg(not(target_arch = "aarch64"))]
pub(super) fn run(p: &Add, operands: Operands<'_>) -> Option<()> {
    use super::pairs::{self, BLOCK};
    let sum = crate::numerics::Sum::new(p);
    pairs::run(operands, |y, a, b| {
        let blocks = y
            .chunks_mut(BLOCK)
            .zip(a.chunks(BLOCK))
            .zip(b.chunks(BLOCK));
        for ((y, a), b) in blocks {
            sum.block(y, a, b);
        }
    })
}
