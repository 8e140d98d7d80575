//! Mean over the middle of three groups of axes, of real numbers.

use super::reals::{Results, plain};
use super::wide::words;
use crate::memory::Operands;
use sanderling_plan::step::RealMean;

pub(super) fn run(p: &RealMean, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        ..
    } = operands;
    let elements = output_shape.elements();
    let mut y = Results::of(output, elements, p.scale_y, p.zero_point)?;
    let (reduce, inner) = (p.reduce as usize, (p.inner as usize).max(1));
    for at in 0..elements {
        let block = (at / inner).checked_mul(reduce)?;
        let first = block.checked_mul(inner)?.checked_add(at % inner)?;
        let sum = if x.width == 1 {
            total(x.i8()?.get(first..)?, inner, p) as f32 * p.scale_x
        } else if x.width == 2 {
            total(words(&x)?.get(first..)?, inner, p) as f32 * p.scale_x
        } else {
            let (mut sum, mut lost) = (0f32, 0f32);
            for x in plain(&x)?.get(first..)?.iter().step_by(inner).take(reduce) {
                let term = x - lost;
                let next = sum + term;
                lost = (next - sum) - term;
                sum = next;
            }
            sum
        };
        y.set(at, sum / p.divisor)?;
    }
    Some(())
}

/// The sum of every `inner`-th element of `x`, in steps.
fn total<T: Copy + Into<i32>>(x: &[T], inner: usize, p: &RealMean) -> i64 {
    let column = x.iter().step_by(inner).take(p.reduce as usize);
    column.fold(0i64, |sum, &x| {
        sum.wrapping_add(i64::from(x.into().wrapping_sub(p.zero_x)))
    })
}
