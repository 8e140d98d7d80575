//! Rows of an image put aside together with their padding.

use crate::memory::{Source, signed, signed_mut};
use sanderling_plan::step::Conv;

/// Most rows of a window that are looked up together.
pub(super) const MAX_ROWS: usize = 8;

/// Computes the output row by row: `row` is given the rows with those of the window, the
/// number of the window's first, and the outputs. `from` and `to` are the shapes.
pub(super) fn each_row(
    p: &Conv,
    (from, to): ([u32; 4], [u32; 4]),
    (x, output): (Source<'_>, &mut [u8]),
    mut rows: PaddedRows<'_>,
    mut row: impl FnMut(&PaddedRows<'_>, usize, &mut [i8]) -> Option<()>,
) -> Option<()> {
    let [_, h, w, channels] = from.map(|n| n as usize);
    let [_, out_h, out_w, outputs] = to.map(|n| n as usize);
    let image = h.checked_mul(w)?.checked_mul(channels)?;
    let row_out = out_w.checked_mul(outputs)?;
    match x {
        Source::Bytes(x) => {
            let mut images = signed(x).chunks_exact(image.max(1));
            let image_out = row_out.checked_mul(out_h)?;
            let ys = signed_mut(output).chunks_exact_mut(image_out.max(1));
            for (y, x) in ys.zip(&mut images) {
                rows.restart();
                for (oy, y) in (0..out_h).zip(y.chunks_exact_mut(row_out.max(1))) {
                    let first = oy.checked_mul(p.stride_h as usize)?;
                    rows.until(x, first)?;
                    row(&rows, first, y)?;
                }
            }
        }
        Source::Output(at) => {
            let bytes = signed_mut(output);
            for oy in 0..out_h {
                let first = oy.checked_mul(p.stride_h as usize)?;
                rows.until(bytes.get(at..at.checked_add(image)?)?, first)?;
                let start = oy.checked_mul(row_out)?;
                let y = bytes.get_mut(start..start.checked_add(row_out)?)?;
                row(&rows, first, y)?;
            }
        }
    }
    Some(())
}

/// The last rows of an image, padding included: row `v` is input row `v - pad_top`, or
/// padding where there is none.
pub(super) struct PaddedRows<'a> {
    rows: &'a mut [i8],
    /// Values of a padded row.
    pub(super) len: usize,
    /// Rows from the first to the last that a window reads; as many are kept.
    reach: usize,
    /// The first row that was not put aside yet.
    next: usize,
    pad_top: usize,
    /// Values of padding before a row, and of the row itself.
    before: usize,
    width: usize,
    padding: i8,
}

impl<'a> PaddedRows<'a> {
    /// Room for the rows that a window of `p` reaches over, `len` values each, of images
    /// `width` pixels of `channels` wide.
    pub(super) fn new(
        p: &Conv,
        (width, channels): (usize, usize),
        len: usize,
        rows: &'a mut [i8],
    ) -> Option<Self> {
        Some(PaddedRows {
            rows,
            len,
            reach: p.window_rows(),
            next: 0,
            pad_top: p.pad_top as usize,
            before: (p.pad_left as usize).checked_mul(channels)?,
            width: width.checked_mul(channels)?,
            padding: p.input_zero_point as i8,
        })
    }

    /// Begins with another image.
    pub(super) fn restart(&mut self) {
        self.next = 0;
    }

    /// Puts the rows of `x` aside that a window reads whose first row is `first`.
    pub(super) fn until(&mut self, x: &[i8], first: usize) -> Option<()> {
        self.next = self.next.max(first);
        while self.next < first.checked_add(self.reach)? {
            let to = slot(self.next, self.reach, self.len)?;
            let to = self.rows.get_mut(to..to.checked_add(self.len)?)?;
            let row = self.next.checked_sub(self.pad_top).and_then(|iy| {
                let start = iy.checked_mul(self.width)?;
                x.get(start..start.checked_add(self.width)?)
            });
            match row {
                Some(row) => {
                    let (before, rest) = to.split_at_mut_checked(self.before)?;
                    let (inside, after) = rest.split_at_mut_checked(self.width)?;
                    before.fill(self.padding);
                    inside.copy_from_slice(row);
                    after.fill(self.padding);
                }
                None => to.fill(self.padding),
            }
            self.next += 1;
        }
        Some(())
    }

    /// The rows under a window of `p` whose first is `v`; the first of them, as many as the
    /// kernel has, at most [`MAX_ROWS`].
    #[inline(always)]
    pub(super) fn under(&self, p: &Conv, v: usize) -> [&[i8]; MAX_ROWS] {
        let mut under: [&[i8]; MAX_ROWS] = [&[]; MAX_ROWS];
        let taps = self.rows(v, p.dilation_h as usize);
        for (under, tap) in under.iter_mut().zip(taps.take(p.kernel_h as usize)) {
            *under = tap;
        }
        under
    }

    /// The rows, every `dilation`-th from row `v` on, which must be among the last.
    #[inline(always)]
    pub(super) fn rows(&self, v: usize, dilation: usize) -> impl Iterator<Item = &[i8]> {
        let mut slot = v.checked_rem(self.reach).unwrap_or(0);
        core::iter::from_fn(move || {
            let start = slot.checked_mul(self.len)?;
            slot = slot.wrapping_add(dilation);
            if slot >= self.reach {
                slot = slot.wrapping_sub(self.reach);
            }
            self.rows.get(start..start.checked_add(self.len)?)
        })
    }
}

/// Where row `v` is kept.
#[inline(always)]
fn slot(v: usize, reach: usize, len: usize) -> Option<usize> {
    v.checked_rem(reach)?.checked_mul(len)
}
