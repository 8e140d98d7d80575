//! Index of the largest or smallest element.

use crate::memory::Operands;
use sanderling_plan::step::ArgMax;

pub(super) fn run(p: &ArgMax, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        ..
    } = operands;
    let y: &mut [i32] = bytemuck::try_cast_slice_mut(output).ok()?;
    let (reduce, inner) = (p.reduce as usize, p.inner as usize);
    // Complemented, the smallest is the largest.
    let flip = if p.smallest { -1i8 } else { 0 };
    let mut outer = x.i8()?.chunks_exact(reduce.checked_mul(inner)?.max(1));
    for (y, x) in y.chunks_exact_mut(inner.max(1)).zip(&mut outer) {
        for (i, y) in y.iter_mut().enumerate() {
            let mut best = (i8::MIN, 0i32);
            let column = x.get(i..)?.iter().step_by(inner.max(1));
            for (index, &value) in (0i32..).zip(column) {
                let value = value ^ flip;
                if index == 0 || value > best.0 || (p.last && value == best.0) {
                    best = (value, index);
                }
            }
            *y = best.1;
        }
    }
    Some(())
}
