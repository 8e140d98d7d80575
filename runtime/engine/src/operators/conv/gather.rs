//! Gathering where windows need no care for borders, and where they are short.

use super::{STAGE, Windows};
use crate::kernels::Kernel;
use crate::operators::rows::InputRows;

impl<K: Kernel> Windows<'_, K> {
    /// [`gather`](Self::gather) for pixels of one output row whose windows reach over
    /// neither the left nor the right border, of a convolution with one group.
    #[inline(never)]
    pub(super) fn gather_inside(
        &self,
        x: InputRows<'_>,
        (oy, ox): (usize, usize),
        count: usize,
        tile: &mut [K::Activation],
    ) -> Option<()> {
        let row = K::DENSE.row(self.k)?;
        let taps_row = self.taps_row;
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

    /// [`gather`](Self::gather) by way of bytes.
    #[inline(never)]
    pub(super) fn gather_staged(
        &self,
        x: InputRows<'_>,
        (mut oy, mut ox): (usize, usize),
        count: usize,
        group: usize,
        (tile, staged): (&mut [K::Activation], &mut [i8; STAGE]),
    ) -> Option<(usize, usize)> {
        let row = K::DENSE.row(self.k)?;
        // All pixels' windows, where there is room for them.
        let together = row.checked_mul(count)? <= STAGE;
        for pixel in 0..count {
            let start = if together { pixel * row } else { 0 };
            let window = staged.get_mut(start..start.checked_add(row)?)?;
            self.stage(x, (oy, ox), group, window)?;
            if !together {
                K::put(tile, row, pixel, 0, window);
            }
            ox += 1;
            if ox == self.width_out {
                (oy, ox) = (oy + 1, 0);
            }
        }
        if together {
            K::put_strip(tile, row, 0, 0, staged, [count, row, row]);
        }
        Some((oy, ox))
    }

    /// The window of one pixel, filled up with zeros.
    fn stage(
        &self,
        x: InputRows<'_>,
        (oy, ox): (usize, usize),
        group: usize,
        window: &mut [i8],
    ) -> Option<()> {
        let (window, rest) = window.split_at_mut_checked(self.k)?;
        rest.fill(0);
        if !self.adjacent {
            return self.stage_taps(x, (oy, ox), group, window);
        }
        let (axis, taps_row) = (&self.columns, self.taps_row);
        // The taps `first..end` lie inside.
        let start = (ox as u32).wrapping_mul(axis.stride).wrapping_sub(axis.pad) as i32;
        let first = start.min(0).unsigned_abs();
        let end = (axis.size as i32).wrapping_sub(start).max(0) as u32;
        let taps = axis.kernel.min(end).saturating_sub(first) as usize;
        let from = (start.max(0) as usize).checked_mul(self.group_in)?;
        let to = (first as usize).checked_mul(self.group_in)?;
        let len = taps.checked_mul(self.group_in)?;
        let rows = &self.rows;
        let whole = len == taps_row
            && rows.tap(oy as u32, 0).is_some()
            && rows.tap(oy as u32, rows.kernel.wrapping_sub(1)).is_some();
        if !whole {
            window.fill(self.zero_point);
        }
        if taps > 0 {
            let mut at = to;
            for ky in 0..rows.kernel {
                if let Some(iy) = rows.tap(oy as u32, ky) {
                    let x = x.row(iy)?.get(from..from.checked_add(len)?)?;
                    K::stage(window.get_mut(at..at.checked_add(len)?)?, x);
                }
                at += taps_row;
            }
        }
        Some(())
    }

    /// The window of one pixel, tap by tap.
    fn stage_taps(
        &self,
        x: InputRows<'_>,
        (oy, ox): (usize, usize),
        group: usize,
        window: &mut [i8],
    ) -> Option<()> {
        let channel = group.checked_mul(self.group_in)?;
        let rows = window.chunks_exact_mut(self.taps_row.max(1));
        for (ky, to) in (0..self.rows.kernel).zip(rows) {
            let Some(iy) = self.rows.tap(oy as u32, ky) else {
                to.fill(self.zero_point);
                continue;
            };
            let x = x.row(iy)?;
            let taps = to.chunks_exact_mut(self.group_in.max(1));
            for (kx, to) in (0..self.columns.kernel).zip(taps) {
                if let Some(ix) = self.columns.tap(ox as u32, kx) {
                    let start = ix.checked_mul(self.channels_in)?.checked_add(channel)?;
                    K::stage(to, x.get(start..start.checked_add(self.group_in)?)?);
                } else {
                    to.fill(self.zero_point);
                }
            }
        }
        Some(())
    }
}
