//! Sum of two tensors.

use super::pairs::{self, BLOCK};
use crate::memory::Operands;
use crate::numerics::Sum;
use sanderling_plan::step::Add;

#[cfg(target_arch = "aarch64")]
pub(super) fn run(p: &Add, operands: Operands<'_>) -> Option<()> {
    pairs::run(operands, |y, a, b| crate::kernels::add(p, y, a, b))
}

#[cfg(not(target_arch = "aarch64"))]
pub(super) fn run(p: &Add, operands: Operands<'_>) -> Option<()> {
    let sum = Sum::new(p);
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
