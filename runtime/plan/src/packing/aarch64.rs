//! Depthwise weights for 64-bit Arm.
//!
//! `[header][kh · kw][out]`, and where there are nine taps and at least eight channels,
//! what the kernels of 3×3 load: blocks of sixteen lanes, which are sixteen channels, or
//! eight channels twice where there are fewer than sixteen. The last block ends with the
//! last channel. Without dot product a block is `[9][16]`, with it `[kw][16][4]`, three
//! weights of a column and a zero.

use crate::Target;

/// Bytes in front of the weights. The first is 1 where two neighbouring taps of a channel
/// have weights of -128: the sum of their products may not fit 16 bits. Else 0.
pub const HEADER: usize = 16;
/// Lanes of a block.
pub const LANES: usize = 16;
/// Taps that blocks are made for.
const TAPS: usize = 9;

/// Channels of a block, 0 where there are no blocks.
const fn channels(taps: usize, outputs: usize) -> usize {
    match (taps, outputs) {
        (TAPS, 16..) => 16,
        (TAPS, 8..) => 8,
        _ => 0,
    }
}

/// Bytes of a block of 3×3.
pub const fn block(target: Target) -> usize {
    match target {
        Target::Aarch64Dotprod => 12 * LANES,
        _ => TAPS * LANES,
    }
}

/// Bytes of packed weights.
pub(super) const fn bytes(target: Target, taps: usize, outputs: usize) -> Option<usize> {
    let Some(plain) = taps.checked_mul(outputs) else {
        return None;
    };
    let Some(plain) = plain.checked_add(HEADER) else {
        return None;
    };
    match channels(taps, outputs) {
        0 => Some(plain),
        channels => match outputs.div_ceil(channels).checked_mul(block(target)) {
            Some(blocks) => plain.checked_add(blocks),
            None => None,
        },
    }
}

/// Packs the weights `[taps][outputs]`.
#[cfg(feature = "writer")]
pub(super) fn pack(target: Target, weights: &[i8], outputs: usize) -> alloc::vec::Vec<i8> {
    let mut packed = alloc::vec![0; HEADER];
    packed.extend_from_slice(weights);
    let mut neighbours = weights.iter().zip(weights.iter().skip(outputs));
    packed[0] = i8::from(neighbours.any(|(&a, &b)| a == i8::MIN && b == i8::MIN));
    let taps = weights.len().checked_div(outputs).unwrap_or(0);
    let channels = channels(taps, outputs);
    let blocks = outputs
        .checked_div(channels)
        .map_or(0, |_| outputs.div_ceil(channels));
    for first in (0..blocks).map(|block| (block * channels).min(outputs - channels)) {
        let weight = |tap: usize, lane: usize| weights[tap * outputs + first + lane % channels];
        if target == Target::Aarch64Dotprod {
            for (kx, lane) in (0..3).flat_map(|kx| (0..LANES).map(move |lane| (kx, lane))) {
                packed.extend((0..3).map(|ky| weight(3 * ky + kx, lane)).chain([0]));
            }
        } else {
            for tap in 0..TAPS {
                packed.extend((0..LANES).map(|lane| weight(tap, lane)));
            }
        }
    }
    packed
}
