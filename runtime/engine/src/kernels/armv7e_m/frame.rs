//! What the dense loops are given, and how they sum.
//!
//! `sanderling_plan::packing` says how a half of 16 bits holds the weights of two outputs,
//! `256 · b + (a + 128)`. With `S = Σ x · (256 · b + a + 128)` and `U = Σ x · (a + 128)`,
//! both wrapping,
//!
//! - the first output's accumulator is `U - 128 · Σ x`,
//! - the second's is `(S - U) / 256`, which is exact while it fits 24 bits: over
//!   [`CHUNK`] steps it does, because `480 · 128 · 128 < 2²³`. Longer rows are summed in
//!   such chunks.

use crate::numerics::Requantize;

/// Steps of four activations that are summed in one go.
pub(super) const CHUNK: u32 = 120;
/// Steps of a turn of the loop.
pub(super) const TURN: u32 = 8;
/// Words of two activations in a step of a tile, `[2][3 pixels]`.
pub(super) const STEP: usize = 6;

const _: () = assert!(CHUNK.is_multiple_of(TURN) && CHUNK * 4 * 128 * 128 < 1 << 23);

/// What a loop reads, in the order in which it does.
#[cfg(target_arch = "arm")]
#[repr(C)]
pub(super) struct Frame {
    x: *const i32,
    /// Turns of the loop for the first chunk.
    turns: u32,
    /// Steps that the first turn leaves out.
    skip: u32,
    bias: *const i32,
    multipliers: *const f32,
    y: *mut i8,
    /// Pairs of outputs, at least one.
    pairs: u32,
    /// Where a loop that starts at `x` ends.
    x_end: *const i32,
    /// The output's zero point less the lowest output.
    offset: i32,
    /// The highest output less the lowest one, in each byte.
    range: u32,
    /// The lowest output, in each byte.
    low: u32,
    /// Bytes between the outputs of two pixels.
    y_stride: usize,
    /// What the accumulators of each pixel start with, beside the bias.
    start: [i32; 3],
    weights: *const i8,
    /// Not 0 where `start` is not 0 or the row has several chunks.
    general: u32,
}

/// A tile of up to three pixels, and pairs of outputs to compute for them.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    /// `[steps][2][3 pixels]` words of two activations.
    pub(super) x: &'a [i32],
    /// `[pairs][steps][8]`.
    pub(super) weights: &'a [i8],
    /// Two of each pair.
    pub(super) bias: &'a [i32],
    pub(super) multipliers: &'a [f32],
    /// What the accumulators of each pixel start with, beside the bias.
    pub(super) start: [i32; 3],
    pub(super) requantize: Requantize,
}

impl Block<'_> {
    /// Writes the outputs of `count` pixels, `y_stride` apart; `None` where lengths do not
    /// go together.
    pub(super) fn outputs(&self, count: usize, y: &mut [i8], y_stride: usize) -> Option<()> {
        let steps = self.x.len() / STEP;
        let pairs = self.bias.len() / 2;
        let last = count.checked_sub(1)?.checked_mul(y_stride)?;
        let fits = count <= 3
            && steps.checked_mul(STEP) == Some(self.x.len())
            && pairs.checked_mul(2) == Some(self.multipliers.len())
            && pairs.checked_mul(steps)?.checked_mul(8)? <= self.weights.len()
            && last.checked_add(pairs.checked_mul(2)?)? <= y.len();
        if !fits {
            return None;
        }
        if steps == 0 || pairs == 0 {
            return Some(());
        }
        if count == 3 {
            self.pixels(true, 0, y, y_stride);
            return Some(());
        }
        for pixel in 0..count {
            let y = y.get_mut(pixel.checked_mul(y_stride)?..)?;
            self.pixels(false, pixel, y, y_stride);
        }
        Some(())
    }

    /// Three pixels, or pixel `first` alone. [`outputs`](Self::outputs) has checked the
    /// lengths.
    #[cfg(target_arch = "arm")]
    #[inline(never)]
    #[allow(unsafe_code, reason = "loops in assembly")]
    fn pixels(&self, three: bool, first: usize, y: &mut [i8], y_stride: usize) {
        let steps = (self.x.len() / STEP) as u32;
        let part = steps.wrapping_sub(1) % CHUNK + 1;
        let [low, high, zero_point] = self.requantize.bounds();
        let bytes = |value: i32| u32::from_ne_bytes([value as u8; 4]);
        // One pixel has its own first, and no need of the others.
        let mut start = self.start;
        if !three {
            start = [start.get(first).copied().unwrap_or(0); 3];
        }
        let x = self.x.as_ptr().wrapping_add(first);
        let frame = Frame {
            x,
            turns: part.div_ceil(TURN),
            skip: part.next_multiple_of(TURN).wrapping_sub(part),
            bias: self.bias.as_ptr(),
            multipliers: self.multipliers.as_ptr(),
            y: y.as_mut_ptr(),
            pairs: (self.bias.len() / 2) as u32,
            x_end: x.wrapping_add(self.x.len()),
            offset: zero_point.wrapping_sub(low),
            range: bytes(high.wrapping_sub(low)),
            low: bytes(low),
            y_stride,
            start,
            weights: self.weights.as_ptr(),
            general: u32::from(steps > CHUNK || start.iter().any(|&start| start != 0)),
        };
        // SAFETY: `outputs` has seen that the tile has `steps` steps, at least one, that
        // every pair has as many steps of weights, two biases and two multipliers, and
        // that `y` has two bytes for each pair at each pixel. `first` is 0 for three
        // pixels and below 3 for one, which reads words `first` and `first + 3` of a step.
        unsafe {
            match three {
                true => super::three_pixels::three_pixels(&frame),
                false => super::one_pixel::one_pixel(&frame),
            }
        }
    }

    /// The same on processors that do not have these instructions.
    #[cfg(not(target_arch = "arm"))]
    fn pixels(&self, three: bool, first: usize, y: &mut [i8], y_stride: usize) {
        match three {
            true => super::twin::pixels::<3>(self, first, y, y_stride),
            false => super::twin::pixels::<1>(self, first, y, y_stride),
        }
    }
}
