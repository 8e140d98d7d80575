//! Where a window finds its input rows: in the image, or put aside from an input that the
//! output overwrites.

use crate::memory::copy;

/// Rows of one image, `[w][channels]` each, of which the last `kept` are there.
#[derive(Clone, Copy)]
pub(super) struct InputRows<'a> {
    x: &'a [i8],
    /// Values of a row.
    len: usize,
    kept: usize,
}

impl<'a> InputRows<'a> {
    /// All rows of the image `x`, `len` values each.
    pub(super) fn of(x: &'a [i8], len: usize) -> Self {
        let kept = x.len().checked_div(len).unwrap_or(0);
        InputRows { x, len, kept }
    }

    /// All rows that are there, in a ring, and which of them row number `iy` is.
    pub(super) fn from(&self, iy: usize) -> Option<(&'a [i8], usize)> {
        let x = self.x.get(..self.kept.checked_mul(self.len)?)?;
        Some((x, iy.checked_rem(self.kept)?))
    }

    /// Row number `iy`, which lies inside the image.
    pub(super) fn row(&self, iy: usize) -> Option<&'a [i8]> {
        self.row_on(iy)?.get(..self.len)
    }

    /// Row number `iy`, which lies inside the image, and whatever lies behind it.
    pub(super) fn row_on(&self, iy: usize) -> Option<&'a [i8]> {
        // Where all rows are kept, none is divided for.
        let kept = match iy < self.kept {
            true => iy,
            false => iy.checked_rem(self.kept)?,
        };
        self.x.get(kept.checked_mul(self.len)?..)
    }
}

/// The last rows that were put aside, as many as a window reads.
pub(super) struct PutAside<'a> {
    rows: &'a mut [i8],
    len: usize,
    next: usize,
}

impl<'a> PutAside<'a> {
    /// Room for as many rows of `len` values as `rows` has.
    pub(super) fn new(rows: &'a mut [i8], len: usize) -> Self {
        PutAside { rows, len, next: 0 }
    }

    /// Puts the rows of the image `x` before number `end` aside and gives the last.
    pub(super) fn until(&mut self, x: &[i8], end: usize) -> Option<InputRows<'_>> {
        let image = InputRows::of(x, self.len);
        while self.next < end {
            let kept = self.rows.len().checked_div(self.len)?;
            let start = self.next.checked_rem(kept)?.checked_mul(self.len)?;
            let to = self.rows.get_mut(start..start.checked_add(self.len)?)?;
            copy(to, image.row(self.next)?);
            self.next += 1;
        }
        Some(InputRows::of(self.rows, self.len))
    }
}
