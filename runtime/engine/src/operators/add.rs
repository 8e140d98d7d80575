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
    let [a, b, _] = &operands.inputs;
    let (a, b) = (a.i8(), b.i8());
    let y = crate::memory::signed_mut(&mut *operands.output);
    let done = isa.add_in_place(&sum, y, a, b);
    if done.is_some() {
        return done;
    }
    super::pairs::run(operands, |y, a, b| isa.add(&sum, y, a, b))
}
