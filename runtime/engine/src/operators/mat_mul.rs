//! Matrix product of two tensors.

use crate::memory::{Operands, signed_mut};
use crate::numerics::Requantize;
use sanderling_plan::step::MatMul;

pub(super) fn run(p: &MatMul, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [a, b, _],
        output,
        ..
    } = operands;
    let (&[_, m, k], &[_, n, _]) = (a.shape.dims(), b.shape.dims()) else {
        return None;
    };
    let (m, n, k) = (m as usize, n as usize, k as usize);
    let requantize = Requantize::new(p.low, p.high, p.zero_point);
    let left = a.i8()?.chunks_exact(m.checked_mul(k)?.max(1));
    let mut right = b.i8()?.chunks_exact(n.checked_mul(k)?.max(1));
    let mut results = signed_mut(output).chunks_exact_mut(m.checked_mul(n)?.max(1));
    for ((a, b), y) in left.zip(&mut right).zip(&mut results) {
        let mut rows = a.chunks_exact(k.max(1));
        for (y, a) in y.chunks_exact_mut(n.max(1)).zip(&mut rows) {
            let mut columns = b.chunks_exact(k.max(1));
            for (y, b) in y.iter_mut().zip(&mut columns) {
                *y = requantize.accumulator(dot(a, b, p.zero_a, p.zero_b), p.multiplier);
            }
        }
    }
    Some(())
}

/// `Σ (a - zero_a) · (b - zero_b)`.
fn dot(a: &[i8], b: &[i8], zero_a: i32, zero_b: i32) -> i32 {
    a.iter().zip(b).fold(0i32, |sum, (&a, &b)| {
        let (a, b) = (
            i32::from(a).wrapping_sub(zero_a),
            i32::from(b).wrapping_sub(zero_b),
        );
        sum.wrapping_add(a.wrapping_mul(b))
    })
}
