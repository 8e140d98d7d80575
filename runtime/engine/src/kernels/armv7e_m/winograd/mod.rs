//! Convolutions with 3×3 kernels by Winograd's algorithm: three tiles times two outputs.
//!
//! `sanderling_plan::step::WinogradConv` says what is computed and why it is exact,
//! `sanderling_plan::packing::winograd` how weights and transformed inputs stand.

#[cfg(target_arch = "arm")]
#[allow(unsafe_code, reason = "the transform needs all registers")]
mod input;
#[cfg(target_arch = "arm")]
#[allow(unsafe_code, reason = "the loop over channels needs all registers")]
mod products;
#[cfg(not(target_arch = "arm"))]
mod twin;

use crate::numerics::Requantize;
use core::marker::PhantomData;
use sanderling_plan::packing::winograd::{DEPTH, MAX_CHANNELS, POSITIONS, TILES};

/// Words of a step of four channels: two pairs, each of three tiles, or of two outputs.
const STEP: usize = 2 * TILES;
const WEIGHTS: usize = 4;

/// Outputs of a tile.
const TILE: usize = 4;

/// The 4×4 pixels that a tile reads.
pub(crate) struct Patch<'a> {
    /// Column by column.
    #[cfg(target_arch = "arm")]
    pixels: [*const i8; POSITIONS],
    #[cfg(not(target_arch = "arm"))]
    pixels: [&'a [i8]; POSITIONS],
    /// Channels of each that are there, in fours.
    steps: usize,
    image: PhantomData<&'a [i8]>,
}

impl<'a> Patch<'a> {
    /// `steps` fours of channels of each pixel: column `c` of row `r` starts at
    /// `rows[r][columns[c]]`, or is `padding` where there is no such row or column. `None`
    /// where they are not all there.
    #[inline]
    pub(crate) fn new(
        rows: [Option<&'a [i8]>; 4],
        columns: [Option<usize>; 4],
        padding: &'a [i8],
        steps: usize,
    ) -> Option<Self> {
        let len = steps.checked_mul(DEPTH)?;
        let padding = padding.get(..len)?;
        let last = columns.into_iter().flatten().fold(0, usize::max);
        let end = last.checked_add(len)?;
        let rows_reach = |row: &&[i8]| row.len() >= end;
        if !rows.iter().flatten().all(rows_reach) {
            return None;
        }
        #[cfg(target_arch = "arm")]
        let (mut pixels, pixel) = ([padding.as_ptr(); POSITIONS], |row: &'a [i8], at: usize| {
            Some(row.as_ptr().wrapping_add(at))
        });
        #[cfg(not(target_arch = "arm"))]
        let (mut pixels, pixel) = ([padding; POSITIONS], |row: &'a [i8], at: usize| {
            row.get(at..at.checked_add(len)?)
        });
        for (column, to) in columns.into_iter().zip(pixels.chunks_exact_mut(4)) {
            let Some(at) = column else { continue };
            for (row, to) in rows.into_iter().zip(to) {
                if let Some(row) = row {
                    *to = pixel(row, at)?;
                }
            }
        }
        Some(Patch {
            pixels,
            steps,
            image: PhantomData,
        })
    }

    /// Writes `Bᵀ d B` as tile number `tile` of `to`; `None` where it has another size.
    pub(crate) fn transform(&self, to: &mut [i32], tile: usize) -> Option<()> {
        let stride = self.steps.checked_mul(STEP)?;
        if to.len() != stride.checked_mul(POSITIONS)? || tile >= TILES || self.steps == 0 {
            return None;
        }
        let to = to.get_mut(tile..)?;
        #[cfg(target_arch = "arm")]
        self.put(to, stride);
        #[cfg(not(target_arch = "arm"))]
        twin::transform(&self.pixels, self.steps, to, stride);
        Some(())
    }

    #[cfg(target_arch = "arm")]
    #[allow(unsafe_code, reason = "a loop in assembly")]
    fn put(&self, to: &mut [i32], stride: usize) {
        let (pixels, steps) = (self.pixels.as_ptr(), self.steps as u32);
        // SAFETY: `new` has seen that each pixel has `steps` fours of channels, at least
        // one; `transform`, that `to` has 16 positions of `steps` steps less the tiles
        // before this one. Words `0` and `3` of each step are written.
        unsafe { input::transform(pixels, steps, to.as_mut_ptr(), (stride * 4) as u32) }
    }
}

/// Three transformed tiles, and the outputs to compute for them.
#[derive(Clone, Copy)]
pub(crate) struct Tiles<'a> {
    /// `[16][steps][2][3 tiles]` words of two channels.
    pub(crate) x: &'a [i32],
    /// `[pairs of outputs][16][steps][2][2 outputs]` words of two channels.
    pub(crate) weights: &'a [i32],
    pub(crate) bias: &'a [i32],
    pub(crate) multipliers: &'a [f32],
    pub(crate) requantize: Requantize,
}

impl Tiles<'_> {
    /// Writes the outputs: those of the pixels of tile `t`, row by row, start at `at[4 · t]`
    /// to `at[4 · t + 3]`. Of pixels at one place, the first one stays. `None` where lengths
    /// do not go together.
    pub(crate) fn outputs(&self, at: &[usize; TILES * TILE], y: &mut [i8]) -> Option<()> {
        let paired = self.bias.len() & !1;
        let (bias, last_bias) = self.bias.split_at_checked(paired)?;
        let (multipliers, last_multiplier) = self.multipliers.split_at_checked(paired)?;
        let words = (self.x.len() / STEP).checked_mul(WEIGHTS)?;
        let (weights, last_weights) = self
            .weights
            .split_at_checked(words.checked_mul(paired / 2)?)?;
        let pairs = Tiles {
            weights,
            bias,
            multipliers,
            ..*self
        };
        pairs.pairs(at, y)?;
        if let (&[bias], &[multiplier]) = (last_bias, last_multiplier) {
            // The last output of an odd number has a pair without biases of its own.
            let mut last = [0i8; 2 * TILES * TILE];
            let pair = Tiles {
                weights: last_weights,
                bias: &[bias, 0],
                multipliers: &[multiplier, 0.0],
                ..*self
            };
            pair.pairs(&core::array::from_fn(|pixel| 2 * pixel), &mut last)?;
            for (&at, &output) in at.iter().zip(last.iter().step_by(2)).rev() {
                *y.get_mut(at.checked_add(paired)?)? = output;
            }
        }
        Some(())
    }

    /// The same for an even number of outputs.
    fn pairs(&self, at: &[usize; TILES * TILE], y: &mut [i8]) -> Option<()> {
        let steps = self.x.len() / (POSITIONS * STEP);
        let pairs = self.bias.len() / 2;
        let end = at.iter().fold(0, |end, &at| end.max(at));
        let fits = (1..=MAX_CHANNELS / DEPTH).contains(&steps)
            && steps.checked_mul(POSITIONS * STEP) == Some(self.x.len())
            && pairs.checked_mul(2) == Some(self.multipliers.len())
            && pairs.checked_mul(steps)?.checked_mul(POSITIONS * WEIGHTS)? <= self.weights.len()
            && end.checked_add(pairs.checked_mul(2)?)? <= y.len();
        if !fits {
            return None;
        }
        if pairs == 0 {
            return Some(());
        }
        #[cfg(target_arch = "arm")]
        self.multiply(steps, pairs, at, y);
        #[cfg(not(target_arch = "arm"))]
        twin::products(self, steps, at, y);
        Some(())
    }

    #[cfg(target_arch = "arm")]
    #[allow(unsafe_code, reason = "a loop in assembly")]
    fn multiply(&self, steps: usize, pairs: usize, at: &[usize; TILES * TILE], y: &mut [i8]) {
        let [low, high, zero_point] = self.requantize.bounds();
        let bytes = |value: i32| u32::from_ne_bytes([value as u8; 4]);
        let x = self.x.as_ptr_range();
        let start = y.as_mut_ptr();
        let mut frame = products::Frame {
            x: x.start,
            rest: (steps * 2 - 1) as u32,
            x_end: x.end,
            weights: self.weights.as_ptr(),
            bias: self.bias.as_ptr(),
            multipliers: self.multipliers.as_ptr(),
            pairs: pairs as u32,
            offset: zero_point.wrapping_sub(low),
            range: bytes(high.wrapping_sub(low)),
            low: bytes(low),
            y: at.map(|at| start.wrapping_add(at)),
        };
        // SAFETY: `pairs` has seen that there are 16 positions of `steps` steps, at most as
        // many as the loop is unrolled for, that every pair has as many steps of weights,
        // two biases and two multipliers, and that there are two bytes for each pair from
        // each place in `y` on.
        unsafe { products::products(&mut frame) }
    }
}
