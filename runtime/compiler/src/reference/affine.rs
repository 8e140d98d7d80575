//! Convolution and matrix product.

use super::{Operand, requantize};
use crate::program::Affine;
use sanderling_plan::step::{Conv, FullyConnected, MatMul};

pub(super) fn conv(
    p: &Conv,
    depthwise: bool,
    affine: &Affine,
    x: &Operand<'_>,
    y: &mut Operand<'_>,
) {
    let [_, height, width, channels] = x.nhwc();
    let [batch, out_h, out_w, outputs] = y.nhwc();
    let groups = p.groups as usize;
    let (group_in, group_out) = (channels / groups, outputs / groups);
    let (kernel_h, kernel_w) = (p.kernel_h as usize, p.kernel_w as usize);
    for n in 0..batch {
        for oy in 0..out_h {
            for ox in 0..out_w {
                for o in 0..outputs {
                    let first_channel = o / group_out * group_in;
                    let mut acc = i64::from(affine.bias[o]);
                    for ky in 0..kernel_h {
                        let iy = tap(oy, p.stride_h, ky, p.dilation_h, p.pad_top, height);
                        for kx in 0..kernel_w {
                            let ix = tap(ox, p.stride_w, kx, p.dilation_w, p.pad_left, width);
                            for c in 0..group_in {
                                let value = match (iy, ix) {
                                    (Some(iy), Some(ix)) => {
                                        let pixel = (n * height + iy) * width + ix;
                                        x.i8(pixel * channels + first_channel + c)
                                    }
                                    _ => p.input_zero_point,
                                };
                                let weight = if depthwise {
                                    (ky * kernel_w + kx) * outputs + o
                                } else {
                                    ((o * kernel_h + ky) * kernel_w + kx) * group_in + c
                                };
                                let weight = i32::from(affine.weights[weight]);
                                acc += i64::from(value * (weight - p.weight_zero_point));
                            }
                        }
                    }
                    let m = affine.multipliers[o];
                    let at = ((n * out_h + oy) * out_w + ox) * outputs + o;
                    y.set_i8(at, requantize(acc, m, p.zero_point, p.low, p.high));
                }
            }
        }
    }
}

/// Which row or column a tap reads; `None` in the padding.
pub(super) fn tap(
    output: usize,
    stride: u32,
    kernel: usize,
    dilation: u32,
    pad: u32,
    size: usize,
) -> Option<usize> {
    let at = output * stride as usize + kernel * dilation as usize;
    at.checked_sub(pad as usize).filter(|&at| at < size)
}

pub(super) fn fully_connected(
    p: &FullyConnected,
    affine: &Affine,
    x: &Operand<'_>,
    y: &mut Operand<'_>,
) {
    let depth = x.tensor.shape.last().copied().unwrap_or(1);
    let outputs = y.tensor.shape.last().copied().unwrap_or(1);
    for row in 0..x.len() / depth {
        for o in 0..outputs {
            let mut acc = i64::from(affine.bias[o]);
            for k in 0..depth {
                let weight = i32::from(affine.weights[o * depth + k]);
                acc += i64::from(x.i8(row * depth + k) * (weight - p.weight_zero_point));
            }
            let value = requantize(acc, affine.multipliers[o], p.zero_point, p.low, p.high);
            y.set_i8(row * outputs + o, value);
        }
    }
}

pub(super) fn mat_mul(p: &MatMul, a: &Operand<'_>, b: &Operand<'_>, y: &mut Operand<'_>) {
    let [_, m, k] = a.tensor.shape[..] else {
        panic!("`{}` is no batch of matrices", a.tensor.name)
    };
    let n = b.tensor.shape[1];
    for batch in 0..p.batch as usize {
        for row in 0..m {
            for column in 0..n {
                let term = |i: usize| {
                    let a = a.i8((batch * m + row) * k + i) - p.zero_a;
                    let b = b.i8((batch * n + column) * k + i) - p.zero_b;
                    i64::from(a * b)
                };
                let acc = (0..k).map(term).sum();
                let byte = requantize(acc, p.multiplier, p.zero_point, p.low, p.high);
                y.set_i8((batch * m + row) * n + column, byte);
            }
        }
    }
}
