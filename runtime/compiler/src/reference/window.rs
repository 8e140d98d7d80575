//! Pools and means.

use super::affine::tap;
use super::{Operand, clamp, requantize};
use sanderling_plan::step::{AveragePool, MaxPool, ReduceMean};

pub(super) fn max_pool(p: &MaxPool, x: &Operand<'_>, y: &mut Operand<'_>) {
    let [_, height, width, channels] = x.nhwc();
    let [batch, out_h, out_w, _] = y.nhwc();
    for n in 0..batch {
        for oy in 0..out_h {
            for ox in 0..out_w {
                for c in 0..channels {
                    let mut max = -128;
                    for ky in 0..p.kernel_h as usize {
                        let iy = tap(oy, p.stride_h, ky, p.dilation_h, p.pad_top, height);
                        for kx in 0..p.kernel_w as usize {
                            let ix = tap(ox, p.stride_w, kx, p.dilation_w, p.pad_left, width);
                            if let (Some(iy), Some(ix)) = (iy, ix) {
                                let pixel = (n * height + iy) * width + ix;
                                max = max.max(x.i8(pixel * channels + c));
                            }
                        }
                    }
                    y.set_i8(((n * out_h + oy) * out_w + ox) * channels + c, max as i8);
                }
            }
        }
    }
}

pub(super) fn average_pool(p: &AveragePool, x: &Operand<'_>, y: &mut Operand<'_>) {
    let [_, height, width, channels] = x.nhwc();
    let [batch, out_h, out_w, _] = y.nhwc();
    for n in 0..batch {
        for oy in 0..out_h {
            for ox in 0..out_w {
                for c in 0..channels {
                    let mut sum = 0f32;
                    let mut taps = 0;
                    for ky in 0..p.kernel_h as usize {
                        let iy = tap(oy, p.stride_h, ky, 1, p.pad_top, height);
                        for kx in 0..p.kernel_w as usize {
                            let ix = tap(ox, p.stride_w, kx, 1, p.pad_left, width);
                            if let (Some(iy), Some(ix)) = (iy, ix) {
                                let pixel = (n * height + iy) * width + ix;
                                let steps = x.i8(pixel * channels + c) - p.zero_x;
                                sum += p.scale_x * steps as f32;
                                taps += 1;
                            }
                        }
                    }
                    let count = if p.count_include_pad {
                        p.kernel_h * p.kernel_w
                    } else {
                        taps
                    };
                    let mean = sum / count as f32;
                    let value = mean / p.scale_y + p.offset;
                    let byte = clamp(value.round_ties_even(), -p.bias_y, p.low, p.high);
                    y.set_i8(((n * out_h + oy) * out_w + ox) * channels + c, byte);
                }
            }
        }
    }
}

pub(super) fn reduce_mean(p: &ReduceMean, x: &Operand<'_>, y: &mut Operand<'_>) {
    let (outer, reduce, inner) = (p.outer as usize, p.reduce as usize, p.inner as usize);
    for o in 0..outer {
        for i in 0..inner {
            let mut acc = 0i64;
            for r in 0..reduce {
                acc += i64::from(x.i8((o * reduce + r) * inner + i) - p.zero_x);
            }
            let value = requantize(acc, p.multiplier, p.zero_point, p.low, p.high);
            y.set_i8(o * inner + i, value);
        }
    }
}
