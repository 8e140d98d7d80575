//! Product of two tensors.

use super::pairs;
use crate::memory::Operands;
use crate::numerics::Requantize;
use sanderling_plan::step::Mul;

pub(super) fn run(p: &Mul, operands: Operands<'_>) -> Option<()> {
    let p = *p;
    let requantize = Requantize::new(p.low, p.high, p.bias_y.wrapping_neg());
    pairs::run(operands, |y, a, b| {
        for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
            let a = i32::from(a).wrapping_sub(p.zero_a);
            let b = i32::from(b).wrapping_sub(p.zero_b);
            *y = requantize.real(a.wrapping_mul(b) as f32 * p.ratio + p.offset);
        }
    })
}
