//! Softmax to `f32`, where a model ends.

use super::reals::plain;
use crate::memory::Operands;
use sanderling_plan::step::SoftmaxReal;

pub(super) fn run(p: &SoftmaxReal, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        ..
    } = operands;
    let y: &mut [f32] = bytemuck::try_cast_slice_mut(output).ok()?;
    let width = (output_shape.last() as usize).max(1);
    if x.width == 1 {
        let real = |q: i8| i32::from(q).wrapping_sub(p.zero_x) as f32 * p.scale;
        rows(x.i8()?, real, y, width);
    } else {
        rows(plain(&x)?, |x: f32| x, y, width);
    }
    Some(())
}

fn rows<T: Copy>(x: &[T], real: impl Fn(T) -> f32, y: &mut [f32], width: usize) {
    for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        let max = x.iter().fold(f32::NEG_INFINITY, |max, &x| {
            let real = real(x);
            if real > max { real } else { max }
        });
        let (mut sum, mut lost) = (0f32, 0f32);
        for (y, &x) in y.iter_mut().zip(x) {
            *y = libm::expf(real(x) - max);
            let term = *y - lost;
            let next = sum + term;
            lost = (next - sum) - term;
            sum = next;
        }
        for y in y {
            *y /= sum;
        }
    }
}
