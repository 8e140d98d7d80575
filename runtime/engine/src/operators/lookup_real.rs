//! A table from byte to `f32`, where a model ends.

use crate::memory::Operands;
use sanderling_plan::step::LookupReal;

pub(super) fn run(p: &LookupReal, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        constants,
        ..
    } = operands;
    let table: &[f32; LookupReal::ENTRIES] = constants.array(p.table)?;
    let y: &mut [f32] = bytemuck::try_cast_slice_mut(output).ok()?;
    for (y, &x) in y.iter_mut().zip(x.bytes()?) {
        *y = table[usize::from(x)];
    }
    Some(())
}
