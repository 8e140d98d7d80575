//! Sum of two tensors.

use super::pairs::{self, BLOCK};
use crate::kernels::Isa;
use crate::memory::{Operands, signed_mut};
use crate::numerics::Sum;
use sanderling_plan::step::Add;

#[cfg(target_arch = "aarch64")]
pub(super) fn run(_isa: Isa, p: &Add, operands: Operands<'_>) -> Option<()> {
    pairs::run(operands, |y, a, b| crate::kernels::add(p, y, a, b))
}

#[cfg(not(target_arch = "aarch64"))]
pub(super) fn run(isa: Isa, p: &Add, operands: Operands<'_>) -> Option<()> {
    let sum = Sum::new(p);
    let [a, b, _] = &operands.inputs;
    let (a, b) = (a.i8(), b.i8());
    let done = isa.add(&sum, signed_mut(&mut *operands.output), a, b);
    if done.is_some() {
        return done;
    }
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
