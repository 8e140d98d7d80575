//! Operators that read constant tables.

use super::affine::tap;
use super::{Operand, clamp, reals, wide};
use crate::tables::Table;
use sanderling_plan::Operator;
use sanderling_plan::step::{ActivatedConv, LayerNorm, ResizeLinear};

pub(super) fn run(
    operator: &Operator,
    tables: &[Table],
    (x, z): (&Operand<'_>, Option<&Operand<'_>>),
    y: &mut Operand<'_>,
) {
    match (operator, tables) {
        (
            Operator::ResizeLinear(p),
            [
                Table::U16(rows),
                Table::F32(row_weights),
                Table::U16(columns),
                Table::F32(column_weights),
            ],
        ) => resize_linear(p, [rows, columns], [row_weights, column_weights], x, y),
        (Operator::LayerNorm(p), [Table::F32(gain), Table::F32(bias)]) => {
            layer_norm(p, gain, bias, x, y);
        }
        (Operator::LookupReal(_), [Table::F32(table)]) => {
            for i in 0..y.len() {
                y.set_f32(i, table[usize::from(x.bytes[i])]);
            }
        }
        (
            Operator::ActivatedConv(p),
            [
                Table::I8(weights),
                Table::I32(bias),
                Table::F32(multipliers),
                Table::F32(bounds),
                Table::I8(values),
            ],
        ) => {
            let level = |real: f32| values[bounds.iter().filter(|&&bound| bound <= real).count()];
            activated_conv(p, weights, bias, multipliers, level, x, y);
        }
        (
            Operator::WideConv(p),
            [
                Table::I8(weights),
                Table::I32(bias),
                Table::F32(multipliers),
            ],
        ) => wide::conv(p, weights, bias, multipliers, x, y),
        (
            Operator::RealConv(p),
            [
                Table::I8(weights),
                Table::I32(bias),
                Table::F32(multipliers),
                Table::F32(offsets),
            ],
        ) => reals::conv(p, (weights, bias, multipliers, offsets), x, z, y),
        (Operator::RealProduct(p), [Table::F32(weights), Table::F32(offsets)]) => {
            reals::product(p, weights, offsets, x, y);
        }
        _ => panic!("`{}` has other tables", operator.name()),
    }
}

fn resize_linear(
    p: &ResizeLinear,
    [rows, columns]: [&[u16]; 2],
    [row_weights, column_weights]: [&[f32]; 2],
    x: &Operand<'_>,
    y: &mut Operand<'_>,
) {
    let [_, height, width, channels] = x.nhwc();
    let [batch, out_h, out_w, _] = y.nhwc();
    for n in 0..batch {
        for oy in 0..out_h {
            for ox in 0..out_w {
                for channel in 0..channels {
                    let mut sum = 0f32;
                    for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                        let iy = usize::from(rows[2 * oy + row]);
                        let ix = usize::from(columns[2 * ox + column]);
                        let at = ((n * height + iy) * width + ix) * channels + channel;
                        let real = (x.i8(at) - p.zero_x) as f32 * p.scale_x;
                        let weight = column_weights[2 * ox + column] * row_weights[2 * oy + row];
                        // 0 + the first term is that term.
                        sum += weight * real;
                    }
                    let byte = clamp(
                        (sum / p.scale_y).round_ties_even(),
                        p.zero_point,
                        p.low,
                        p.high,
                    );
                    y.set_i8(((n * out_h + oy) * out_w + ox) * channels + channel, byte);
                }
            }
        }
    }
}

fn layer_norm(p: &LayerNorm, gain: &[f32], bias: &[f32], x: &Operand<'_>, y: &mut Operand<'_>) {
    let width = gain.len();
    for row in 0..x.len() / width {
        let d = |i: usize| i64::from(x.i8(row * width + i) - p.zero_x);
        let sum: i64 = (0..width).map(d).sum();
        let squares: i64 = (0..width).map(|i| d(i) * d(i)).sum();
        let n = width as f32;
        let mean = sum as f32 / n;
        let spread = (width as i64 * squares - sum * sum) as f32;
        let variance = spread / (n * n) * (p.scale_x * p.scale_x);
        let deviation = (variance + p.epsilon).sqrt();
        for i in 0..width {
            let real = (d(i) as f32 - mean) * p.scale_x / deviation * gain[i] + bias[i];
            let steps = (real / p.scale_y).round_ties_even();
            y.set_i8(row * width + i, clamp(steps, p.zero_point, p.low, p.high));
        }
    }
}

fn activated_conv(
    p: &ActivatedConv,
    weights: &[i8],
    bias: &[i32],
    multipliers: &[f32],
    level: impl Fn(f32) -> i8,
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
        y.set_i8(at, level(acc as i32 as f32 * multipliers[o]));
    }
}
