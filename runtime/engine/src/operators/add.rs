//! Sum of two tensors.

use super::pairs;
use crate::memory::Operands;
use crate::numerics::{Requantize, fma};
use sanderling_plan::step::Add;

pub(super) fn run(p: &Add, operands: Operands<'_>) -> Option<()> {
    let p = *p;
    let requantize = Requantize::new(p.low, p.high, p.bias_y.wrapping_neg());
    let (bias_a, bias_b) = (p.bias_a, p.bias_b);
    pairs::run(operands, |y, a, b| {
        for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
            let a = i32::from(a).wrapping_add(bias_a) as f32;
            let b = i32::from(b).wrapping_add(bias_b) as f32;
            *y = requantize.real(fma(a, p.ratio_a, fma(b, p.ratio_b, p.fixed)));
        }
    })
}
