//! 16-bit activations.

use super::Operand;
use super::affine::tap;
use sanderling_plan::step::{WideConv, WidePair, WideRequantize};

pub(super) fn conv(
    p: &WideConv,
    weights: &[i8],
    bias: &[i32],
    multipliers: &[f32],
    x: &Operand<'_>,
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
                let (Some(iy), Some(ix)) = (iy, ix) else {
                    continue;
                };
                for c in 0..group_in {
                    let pixel = (n * height + iy) * width + ix;
                    let value = x.narrow(pixel * channels + o / group_out * group_in + c);
                    let weight = weights[((o * kernel_h + ky) * kernel_w + kx) * group_in + c];
                    let (value, weight) = (
                        i64::from(value - p.input_zero_point),
                        i64::from(i32::from(weight) - p.weight_zero_point),
                    );
                    acc += value * weight;
                }
            }
        }
        let steps = acc as f32 * multipliers[o];
        y.set_narrow(at, clamped(steps, p.zero_point, p.low, p.high));
    }
}

pub(super) fn pair(p: &WidePair, a: &Operand<'_>, b: &Operand<'_>, y: &mut Operand<'_>) {
    for i in 0..y.len() {
        let a = (a.narrow(i) - p.zero_a) as f32 * p.scale_a;
        let b = (b.narrow(i) - p.zero_b) as f32 * p.scale_b;
        let real = if p.product { a * b } else { a + b };
        y.set_narrow(i, clamped(real / p.scale_y, p.zero_point, p.low, p.high));
    }
}

pub(super) fn requantize(p: &WideRequantize, x: &Operand<'_>, y: &mut Operand<'_>) {
    for i in 0..y.len() {
        let real = (x.narrow(i) - p.zero_x) as f32 * p.scale_x;
        y.set_narrow(i, clamped(real / p.scale_y, p.zero_point, p.low, p.high));
    }
}

/// `clamp(round_ties_even(steps) + zero_point, low, high)`; a NaN counts as lower than
/// every number.
pub(super) fn clamped(steps: f32, zero_point: i32, low: i32, high: i32) -> i32 {
    if steps.is_nan() {
        return low;
    }
    let value = f64::from(steps.round_ties_even()) + f64::from(zero_point);
    value.clamp(low.into(), high.into()) as i32
}
