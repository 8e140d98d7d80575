//! Loops that LLVM vectorizes for whatever processor it compiles for.
#![cfg_attr(
    not(feature = "generic"),
    allow(dead_code, reason = "some serve other kernels too")
)]

use super::{DepthwiseRow, Kernel, Linear, Rows};
use crate::memory::copy;
use crate::operators::Axis;
use sanderling_plan::Target;

/// Channels that are accumulated at a time where accumulators live on the stack.
pub(crate) const BLOCK: usize = 64;

/// Plain row-major weights, one pixel at a time.
pub(crate) struct Generic;

impl Kernel for Generic {
    type Activation = i8;
    const TARGET: Target = Target::Generic;

    fn as_they_lie(x: &[i8]) -> Option<&[i8]> {
        Some(x)
    }

    fn put(tile: &mut [i8], row: usize, pixel: usize, at: usize, x: &[i8]) {
        put_row(tile, row, pixel, at, x);
    }

    fn fill(tile: &mut [i8], row: usize, pixel: usize, at: usize, count: usize, value: i8) {
        fill_row(tile, row, pixel, at, count, value);
    }

    fn dense(rows: Rows<'_, i8>, linear: &Linear<'_>, y: &mut [i8], y_stride: usize) -> Option<()> {
        for pixel in 0..rows.count {
            let start = pixel.checked_mul(rows.stride)?;
            let x = rows.x.get(start..start.checked_add(rows.k)?)?;
            let start = pixel.checked_mul(y_stride)?;
            let y = y.get_mut(start..start.checked_add(linear.bias.len())?)?;
            linear_row(x, linear, rows.correction(pixel), y);
        }
        Some(())
    }
}

/// [`Kernel::put`] for tiles of `i8`, row by row.
pub(super) fn put_row(tile: &mut [i8], row: usize, pixel: usize, at: usize, x: &[i8]) {
    let start = pixel.wrapping_mul(row).wrapping_add(at);
    if let Some(to) = tile.get_mut(start..start.wrapping_add(x.len())) {
        to.copy_from_slice(x);
    }
}

/// [`Kernel::fill`] for tiles of `i8`, row by row.
pub(super) fn fill_row(
    tile: &mut [i8],
    row: usize,
    pixel: usize,
    at: usize,
    count: usize,
    value: i8,
) {
    let start = pixel.wrapping_mul(row).wrapping_add(at);
    if let Some(to) = tile.get_mut(start..start.wrapping_add(count)) {
        to.fill(value);
    }
}

/// One output row of a matrix product: `y[o] = requantize(bias[o] + x · (w[o] - zero))`.
/// `x` has as many elements as each output has weights.
fn linear_row(x: &[i8], linear: &Linear<'_>, correction: i32, y: &mut [i8]) {
    let k = x.len();
    if k == 0 {
        return;
    }
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
fn depthwise_tap(acc: &mut [i32], x: &[i8], w: &[i8], zero: i32) {
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

/// One row of outputs, pixel by pixel and tap by tap, weights `[kh][kw][out]`.
pub(super) fn depthwise_row(row: &DepthwiseRow<'_>, y: &mut [i8]) -> Option<()> {
    let DepthwiseRow {
        parameters: p,
        channels,
        outputs,
        linear,
        ..
    } = *row;
    let columns = Axis::columns(p, row.width);
    let times = outputs / channels.max(1);
    // What a tap in the padding reads, of every channel.
    let padding = [p.input_zero_point as i8; BLOCK];
    for (ox, y) in (0u32..).zip(y.chunks_exact_mut(outputs.max(1))) {
        let taps = columns.taps(ox);
        for (block, y) in y.chunks_mut(BLOCK).enumerate() {
            let (first, len) = (block * BLOCK, y.len());
            let range = first..first.checked_add(len)?;
            let mut acc = [0i32; BLOCK];
            let acc = acc.get_mut(..len)?;
            copy(acc, linear.bias.get(range.clone())?);
            let mut weights = linear.weights.chunks_exact(outputs.max(1));
            for ky in 0..p.kernel_h {
                let x = (row.rows)(ky);
                for kx in 0..p.kernel_w {
                    let w = weights.next()?.get(range.clone())?;
                    let Some(x) = x.filter(|_| taps.inside.contains(&kx)) else {
                        depthwise_tap(acc, &padding, w, p.weight_zero_point);
                        continue;
                    };
                    let pixel = taps.position(kx).checked_mul(channels)?;
                    let x = x.get(pixel..pixel.checked_add(channels)?)?;
                    if times == 1 {
                        depthwise_tap(acc, x.get(range.clone())?, w, p.weight_zero_point);
                    } else {
                        let x = repeat(x, times, first, len);
                        depthwise_tap(acc, &x, w, p.weight_zero_point);
                    }
                }
            }
            let multipliers = linear.multipliers.get(range)?;
            for ((y, &acc), &multiplier) in y.iter_mut().zip(&*acc).zip(multipliers) {
                *y = linear.requantize.accumulator(acc, multiplier);
            }
        }
    }
    Some(())
}

/// The `len` inputs of the output channels from `first` on, where `times` consecutive
/// outputs read one input.
fn repeat(x: &[i8], times: usize, first: usize, len: usize) -> [i8; BLOCK] {
    let mut repeated = [0i8; BLOCK];
    let times = times.max(1);
    let outputs = x.get(first / times..).unwrap_or(&[]).iter();
    let outputs = outputs
        .flat_map(|&x| core::iter::repeat_n(x, times))
        .skip(first % times);
    for (slot, x) in repeated.iter_mut().take(len).zip(outputs) {
        *slot = x;
    }
    repeated
}
