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

/// A pixel, of which there are as many channels as were checked.
#[cfg(target_arch = "arm")]
type Pixel<'a> = *const i8;
#[cfg(not(target_arch = "arm"))]
type Pixel<'a> = &'a [i8];

/// The columns of an image that a tile reads, some of which it may not have.
#[derive(Clone, Copy)]
pub(crate) struct Columns {
    /// The first one, counted from the image's, in two's complement.
    pub(crate) first: usize,
    /// Columns of the image.
    pub(crate) width: usize,
    /// Channels of a pixel.
    pub(crate) channels: usize,
}

impl Columns {
    /// Whether the image has column number `column` of the four.
    #[inline(always)]
    pub(crate) fn has(&self, column: usize) -> bool {
        self.first.wrapping_add(column) < self.width
    }

    /// Where the last of the four that the image has ends, if it has `len` bytes.
    #[inline(always)]
    fn end(&self, len: usize) -> Option<usize> {
        let last = match self.has(3) {
            true => self.first.wrapping_add(3),
            false => self.width.checked_sub(1)?,
        };
        last.checked_mul(self.channels)?.checked_add(len)
    }

    /// Whether `len` bytes of every pixel that the image has are in its row, or behind it.
    #[inline(always)]
    pub(crate) fn are_in(&self, rows: &[Option<&[i8]>; 4], len: usize) -> bool {
        self.end(len)
            .is_some_and(|end| rows.iter().flatten().all(|row| row.len() >= end))
    }

    /// Where column number `column` of the four starts in its row; modulo the size of
    /// memory where there is no such column.
    #[inline(always)]
    pub(crate) fn start(&self, column: usize) -> usize {
        (self.first.wrapping_add(column)).wrapping_mul(self.channels)
    }
}

/// The 4×4 pixels that a tile reads.
pub(crate) struct Patch<'a> {
    /// Column by column.
    pixels: [[Pixel<'a>; 4]; 4],
    /// Channels of each that are there, in fours.
    steps: usize,
    image: PhantomData<&'a [i8]>,
}

impl<'a> Patch<'a> {
    /// `steps` fours of channels of each pixel, which is `padding` where there is no such
    /// row or column. `None` where a row ends before them.
    #[inline(always)]
    pub(crate) fn new(
        rows: [Option<&'a [i8]>; 4],
        columns: Columns,
        padding: &'a [i8],
        steps: usize,
    ) -> Option<Self> {
        let len = steps.checked_mul(DEPTH)?;
        let padding = padding.get(..len)?;
        if !columns.are_in(&rows, len) {
            return None;
        }
        let mut pixels = Self::pixels(rows, columns, padding);
        for (column, pixels) in pixels.iter_mut().enumerate() {
            if !columns.has(column) {
                *pixels = [pixel(padding, 0); 4];
            }
        }
        Some(Patch {
            pixels,
            steps,
            image: PhantomData,
        })
    }

    /// The pixels of four columns, as if there were all.
    #[cfg(target_arch = "arm")]
    #[inline(always)]
    fn pixels(
        rows: [Option<&'a [i8]>; 4],
        columns: Columns,
        padding: &'a [i8],
    ) -> [[Pixel<'a>; 4]; 4] {
        let start = columns.start(0);
        let [a, b, c, d] = rows.map(|row| match row {
            Some(row) => (pixel(row, start), columns.channels),
            None => (pixel(padding, 0), 0),
        });
        let column = |of: fn(Pixel<'a>, usize) -> Pixel<'a>| {
            [of(a.0, a.1), of(b.0, b.1), of(c.0, c.1), of(d.0, d.1)]
        };
        [
            column(|row, _| row),
            column(|row, step| row.wrapping_add(step)),
            column(|row, step| row.wrapping_add(step * 2)),
            column(|row, step| row.wrapping_add(step * 3)),
        ]
    }

    #[cfg(not(target_arch = "arm"))]
    fn pixels(
        rows: [Option<&'a [i8]>; 4],
        columns: Columns,
        padding: &'a [i8],
    ) -> [[Pixel<'a>; 4]; 4] {
        [0, 1, 2, 3].map(|column| {
            rows.map(|row| match row {
                Some(row) if columns.has(column) => pixel(row, columns.start(column)),
                _ => padding,
            })
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
        twin::transform(self.pixels.as_flattened(), self.steps, to, stride);
        Some(())
    }

    #[cfg(target_arch = "arm")]
    #[allow(unsafe_code, reason = "a loop in assembly")]
    fn put(&self, to: &mut [i32], stride: usize) {
        let (pixels, steps) = (self.pixels.as_flattened().as_ptr(), self.steps as u32);
        // SAFETY: `new` has seen that rows have `steps` fours of channels from their last
        // pixel on, and so from those before it, and that `padding` has, which stands for
        // pixels that are not there; `transform`, that there is a step, and that `to` has 16
        // positions of `steps` steps less the tiles before this one. Words 0 and 3 of each
        // step are written.
        unsafe { input::transform(pixels, steps, to.as_mut_ptr(), (stride * 4) as u32) }
    }
}

/// The pixel that starts at `at` of a row, if there is one.
#[cfg(target_arch = "arm")]
#[inline(always)]
fn pixel(row: &[i8], at: usize) -> Pixel<'_> {
    row.as_ptr().wrapping_add(at)
}

#[cfg(not(target_arch = "arm"))]
fn pixel(row: &[i8], at: usize) -> Pixel<'_> {
    row.get(at..).unwrap_or(&[])
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
            for pixel in (0..at.len()).rev() {
                let at = at.get(pixel)?.checked_add(paired)?;
                *y.get_mut(at)? = *last.get(2 * pixel)?;
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
