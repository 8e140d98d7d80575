//! Weights of [`WinogradConv`](crate::step::WinogradConv) as Cortex-M4 reads them.
//!
//! `smlad` multiplies two halves of 16 bits. A word holds the weights of two channels, and
//! channels are taken by fours, (0, 2) and (1, 3), because `sxtb16` widens bytes so:
//!
//! ```text
//! [⌈out / 2⌉][16][⌈in / 4⌉][2 pairs of channels][2 outputs][2]     i16, absent ones 0
//! ```
//!
//! Transformed inputs of three tiles stand beside each other:
//!
//! ```text
//! [16][⌈in / 4⌉][2 pairs of channels][3 tiles][2]                  i16
//! ```

use crate::Target;

/// Products that a tile of 2×2 outputs takes for each pair of channels: 4×4.
pub const POSITIONS: usize = 16;
/// Channels that are widened together.
pub const DEPTH: usize = 4;
/// Tiles that are computed together.
pub const TILES: usize = 3;
/// Output channels that are computed together.
pub const OUTPUTS: usize = 2;
/// Most input channels: as many as the loop is unrolled for.
pub const MAX_CHANNELS: usize = 128;

/// Whether the kernels of `target` compute convolutions this way.
pub const fn runs(target: Target) -> bool {
    matches!(target, Target::CortexM4)
}

/// Bytes of transformed inputs with so many fours of channels.
pub fn tile_bytes(steps: usize) -> Option<usize> {
    steps.checked_mul(POSITIONS * DEPTH * TILES * size_of::<i16>())
}

/// Bytes of the weights of `outputs` channels over `inputs`.
pub fn weight_bytes(outputs: usize, inputs: usize) -> Option<usize> {
    outputs
        .checked_next_multiple_of(OUTPUTS)?
        .checked_mul(inputs.checked_next_multiple_of(DEPTH)?)?
        .checked_mul(POSITIONS * size_of::<i16>())
}

/// Transforms and packs the weights `[out][3][3][in]` over `inputs` channels, less their
/// zero point, which must be an `i8`.
#[cfg(feature = "writer")]
pub fn pack(weights: &[i8], inputs: usize, zero_point: i32) -> alloc::vec::Vec<i16> {
    let each = (9 * inputs).max(1);
    let outputs = weights.len() / each;
    let mut packed = alloc::vec::Vec::new();
    for pair in 0..outputs.div_ceil(OUTPUTS) {
        for position in 0..POSITIONS {
            for step in 0..inputs.div_ceil(DEPTH) {
                for first in 0..2 {
                    for output in [OUTPUTS * pair, OUTPUTS * pair + 1] {
                        for channel in [first, first + 2].map(|at| step * DEPTH + at) {
                            let there = output < outputs && channel < inputs;
                            let weight = |ky: usize, kx: usize| {
                                let at = output * each + (3 * ky + kx) * inputs + channel;
                                i32::from(weights[at]) - zero_point
                            };
                            packed.push(match there {
                                true => transformed(position, weight) as i16,
                                false => 0,
                            });
                        }
                    }
                }
            }
        }
    }
    packed
}

/// Element number `position`, row by row, of `2G · g · (2G)ᵀ`.
#[cfg(feature = "writer")]
fn transformed(position: usize, g: impl Fn(usize, usize) -> i32) -> i32 {
    const G: [[i32; 3]; 4] = [[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]];
    let (rows, columns) = (G[position / 4], G[position % 4]);
    let row = |ky: usize| (0..3).map(|kx| columns[kx] * g(ky, kx)).sum::<i32>();
    (0..3).map(|ky| rows[ky] * row(ky)).sum()
}
