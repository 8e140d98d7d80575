//! Mean over the middle of three groups of axes.

use crate::kernels::{Isa, sum};
use crate::memory::{Operands, signed_mut};
use crate::numerics::Requantize;
use sanderling_plan::step::ReduceMean;

pub(super) fn run(isa: Isa, p: &ReduceMean, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        scratch,
        ..
    } = operands;
    let requantize = Requantize::new(p.low, p.high, p.zero_point);
    let (reduce, inner) = (p.reduce as usize, p.inner as usize);
    let offset = (p.reduce as i32).wrapping_mul(p.zero_x);
    let finish = |acc: i32| requantize.accumulator(acc.wrapping_sub(offset), p.multiplier);
    let (x, y) = (x.i8()?, signed_mut(output));
    if inner == 1 {
        let mut rows = x.chunks_exact(reduce.max(1));
        for (y, x) in y.iter_mut().zip(&mut rows) {
            *y = finish(sum(x));
        }
        return Some(());
    }
    let scratch = scratch.get_mut(..inner.checked_mul(size_of::<i32>())?)?;
    let acc: &mut [i32] = bytemuck::try_cast_slice_mut(scratch).ok()?;
    let mut outer = x.chunks_exact(reduce.checked_mul(inner)?.max(1));
    for (y, x) in y.chunks_exact_mut(inner.max(1)).zip(&mut outer) {
        acc.fill(0);
        if isa.add_columns(acc, x).is_none() {
            for row in x.chunks_exact(inner.max(1)) {
                isa.accumulate(acc, row);
            }
        }
        for (y, &acc) in y.iter_mut().zip(&*acc) {
            *y = finish(acc);
        }
    }
    Some(())
}
