//! Gathering where windows need no care for borders, and where they are short.

use super::{STAGE, Windows};
use crate::kernels::Kernel;
use crate::operators::rows::InputRows;

impl<K: Kernel> Windows<'_, K> {
    /// [`gather`](Self::gather) for pixels of one output row whose windows reach over
    /// neither the left nor the right border, of a convolution with one group.
    pub(super) fn gather_inside(
        &self,
        x: InputRows<'_>,
        (oy, ox): (usize, usize),
        count: usize,
        tile: &mut [K::Activation],
    ) -> Option<()> {
        let row = K::DENSE.row(self.k)?;
        let taps_row = (self.columns.kernel as usize).checked_mul(self.group_in)?;
        let first = self.columns.tap(ox as u32, 0)?;
        let first = first.checked_mul(self.channels_in)?;
        let step = (self.columns.stride as usize).checked_mul(self.channels_in)?;
        let mut at = 0usize;
        for ky in 0..self.rows.kernel {
            if let Some(iy) = self.rows.tap(oy as u32, ky) {
                let x = x.row(iy)?.get(first..)?;
                K::put_strip(tile, row, 0, at, x, [count, step, taps_row]);
            } else {
                for pixel in 0..count {
                    K::fill(tile, row, pixel, at, taps_row, self.zero_point);
                }
            }
            at += taps_row;
        }
        Some(())
    }

    /// [`gather`](Self::gather) for one pixel, by way of bytes.
    pub(super) fn stage(
        &self,
        x: InputRows<'_>,
        (oy, ox): (usize, usize),
        group: usize,
        (tile, pixel): (&mut [K::Activation], usize),
    ) -> Option<()> {
        let mut staged = [0i8; STAGE];
        let staged = staged.get_mut(..self.k)?;
        let taps_row = (self.columns.kernel as usize).checked_mul(self.group_in)?;
        let reach = self.reach(ox, group)?;
        let whole = reach.pieces * reach.len == taps_row;
        if !whole || self.rows.taps(oy as u32).inside.len() < self.rows.kernel as usize {
            staged.fill(self.zero_point);
        }
        let rows = (0..self.rows.kernel).zip(staged.chunks_exact_mut(taps_row.max(1)));
        for (ky, to) in rows {
            let Some(iy) = self.rows.tap(oy as u32, ky) else {
                continue;
            };
            let x = x.row(iy)?;
            let (mut start, mut to) = (reach.start, to.get_mut(reach.before..)?);
            for _ in 0..reach.pieces {
                let (now, later) = to.split_at_mut_checked(reach.len)?;
                K::stage(now, x.get(start..start.checked_add(reach.len)?)?);
                start += reach.step;
                to = later;
            }
        }
        K::put(tile, K::DENSE.row(self.k)?, pixel, 0, staged);
        Some(())
    }

    /// What output column `ox` reads of an input row.
    fn reach(&self, ox: usize, group: usize) -> Option<Reach> {
        let taps = self.columns.taps(ox as u32);
        let (first, inside) = (taps.inside.start, taps.inside.len());
        let (pieces, len) = match self.adjacent {
            true => (inside.min(1), inside),
            false => (inside, 1),
        };
        let start = match inside {
            0 => 0,
            _ => taps.position(first).checked_mul(self.channels_in)?,
        };
        Some(Reach {
            before: (first as usize).checked_mul(self.group_in)?,
            start: start.checked_add(group.checked_mul(self.group_in)?)?,
            pieces,
            len: len.checked_mul(self.group_in)?,
            step: (self.columns.dilation as usize).checked_mul(self.channels_in)?,
        })
    }
}

/// The pieces of an input row that lie under a row of the kernel.
struct Reach {
    /// Values of the window before the first that lies inside.
    before: usize,
    /// Where the first piece starts in the row, and how far the next is.
    start: usize,
    step: usize,
    pieces: usize,
    /// Values of a piece.
    len: usize,
}
