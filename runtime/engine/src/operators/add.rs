//! Sum of two tensors.

use super::pairs;
use crate::kernels::Isa;
use crate::memory::Operands;
#[cfg(not(target_arch = "aarch64"))]
use crate::numerics::Sum;
use sanderling_plan::step::Add;

#[cfg(target_arch = "aarch64")]
pub(super) fn run(_isa: Isa, p: &Add, operands: Operands<'_>) -> Option<()> {
    pairs::run(operands, |y, a, b| crate::kernels::add(p, y, a, b))
}

#[cfg(not(target_arch = "aarch64"))]
pub(super) fn run(isa: Isa, p: &Add, operands: Operands<'_>) -> Option<()> {
    let sum = Sum::new(p);
    pairs::run(operands, |y, a, b| isa.add(&sum, y, a, b))
}
