//! Sum of two tensors.

use crate::kernels::Isa;
use crate::memory::Operands;
use sanderling_plan::step::Add;

#[cfg(target_arch = "aarch64")]
pub(super) fn run(_isa: Isa, p: &Add, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [a, b, _],
        output,
        ..
    } = operands;
    crate::kernels::add(p, crate::memory::signed_mut(output), a.i8(), b.i8());
    Some(())
}

#[cfg(not(target_arch = "aarch64"))]
pub(super) fn run(isa: Isa, p: &Add, operands: Operands<'_>) -> Option<()> {
    let sum = crate::numerics::Sum::new(p);
    super::pairs::run(operands, |y, a, b| isa.add(&sum, y, a, b))
}
