//! Operators that go from element to element, and softmax.

use super::{Operand, clamp};
use sanderling_plan::step::{Add, Dequantize, Mul, Quantize, Softmax, SoftmaxReal};

pub(super) fn add(p: &Add, a: &Operand<'_>, b: &Operand<'_>, y: &mut Operand<'_>) {
    for i in 0..y.len() {
        let a = (a.i8(i) + p.bias_a) as f32;
        let b = (b.i8(i) + p.bias_b) as f32;
        let sum = a.mul_add(p.ratio_a, b.mul_add(p.ratio_b, p.fixed));
        y.set_i8(i, clamp(sum.round_ties_even(), -p.bias_y, p.low, p.high));
    }
}

pub(super) fn mul(p: &Mul, a: &Operand<'_>, b: &Operand<'_>, y: &mut Operand<'_>) {
    for i in 0..y.len() {
        let product = ((a.i8(i) - p.zero_a) * (b.i8(i) - p.zero_b)) as f32;
        let scaled = product * p.ratio;
        let sum = scaled + p.offset;
        y.set_i8(i, clamp(sum.round_ties_even(), -p.bias_y, p.low, p.high));
    }
}

pub(super) fn lookup(table: &[u8; 256], x: &Operand<'_>, y: &mut Operand<'_>) {
    for (to, &from) in y.bytes.iter_mut().zip(&x.bytes) {
        *to = table[usize::from(from)];
    }
}

pub(super) fn softmax(p: &Softmax, table: &[f32], x: &Operand<'_>, y: &mut Operand<'_>) {
    let width = x.tensor.shape.last().copied().unwrap_or(1);
    for row in 0..x.len() / width {
        let value = |i: usize| x.i8(row * width + i);
        let max = (0..width).map(value).max().unwrap_or(0);
        let exponential = |i: usize| table[usize::from((127 - max + value(i)) as u8)];
        let mut sum = 0f32;
        for i in 0..width {
            sum += exponential(i);
        }
        for i in 0..width {
            let share = exponential(i) * p.inverse_scale / sum;
            let byte = clamp(share.round_ties_even(), p.zero_point, -128, 127);
            y.set_i8(row * width + i, byte);
        }
    }
}

pub(super) fn quantize(p: &Quantize, x: &Operand<'_>, y: &mut Operand<'_>) {
    if y.tensor.dtype.bytes() == 2 {
        for i in 0..y.len() {
            let steps = x.f32(i) / p.scale;
            y.set_narrow(i, super::wide::clamped(steps, p.zero_point, -32768, 32767));
        }
        return;
    }
    let (low, high) = ((-128 - p.zero_point) as f32, (127 - p.zero_point) as f32);
    for i in 0..y.len() {
        let steps = x.f32(i) / p.scale;
        let byte = if steps.is_nan() {
            -128
        } else {
            clamp(
                steps.clamp(low, high).round_ties_even(),
                p.zero_point,
                -128,
                127,
            )
        };
        y.set_i8(i, byte);
    }
}

pub(super) fn dequantize(p: &Dequantize, x: &Operand<'_>, y: &mut Operand<'_>) {
    for i in 0..y.len() {
        y.set_f32(i, (x.narrow(i) - p.zero_point) as f32 * p.scale);
    }
}

pub(super) fn softmax_real(p: &SoftmaxReal, x: &Operand<'_>, y: &mut Operand<'_>) {
    let width = x.tensor.shape.last().copied().unwrap_or(1);
    let real = |at: usize| match x.tensor.dtype.bytes() {
        4 => x.f32(at),
        _ => (x.i8(at) - p.zero_x) as f32 * p.scale,
    };
    for first in (0..x.len()).step_by(width) {
        let max = (first..first + width).map(real).fold(f32::MIN, f32::max);
        let (mut sum, mut lost) = (0f32, 0f32);
        for at in first..first + width {
            // The one exponential that every processor shares, so that the bits are the same.
            let exponential = libm::expf(real(at) - max);
            y.set_f32(at, exponential);
            let term = exponential - lost;
            let next = sum + term;
            lost = (next - sum) - term;
            sum = next;
        }
        for at in first..first + width {
            let share = y.f32(at) / sum;
            y.set_f32(at, share);
        }
    }
}
