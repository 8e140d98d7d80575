//! Loops that LLVM vectorizes for whatever processor it compiles for.

use super::Linear;

/// Channels that are accumulated at a time where accumulators live on the stack.
pub(crate) const BLOCK: usize = 64;

/// One output row of a matrix product: `y[o] = requantize(bias[o] + x · (w[o] - zero))`.
/// `x` has as many elements as each output has weights.
pub(crate) fn linear_row(x: &[i8], linear: &Linear<'_>, y: &mut [i8]) {
    let k = x.len();
    if k == 0 {
        return;
    }
    let correction = match linear.weight_zero_point {
        0 => 0,
        zero => sum(x).wrapping_mul(zero),
    };
    let finish = |y: &mut i8, acc: i32, bias: i32, multiplier: f32| {
        let acc = acc.wrapping_add(bias).wrapping_sub(correction);
        *y = linear.requantize.accumulator(acc, multiplier);
    };
    let (y_blocks, y_rest) = y.as_chunks_mut::<4>();
    let (bias_blocks, _) = linear.bias.as_chunks::<4>();
    let (multiplier_blocks, _) = linear.multipliers.as_chunks::<4>();
    let blocked = y_blocks.len() * 4;
    let outputs = linear.weights.chunks_exact(k.saturating_mul(4));
    for (((y, w), bias), multipliers) in y_blocks
        .iter_mut()
        .zip(outputs)
        .zip(bias_blocks)
        .zip(multiplier_blocks)
    {
        let acc = dot4(x, w);
        for (((y, acc), &bias), &multiplier) in y.iter_mut().zip(acc).zip(bias).zip(multipliers) {
            finish(y, acc, bias, multiplier);
        }
    }
    let outputs = linear.weights.chunks_exact(k).skip(blocked);
    let bias = linear.bias.iter().skip(blocked);
    let multipliers = linear.multipliers.iter().skip(blocked);
    for (((y, w), &bias), &multiplier) in y_rest.iter_mut().zip(outputs).zip(bias).zip(multipliers)
    {
        finish(y, dot(x, w), bias, multiplier);
    }
}

/// `acc[c] += x[c] · (w[c] - zero)`, one tap of a depthwise window.
#[inline]
pub(crate) fn depthwise_tap(acc: &mut [i32], x: &[i8], w: &[i8], zero: i32) {
    if zero == 0 {
        // Alone, the product of two bytes is seen to fit 16 bits, which is cheaper.
        for ((acc, &x), &w) in acc.iter_mut().zip(x).zip(w) {
            *acc = acc.wrapping_add(product(x, w));
        }
        return;
    }
    for ((acc, &x), &w) in acc.iter_mut().zip(x).zip(w) {
        // Neither product nor difference can wrap: both factors have at most 9 bits.
        *acc = acc.wrapping_add(i32::from(x).wrapping_mul(i32::from(w).wrapping_sub(zero)));
    }
}

/// Sum of `x`.
pub(crate) fn sum(x: &[i8]) -> i32 {
    x.iter()
        .fold(0i32, |sum, &x| sum.wrapping_add(i32::from(x)))
}

/// `x · w`.
fn dot(x: &[i8], w: &[i8]) -> i32 {
    x.iter()
        .zip(w)
        .fold(0i32, |acc, (&x, &w)| acc.wrapping_add(product(x, w)))
}

/// `x` times each of the four rows of `w`, so that `x` is loaded once for four outputs.
fn dot4(x: &[i8], w: &[i8]) -> [i32; 4] {
    let k = x.len();
    let (w01, w23) = w.split_at(w.len().min(k.saturating_mul(2)));
    let (w0, w1) = w01.split_at(w01.len().min(k));
    let (w2, w3) = w23.split_at(w23.len().min(k));
    let [mut a, mut b, mut c, mut d] = [0i32; 4];
    for ((((&x, &w0), &w1), &w2), &w3) in x.iter().zip(w0).zip(w1).zip(w2).zip(w3) {
        a = a.wrapping_add(product(x, w0));
        b = b.wrapping_add(product(x, w1));
        c = c.wrapping_add(product(x, w2));
        d = d.wrapping_add(product(x, w3));
    }
    [a, b, c, d]
}

#[inline(always)]
fn product(x: i8, w: i8) -> i32 {
    i32::from(x).wrapping_mul(i32::from(w))
}
