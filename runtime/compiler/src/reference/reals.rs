//! Operators whose results stay real, or did until their quantization.

use super::affine::tap;
use super::{Operand, clamp};
use crate::matching::logistic::{logistic, tanh};
use sanderling_plan::Dtype;
use sanderling_plan::step::{RealConv, RealMap, RealMean, RealPair, RealProduct};

/// Weights, biases, multipliers, offsets.
pub(super) type Linear<'a> = (&'a [i8], &'a [i32], &'a [f32], &'a [f32]);

pub(super) fn conv(
    p: &RealConv,
    (weights, bias, multipliers, offsets): Linear<'_>,
    x: &Operand<'_>,
    z: Option<&Operand<'_>>,
    y: &mut Operand<'_>,
) {
    let [_, height, width, channels] = x.nhwc();
    let [batch, out_h, out_w, outputs] = y.nhwc();
    let groups = p.groups as usize;
    let (group_in, group_out) = (channels / groups, outputs / groups);
    let (kernel_h, kernel_w) = (p.kernel_h as usize, p.kernel_w as usize);
    for at in 0..batch * out_h * out_w * outputs {
        let (o, pixel) = (at % outputs, at / outputs);
        let (ox, oy, n) = (pixel % out_w, pixel / out_w % out_h, pixel / out_w / out_h);
        let mut acc = i64::from(bias[o]);
        for ky in 0..kernel_h {
            let iy = tap(oy, p.stride_h, ky, p.dilation_h, p.pad_top, height);
            for kx in 0..kernel_w {
                let ix = tap(ox, p.stride_w, kx, p.dilation_w, p.pad_left, width);
                for c in 0..group_in {
                    let value = match (iy, ix) {
                        (Some(iy), Some(ix)) => {
                            let pixel = (n * height + iy) * width + ix;
                            x.i8(pixel * channels + o / group_out * group_in + c)
                        }
                        _ => p.input_zero_point,
                    };
                    let weight = weights[((o * kernel_h + ky) * kernel_w + kx) * group_in + c];
                    acc += i64::from(value * (i32::from(weight) - p.weight_zero_point));
                }
            }
        }
        let mut real = acc as i32 as f32 * multipliers[o] + offsets[o];
        if let Some(z) = z {
            real += operand(z, at, p.scale_z, p.zero_z);
        }
        put(y, at, real.clamp(p.low, p.high), p.scale_y, p.zero_point);
    }
}

pub(super) fn pair(p: &RealPair, a: &Operand<'_>, b: &Operand<'_>, y: &mut Operand<'_>) {
    for at in 0..y.len() {
        let a = operand(a, at, p.scale_a, p.zero_a);
        let place = at / p.inner as usize % p.extent as usize;
        let b = operand(b, place, p.scale_b, p.zero_b);
        let (first, second) = if p.reversed { (b, a) } else { (a, b) };
        let real = match p.operation {
            RealPair::SUM => first + second,
            RealPair::DIFFERENCE => first - second,
            RealPair::PRODUCT => first * second,
            RealPair::QUOTIENT => first / second,
            other => panic!("operation {other} of two real tensors"),
        };
        put(y, at, real.clamp(p.low, p.high), p.scale_y, p.zero_point);
    }
}

pub(super) fn mean(p: &RealMean, x: &Operand<'_>, y: &mut Operand<'_>) {
    let (reduce, inner) = (p.reduce as usize, p.inner as usize);
    for at in 0..y.len() {
        let places = (0..reduce).map(|i| (at / inner * reduce + i) * inner + at % inner);
        let sum = match x.tensor.dtype {
            Dtype::F32 => {
                let (mut sum, mut lost) = (0f32, 0f32);
                for place in places {
                    let term = x.f32(place) - lost;
                    let next = sum + term;
                    lost = (next - sum) - term;
                    sum = next;
                }
                sum
            }
            _ => {
                let sum: i64 = places
                    .map(|place| i64::from(x.narrow(place) - p.zero_x))
                    .sum();
                sum as f32 * p.scale_x
            }
        };
        put(y, at, sum / p.divisor, p.scale_y, p.zero_point);
    }
}

pub(super) fn product(
    p: &RealProduct,
    weights: &[f32],
    offsets: &[f32],
    x: &Operand<'_>,
    y: &mut Operand<'_>,
) {
    let outputs = offsets.len();
    let k = weights.len() / outputs;
    for at in 0..y.len() {
        let (row, o) = (at / outputs, at % outputs);
        let mut sum = 0f32;
        for i in 0..k {
            sum += x.f32(row * k + i) * weights[o * k + i];
        }
        let real = (sum + offsets[o]).clamp(p.low, p.high);
        put(y, at, real, p.scale_y, p.zero_point);
    }
}

pub(super) fn map(p: &RealMap, x: &Operand<'_>, y: &mut Operand<'_>) {
    for at in 0..y.len() {
        let x = x.f32(at);
        let real = match p.function {
            RealMap::CLAMP => x.clamp(p.alpha, p.beta),
            RealMap::SIGMOID => logistic(x),
            RealMap::TANH => tanh(x),
            RealMap::LEAKY_RELU => {
                if x >= 0.0 {
                    x
                } else {
                    p.alpha * x
                }
            }
            RealMap::HARD_SIGMOID => (p.alpha * x + p.beta).clamp(0.0, 1.0),
            other => panic!("function {other} of a real tensor"),
        };
        put(y, at, real, p.scale_y, p.zero_point);
    }
}

/// A real element, be it stored as one or in steps.
fn operand(x: &Operand<'_>, at: usize, scale: f32, zero_point: i32) -> f32 {
    match x.tensor.dtype {
        Dtype::F32 => x.f32(at),
        _ => (x.narrow(at) - zero_point) as f32 * scale,
    }
}

/// Stores a real result, quantized where the output is.
fn put(y: &mut Operand<'_>, at: usize, real: f32, scale: f32, zero_point: i32) {
    if y.tensor.dtype == Dtype::F32 {
        y.set_f32(at, if real.is_nan() { f32::NAN } else { real });
        return;
    }
    let (low, high) = ((-128 - zero_point) as f32, (127 - zero_point) as f32);
    let steps = real / scale;
    let byte = if steps.is_nan() {
        -128
    } else {
        let rounded = steps.clamp(low, high).round_ties_even();
        clamp(rounded, zero_point, -128, 127)
    };
    y.set_i8(at, byte);
}
