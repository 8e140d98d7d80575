//! Softmax to `f32`, where a model ends.

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
    let real = |q: i8| i32::from(q).wrapping_sub(p.zero_x) as f32 * p.scale;
    let width = (output_shape.last() as usize).max(1);
    let mut rows = x.i8()?.chunks_exact(width);
    for (y, x) in y.chunks_exact_mut(width).zip(&mut rows) {
        let max = real(x.iter().copied().max()?);
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
    Some(())
}
