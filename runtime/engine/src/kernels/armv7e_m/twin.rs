//! What the assembly computes, in portable Rust and the same order.

use super::depthwise::CHANNELS;
use super::frame::{Block, CHUNK, STEP};
use super::pixels::Pixels;

pub(super) fn pixels<const COUNT: usize>(
    block: &Block<'_>,
    first: usize,
    y: &mut [i8],
    y_stride: usize,
) {
    let steps = block.x.len() / STEP;
    let (mut at, start) = (0, block.start);
    for pixel in first..first + COUNT {
        // The words of this pixel.
        let words = || block.x.iter().skip(pixel).step_by(3);
        let start = start.get(pixel).copied().unwrap_or(0);
        let sum = words().fold(0, |sum, &x| smlad(x, 0x1_0001, sum));
        let weights = block.weights.chunks_exact(steps.max(1) * 8);
        let (biases, _) = block.bias.as_chunks::<2>();
        let (multipliers, _) = block.multipliers.as_chunks::<2>();
        let y = y.get_mut(at..).unwrap_or(&mut []);
        let (y, _) = y.as_chunks_mut::<2>();
        for ((([a, b], weights), [bias_a, bias_b]), [m_a, m_b]) in
            y.iter_mut().zip(weights).zip(biases).zip(multipliers)
        {
            let from = sum
                .wrapping_mul(-128)
                .wrapping_add(start)
                .wrapping_add(*bias_a);
            let (mut low, mut lanes) = (from, from);
            let mut high = start.wrapping_add(*bias_b);
            let (weights, _) = weights.as_chunks::<4>();
            let part = 2 * ((steps.wrapping_sub(1)) % CHUNK as usize + 1);
            for (index, (&x, w)) in words().zip(weights).enumerate() {
                if index >= part && (index - part).is_multiple_of(2 * CHUNK as usize) {
                    high = high.wrapping_add(lanes.wrapping_sub(low) >> 8);
                    lanes = low;
                }
                let w = i32::from_le_bytes(w.map(|w| w as u8));
                lanes = smlad(x, w, lanes);
                low = smlad(x, w & 0xff_00ff, low);
            }
            high = high.wrapping_add(lanes.wrapping_sub(low) >> 8);
            *a = block.requantize.accumulator(low, *m_a);
            *b = block.requantize.accumulator(high, *m_b);
        }
        at += y_stride;
    }
}

/// The two products of halves, added to `sum`.
pub(super) fn smlad(x: i32, y: i32, sum: i32) -> i32 {
    let [low, high] = [0, 16].map(|at| {
        let half = |value: i32| i32::from((value >> at) as i16);
        half(x).wrapping_mul(half(y))
    });
    sum.wrapping_add(low).wrapping_add(high)
}

pub(super) fn depthwise(block: Pixels<'_>, y: &mut [i8], y_stride: usize) {
    let [kh, kw] = block.kernel;
    let word = |low: i8, high: i8, zero: i32| {
        let half = |value: i8| i32::from(value).wrapping_sub(zero);
        half(low) & 0xffff | half(high) << 16
    };
    let widen = |to: &mut [i32], from: &[i8], zero: i32| {
        if let ([low, high, ..], &[a, b, c, d, ..]) = (to, from) {
            (*low, *high) = (word(a, c, zero), word(b, d, zero));
        }
    };
    for channel in (0..block.blocks).map(|number| number * CHANNELS) {
        for tap in 0..kh * kw {
            let (kx, ky) = (tap / kh, tap % kh);
            let from = (ky * kw + kx) * block.channels + channel;
            let from = block.weights.get(from..).unwrap_or(&[]);
            let to = block.wide.get_mut(tap * 2..).unwrap_or(&mut []);
            widen(to, from, block.weight_zero_point);
        }
        for (x, start) in block.rows {
            for column in 0..block.columns {
                let from = x
                    .get(column * block.column_bytes + channel..)
                    .unwrap_or(&[]);
                let to = block
                    .strip
                    .get_mut(start + column * kh * 2..)
                    .unwrap_or(&mut []);
                widen(to, from, 0);
            }
        }
        for pixel in 0..block.count {
            let strip = block
                .strip
                .get(pixel * block.step * kh * 2..)
                .unwrap_or(&[]);
            for lane in 0..CHANNELS {
                let here = channel + lane;
                let half = |word: i32| word << (16 - lane / 2 * 16) >> 16;
                let (x, w) = (strip.iter(), block.wide.iter());
                let words = x.zip(w).skip(lane % 2).step_by(2);
                let bias = block.bias.get(here).copied().unwrap_or(0);
                let acc = words.fold(bias, |acc, (&x, &w)| {
                    acc.wrapping_add(half(x).wrapping_mul(half(w)))
                });
                let multiplier = block.multipliers.get(here).copied().unwrap_or(0.0);
                if let Some(y) = y.get_mut(pixel * y_stride + here) {
                    *y = block.requantize.accumulator(acc, multiplier);
                }
            }
        }
    }
}
