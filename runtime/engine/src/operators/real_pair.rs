//! Sum, difference, product or quotient of two real tensors.

use super::reals::{Reals, Results, within};
use crate::memory::Operands;
use sanderling_plan::step::RealPair;

pub(super) fn run(p: &RealPair, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [a, b, _],
        output,
        output_shape,
        ..
    } = operands;
    let elements = output_shape.elements();
    let a = Reals::of(&a, p.scale_a, p.zero_a)?;
    let b = Reals::of(&b, p.scale_b, p.zero_b)?;
    let mut y = Results::of(output, elements, p.scale_y, p.zero_point)?;
    // The place in b, and how many elements of a are left for it.
    let (mut place, mut left) = (0u32, p.inner);
    for at in 0..elements {
        let (a, b) = (a.get(at)?, b.get(place as usize)?);
        let (first, second) = if p.reversed { (b, a) } else { (a, b) };
        let real = match p.operation {
            RealPair::SUM => first + second,
            RealPair::DIFFERENCE => first - second,
            RealPair::PRODUCT => first * second,
            _ => first / second,
        };
        y.set(at, within(real, p.low, p.high))?;
        left = left.wrapping_sub(1);
        if left == 0 {
            left = p.inner;
            place = place.wrapping_add(1);
            if place >= p.extent {
                place = 0;
            }
        }
    }
    Some(())
}
