//! Depthwise rows with the rows under the kernel interleaved, so that one multiplication
//! takes four kernel rows of sixteen channels.
//!
//! Scratch, in vectors of sixteen channels of four kernel rows; rows that a kernel has too
//! few for a four have weight 0:
//!
//! ```text
//! bias     [⌈channels / 16⌉]                     with the activations' offset taken out
//! weights  [⌈channels / 16⌉][kw][⌈kh / 4⌉]
//! columns  [⌈channels / 16⌉][columns][⌈kh / 4⌉]  of the input rows with their padding
//! padding  [w][channels]                         an input row, in bytes
//! ```

use super::tiles::{BLOCK, Fours};
use crate::kernels::{DepthwiseRow, Linear};
use crate::memory::{copy, signed_mut};

/// A step whose scratch is cut.
pub(super) struct Depthwise<'a, 'r> {
    pub(super) linear: Linear<'r>,
    pub(super) bias: &'a mut [i32],
    pub(super) weights: &'a mut [Fours],
    pub(super) columns: &'a mut [Fours],
    pub(super) outputs: usize,
    pub(super) blocks: usize,
    /// Vectors of the weights and of the columns of sixteen channels.
    pub(super) taps: usize,
    pub(super) vectors: usize,
    /// Vectors of a column, between the windows of two pixels, and between two taps.
    pub(super) fours: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    padding: &'a mut [i8],
    row: &'a DepthwiseRow<'r>,
}

impl<'a, 'r> Depthwise<'a, 'r> {
    /// `None` for what is left to the generic kernel.
    pub(super) fn of(row: &'a DepthwiseRow<'r>, scratch: &'a mut [u8]) -> Option<Self> {
        let p = row.parameters;
        if row.channels != row.outputs || row.linear.weight_zero_point != 0 {
            return None;
        }
        let blocks = row.outputs.div_ceil(BLOCK);
        let fours = (p.kernel_h as usize).div_ceil(4);
        let taps = fours.checked_mul(p.kernel_w as usize)?;
        let [_, columns] = p.padded(0, row.width as usize)?;
        let vectors = columns.checked_mul(fours)?;
        let cut = |n: usize| n.checked_mul(size_of::<Fours>());
        let (bias, rest) = scratch.split_at_mut_checked(cut(blocks)?)?;
        let (weights, rest) = rest.split_at_mut_checked(cut(blocks.checked_mul(taps)?)?)?;
        let (columns, rest) = rest.split_at_mut_checked(cut(blocks.checked_mul(vectors)?)?)?;
        let padding = rest.get_mut(..(row.width as usize).checked_mul(row.channels)?)?;
        Some(Depthwise {
            linear: row.linear,
            bias: bytemuck::try_cast_slice_mut(bias).ok()?,
            weights: bytemuck::try_cast_slice_mut(weights).ok()?,
            columns: bytemuck::try_cast_slice_mut(columns).ok()?,
            outputs: row.outputs,
            blocks,
            taps,
            vectors,
            fours,
            stride: fours.checked_mul(p.stride_w as usize)?,
            dilation: fours.checked_mul(p.dilation_w as usize)?,
            padding: signed_mut(padding),
            row,
        })
    }

    /// Whether the padding beside a row suffices for `pixels` windows.
    pub(super) fn reaches(&self, pixels: usize) -> bool {
        let p = self.row.parameters;
        let last = pixels.saturating_sub(1).saturating_mul(self.stride);
        let taps = (p.kernel_w as usize).saturating_sub(1);
        last.saturating_add(taps.saturating_mul(self.dilation)) < self.vectors
    }

    /// Weights and columns of sixteen channels.
    #[inline(always)]
    pub(super) fn block(&self, block: usize) -> Option<(&[Fours], &[Fours])> {
        let (w, x) = (block * self.taps, block * self.vectors);
        let w = self.weights.get(w..w + self.taps)?;
        Some((w, self.columns.get(x..x + self.vectors)?))
    }

    /// Interleaves the input rows under the kernel.
    #[inline(always)]
    pub(super) fn interleave(&mut self) -> Option<()> {
        let kernel = self.row.parameters.kernel_h;
        let padding: &[i8] = self.padding;
        for four in 0..self.fours {
            let mut rows: [&[i8]; 4] = [padding; 4];
            let first = (four * 4) as u32;
            for (ky, row) in (first..kernel).zip(&mut rows) {
                if let Some(x) = (self.row.rows)(ky) {
                    *row = x.get(..padding.len())?;
                }
            }
            // Rows that the kernel does not have are multiplied with 0.
            match kernel.saturating_sub(first) {
                1 => interleave_rows::<1>(
                    &mut *self.columns,
                    rows,
                    self.row,
                    four,
                    self.fours,
                    self.vectors,
                )?,
                3 => interleave_rows::<3>(
                    &mut *self.columns,
                    rows,
                    self.row,
                    four,
                    self.fours,
                    self.vectors,
                )?,
                _ => interleave_rows::<4>(
                    &mut *self.columns,
                    rows,
                    self.row,
                    four,
                    self.fours,
                    self.vectors,
                )?,
            }
        }
        Some(())
    }
}

/// Interleaves the first `ROWS` of four rows; the others count as 0.
#[inline(always)]
fn interleave_rows<const ROWS: usize>(
    columns: &mut [Fours],
    rows: [&[i8]; 4],
    row: &DepthwiseRow<'_>,
    four: usize,
    fours: usize,
    vectors: usize,
) -> Option<()> {
    let channels = row.channels;
    let left = (row.parameters.pad_left as usize)
        .checked_mul(fours)?
        .checked_add(four)?;
    let blocks = channels.div_ceil(BLOCK);
    let whole = channels.is_multiple_of(BLOCK);
    for block in 0..blocks {
        let columns = columns.get_mut(block * vectors..)?.get_mut(..vectors)?;
        let mut columns = columns.get_mut(left..)?;
        let mut at = block * BLOCK;
        if whole && fours == 1 {
            let columns = columns.get_mut(..row.width as usize)?;
            let [a, b, c, d] = rows.map(|row| row.as_chunks::<BLOCK>().0);
            let mut at = block;
            for column in columns {
                let zero = [0; BLOCK];
                *column = interleaved([
                    *a.get(at)?,
                    if ROWS > 1 { *b.get(at)? } else { zero },
                    if ROWS > 2 { *c.get(at)? } else { zero },
                    if ROWS > 3 { *d.get(at)? } else { zero },
                ]);
                at += blocks;
            }
            continue;
        }
        for _ in 0..row.width {
            let mut bytes = [[0i8; BLOCK]; 4];
            for (bytes, row) in bytes.iter_mut().zip(rows).take(ROWS) {
                *bytes = values(row, at);
            }
            *columns.first_mut()? = interleaved(bytes);
            columns = columns.get_mut(fours..).unwrap_or(&mut []);
            at += channels;
        }
    }
    Some(())
}

/// Sixteen values of a row from `at` on. Those past the last channel belong to outputs that
/// nobody reads.
#[inline(always)]
fn values(row: &[i8], at: usize) -> [i8; BLOCK] {
    let row = row.get(at..).unwrap_or(&[]);
    if let Some(&values) = row.first_chunk() {
        return values;
    }
    let mut values = [0; BLOCK];
    for (to, &x) in values.iter_mut().zip(row) {
        *to = x;
    }
    values
}

/// Byte `ky` of channel `c` is value `c` of row `ky`, plus 128.
#[inline(always)]
fn interleaved([a, b, c, d]: [[i8; BLOCK]; 4]) -> Fours {
    let mut fours = [0u32; BLOCK];
    for i in 0..BLOCK {
        let (a, b) = (u32::from(a[i] as u8), u32::from(b[i] as u8));
        let (c, d) = (u32::from(c[i] as u8), u32::from(d[i] as u8));
        fours[i] = (a | b << 8 | c << 16 | d << 24) ^ 0x8080_8080;
    }
    bytemuck::cast(fours)
}

/// What is the same for all rows: interleaves the weights `[kh][kw][channels]`, takes the
/// offset out of the bias, and writes the padding.
pub(super) fn start(row: &DepthwiseRow<'_>, scratch: &mut [u8]) -> Option<()> {
    let Some(step) = Depthwise::of(row, scratch) else {
        return Some(());
    };
    let p = row.parameters;
    let zero_point = p.input_zero_point as i8;
    step.padding.fill(zero_point);
    step.columns.fill([zero_point ^ -128; 4 * BLOCK]);
    copy(step.bias, row.linear.bias);
    let kernel_w = p.kernel_w as usize;
    for (block, weights) in step.weights.chunks_exact_mut(step.taps.max(1)).enumerate() {
        let channel = block * BLOCK;
        let end = (channel + BLOCK).min(step.outputs);
        for (tap, to) in weights.iter_mut().enumerate() {
            let (kx, four) = (tap / step.fours, tap % step.fours);
            // Flipped, because interleaving flips too.
            let mut rows = [[-128i8; BLOCK]; 4];
            for (ky, bytes) in (four * 4..p.kernel_h as usize).zip(&mut rows) {
                let from = (ky * kernel_w + kx) * step.outputs;
                let w = row.linear.weights.get(from + channel..from + end)?;
                for ((to, &w), bias) in bytes
                    .iter_mut()
                    .zip(w)
                    .zip(step.bias.get_mut(channel..end)?)
                {
                    *to = w ^ -128;
                    *bias = bias.wrapping_sub(i32::from(w) << 7);
                }
            }
            *to = interleaved(rows);
        }
    }
    Some(())
}
