//! Softmax over the last axis.

use crate::memory::{Operands, Source, copy, signed_mut};
use crate::numerics::Requantize;
use sanderling_plan::step::Softmax;

pub(super) fn run(p: &Softmax, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        constants,
        ..
    } = operands;
    let table: &[f32; Softmax::ENTRIES] = constants.array(p.table)?;
    let requantize = Requantize::new(-128, 127, p.zero_point);
    if let Source::Bytes(x) = x.source {
        copy(output, x);
    }
    let row = (output_shape.last() as usize).max(1);
    for row in signed_mut(output).chunks_exact_mut(row) {
        let max = row.iter().copied().max()?;
        // The largest element reads the table's entry 127, in wrapping bytes.
        let shift = 127i8.wrapping_sub(max);
        let entry = |x: i8| table[usize::from(x.wrapping_add(shift) as u8)];
        let sum = row.iter().fold(0f32, |sum, &x| sum + entry(x));
        for y in row {
            *y = requantize.real(entry(*y) * p.inverse_scale / sum);
        }
    }
    Some(())
}
