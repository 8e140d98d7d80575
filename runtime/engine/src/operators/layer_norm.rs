//! Normalization of rows.

use crate::memory::{Operands, signed_mut};
use crate::numerics::Requantize;
use sanderling_plan::step::LayerNorm;

pub(super) fn run(p: &LayerNorm, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        constants,
        ..
    } = operands;
    let width = output_shape.last() as usize;
    let gain: &[f32] = constants.slice(p.gain, width)?;
    let bias: &[f32] = constants.slice(p.bias, width)?;
    let requantize = Requantize::new(p.low, p.high, p.zero_point);
    let count = width as f32;
    let mut rows = x.i8()?.chunks_exact(width.max(1));
    for (y, x) in signed_mut(output)
        .chunks_exact_mut(width.max(1))
        .zip(&mut rows)
    {
        let (mut sum, mut squares) = (0i64, 0i64);
        for &x in x {
            let d = i32::from(x).wrapping_sub(p.zero_x);
            sum = sum.wrapping_add(i64::from(d));
            squares = squares.wrapping_add(i64::from(d.wrapping_mul(d)));
        }
        // n² times the variance, in steps of x: exact.
        let spread = (width as i64)
            .wrapping_mul(squares)
            .wrapping_sub(sum.wrapping_mul(sum));
        let mean = sum as f32 / count;
        let variance = spread as f32 / (count * count) * (p.scale_x * p.scale_x);
        let deviation = libm::sqrtf(variance + p.epsilon);
        for ((y, &x), (&gain, &bias)) in y.iter_mut().zip(x).zip(gain.iter().zip(bias)) {
            let d = i32::from(x).wrapping_sub(p.zero_x) as f32;
            let real = (d - mean) * p.scale_x / deviation * gain + bias;
            *y = requantize.real(real / p.scale_y);
        }
    }
    Some(())
}
