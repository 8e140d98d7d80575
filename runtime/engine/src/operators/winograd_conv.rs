//! Convolution with 3×3 kernels by Winograd's algorithm.

use super::rows::{InputRows, PutAside};
use crate::kernels::{Columns, Patch, Tiles};
use crate::memory::{Operands, Source, copy, signed, signed_mut};
use crate::numerics::Requantize;
use core::ops::Range;
use sanderling_plan::packing::winograd::{DEPTH, TILES, weight_bytes};
use sanderling_plan::step::WinogradConv;

pub(super) fn run(p: &WinogradConv, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        scratch,
        constants,
        ..
    } = operands;
    let (from, to) = (x.shape.nhwc()?, output_shape.nhwc()?);
    let [_, h, w, channels] = from.map(|n| n as usize);
    let [_, out_h, out_w, outputs] = to.map(|n| n as usize);
    let layout = p.scratch(from, to[2], matches!(x.source, Source::Output(_)))?;
    let (tiles, scratch) = scratch.split_at_mut_checked(layout.tiles)?;
    let (patch, scratch) = scratch.split_at_mut_checked(layout.patch)?;
    let (padding, patch) = signed_mut(patch).split_at_mut_checked(p.pixel_bytes(channels)?)?;
    padding.fill(p.input_zero_point as i8);
    let row = w.checked_mul(channels)?;
    let words = weight_bytes(outputs, channels)? / size_of::<i32>();
    let mut groups = Groups {
        pads: [p.pad_top as usize, p.pad_left as usize],
        size: [h, w],
        channels,
        steps: channels.div_ceil(DEPTH),
        out: [out_h, out_w],
        outputs,
        weights: constants.slice(p.weights, words)?,
        bias: constants.slice(p.bias, outputs)?,
        multipliers: constants.slice(p.multipliers, outputs)?,
        requantize: Requantize::new(p.low, p.high, p.zero_point),
        padding,
        tiles: bytemuck::try_cast_slice_mut(tiles).ok()?,
        patch,
    };
    let image = h.checked_mul(row)?;
    let y = signed_mut(output);
    let across = out_w.div_ceil(2);
    let count = across.checked_mul(out_h.div_ceil(2))?;
    match x.source {
        Source::Bytes(x) => {
            let image_out = out_h.checked_mul(out_w)?.checked_mul(outputs)?;
            let mut images = signed(x).chunks_exact(image.max(1));
            for (y, x) in y.chunks_exact_mut(image_out.max(1)).zip(&mut images) {
                let rows = InputRows::of(x, row);
                for first in (0..count).step_by(TILES) {
                    let some = first..count.min(first + TILES);
                    groups.gather(some.clone(), rows)?;
                    groups.multiply(some, y)?;
                }
            }
        }
        Source::Output(at) => {
            let mut aside = PutAside::new(signed_mut(scratch.get_mut(..layout.rows)?), row);
            for first in (0..count).step_by(TILES) {
                let some = first..count.min(first + TILES);
                let last = some.end.checked_sub(1)?.checked_div(across)?;
                let x = y.get(at..at.checked_add(image)?)?;
                let rows = aside.until(x, p.rows_before(h, last))?;
                groups.gather(some.clone(), rows)?;
                groups.multiply(some, y)?;
            }
        }
    }
    Some(())
}

/// Tiles, numbered row by row, some of which are computed together.
struct Groups<'a, 'b> {
    /// Padding above and to the left.
    pads: [usize; 2],
    /// Rows and columns of the input.
    size: [usize; 2],
    channels: usize,
    /// The same in fours.
    steps: usize,
    /// Rows and columns of the output.
    out: [usize; 2],
    outputs: usize,
    weights: &'a [i32],
    bias: &'a [i32],
    multipliers: &'a [f32],
    requantize: Requantize,
    /// Transformed inputs.
    tiles: &'b mut [i32],
    /// A pixel of padding.
    padding: &'b [i8],
    /// Room for the pixels of a tile, where their channels are not a whole number of fours.
    patch: &'b mut [i8],
}

impl Groups<'_, '_> {
    /// Row and column of tile number `tile`.
    fn place(&self, tile: usize) -> Option<[usize; 2]> {
        let [_, out_w] = self.out;
        let across = out_w.div_ceil(2);
        Some([tile.checked_div(across)?, tile.checked_rem(across)?])
    }

    /// Transforms the inputs of tiles.
    fn gather(&mut self, tiles: Range<usize>, x: InputRows<'_>) -> Option<()> {
        let ([h, width], [pad_top, pad_left]) = (self.size, self.pads);
        let [mut ty, mut tx] = self.place(tiles.start)?;
        let mut rows = None;
        for slot in 0..tiles.len() {
            let four = match rows {
                Some(rows) => rows,
                None => {
                    let mut four = [None; 4];
                    for (row, to) in four.iter_mut().enumerate() {
                        let iy = (2 * ty + row).wrapping_sub(pad_top);
                        if iy < h {
                            *to = Some(x.row_on(iy)?);
                        }
                    }
                    *rows.insert(four)
                }
            };
            let columns = Columns {
                first: (2 * tx).wrapping_sub(pad_left),
                width,
                channels: self.channels,
            };
            // The weights of what is behind the channels are 0.
            let (four, columns) = match columns.are_in(&four, self.padding.len()) {
                true => (four, columns),
                false => copied(four, columns, self.padding, self.patch)?,
            };
            let patch = Patch::new(four, columns, self.padding, self.steps)?;
            patch.transform(self.tiles, slot)?;
            tx += 1;
            if tx == self.out[1].div_ceil(2) {
                (ty, tx, rows) = (ty + 1, 0, None);
            }
        }
        Some(())
    }

    /// Computes the outputs of tiles.
    fn multiply(&self, tiles: Range<usize>, y: &mut [i8]) -> Option<()> {
        let [out_h, out_w] = self.out;
        let mut at = [0; 4 * TILES];
        let [mut ty, mut tx] = self.place(tiles.start)?;
        for at in at.chunks_exact_mut(4).take(tiles.len()) {
            let first = (2 * ty)
                .checked_mul(out_w)?
                .checked_add(2 * tx)?
                .checked_mul(self.outputs)?;
            // Pixels that are absent are put where the one before them is put later.
            let right = match 2 * tx + 1 < out_w {
                true => self.outputs,
                false => 0,
            };
            let below = match 2 * ty + 1 < out_h {
                true => out_w.checked_mul(self.outputs)?,
                false => 0,
            };
            let places = [first, first + right, first + below, first + below + right];
            copy(at, &places);
            tx += 1;
            if tx == out_w.div_ceil(2) {
                (ty, tx) = (ty + 1, 0);
            }
        }
        // So are tiles that are absent.
        let (first, rest) = at.split_at_mut_checked(4)?;
        for rest in rest.chunks_exact_mut(4).skip(tiles.len().checked_sub(1)?) {
            copy(rest, first);
        }
        let block = Tiles {
            x: self.tiles,
            weights: self.weights,
            bias: self.bias,
            multipliers: self.multipliers,
            requantize: self.requantize,
        };
        block.outputs(&at, y)
    }
}

/// Copies the pixels of a tile, so that a whole number of fours of channels is there for
/// each, as there is for `padding`.
fn copied<'a>(
    rows: [Option<&[i8]>; 4],
    columns: Columns,
    padding: &[i8],
    to: &'a mut [i8],
) -> Option<([Option<&'a [i8]>; 4], Columns)> {
    let channels = padding.len();
    let mut pixels = to.chunks_exact_mut(channels.max(1));
    for row in rows {
        for (column, to) in (0..4).zip(&mut pixels) {
            copy(to, padding);
            if let Some(row) = row
                && columns.has(column)
            {
                // Where the last one ends, others go on.
                copy(to, row.get(columns.start(column)..)?);
            }
        }
    }
    let mut rows = to.chunks_exact((4 * channels).max(1));
    let columns = Columns {
        first: 0,
        width: 4,
        channels,
    };
    Some((
        [rows.next(), rows.next(), rows.next(), rows.next()],
        columns,
    ))
}
