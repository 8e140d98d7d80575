//! Rows picked by index.

use crate::memory::{Operands, copy};
use sanderling_plan::step::Gather;

pub(super) fn run(p: &Gather, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, indices, _],
        output,
        ..
    } = operands;
    let indices: &[i32] = bytemuck::try_cast_slice(indices.bytes()?).ok()?;
    let row = (p.inner as usize).checked_mul(x.width)?;
    let extent = p.extent as i32;
    let block = (p.extent as usize).checked_mul(row)?;
    let block_out = indices.len().checked_mul(row)?;
    let mut blocks = x.bytes()?.chunks_exact(block.max(1));
    for (y, x) in output.chunks_exact_mut(block_out.max(1)).zip(&mut blocks) {
        for (y, &index) in y.chunks_exact_mut(row.max(1)).zip(indices) {
            let counted = if index < 0 {
                index.wrapping_add(extent)
            } else {
                index
            };
            let start = (counted.clamp(0, extent.wrapping_sub(1)) as usize).checked_mul(row)?;
            copy(y, x.get(start..start.checked_add(row)?)?);
        }
    }
    Some(())
}
