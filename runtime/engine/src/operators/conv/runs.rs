//! Gathering for kernels that copy many runs in one call.

use super::Windows;
use crate::kernels::{Kernel, Runs};
use crate::operators::rows::InputRows;
use crate::operators::window::Taps;

impl<K: Kernel> Windows<'_, K> {
    /// Clears what is beyond the values of a tile's rows. It is the same for all tiles.
    pub(super) fn clear_rest(&self, tile: &mut [K::Activation]) -> Option<()> {
        let row = K::DENSE.row(self.k)?;
        for pixel in 0..K::DENSE.pixels {
            K::fill(tile, row, pixel, self.k, row.checked_sub(self.k)?, 0);
        }
        Some(())
    }

    /// [`gather`](Self::gather) for such kernels.
    pub(super) fn gather_runs(
        &self,
        x: InputRows<'_>,
        (mut oy, mut ox): (usize, usize),
        count: usize,
        group: usize,
        tile: &mut [K::Activation],
    ) -> Option<(usize, usize)> {
        let channel = group.checked_mul(self.group_in)?;
        let mut pixel = 0;
        while pixel < count {
            let taps_y = self.rows.taps(oy as u32);
            let left = (count - pixel).min(self.width_out.checked_sub(ox)?);
            // Pixels whose columns all lie inside go together.
            let run = match self.inside.contains(&ox) {
                true => left.min(self.inside.end - ox),
                false => 1,
            };
            self.run(x, &taps_y, ox, channel, (pixel, run), tile)?;
            pixel += run;
            ox += run;
            if ox == self.width_out {
                (oy, ox) = (oy + 1, 0);
            }
        }
        Some((oy, ox))
    }

    /// The windows of `count` pixels of one output row, of which the same columns lie
    /// inside, into the tile's rows from `pixel` on.
    fn run(
        &self,
        x: InputRows<'_>,
        taps_y: &Taps,
        ox: usize,
        channel: usize,
        (pixel, count): (usize, usize),
        tile: &mut [K::Activation],
    ) -> Option<()> {
        let row = K::DENSE.row(self.k)?;
        let taps_row = (self.columns.kernel as usize).checked_mul(self.group_in)?;
        let taps_x = self.columns.taps(ox as u32);
        let (rows, columns) = (taps_y.inside.len(), taps_x.inside.len());
        if rows < self.rows.kernel as usize || columns < self.columns.kernel as usize {
            for pixel in pixel..pixel.checked_add(count)? {
                K::fill(tile, row, pixel, 0, self.k, self.zero_point);
            }
        }
        if rows == 0 || columns == 0 {
            return Some(());
        }
        // Neighbouring taps are one run.
        let (calls, taps) = match self.adjacent {
            true => (1, columns),
            false => (columns, 1),
        };
        let (x, slot) = x.from(taps_y.position(taps_y.inside.start))?;
        let len = taps.checked_mul(self.group_in)?;
        let at = (taps_y.inside.start as usize).checked_mul(taps_row)?;
        let tile = tile.get_mut(pixel.checked_mul(row)?.checked_add(at)?..)?;
        for kx in taps_x.inside.start..taps_x.inside.start.checked_add(calls as u32)? {
            let start = taps_x.position(kx).checked_mul(self.channels_in)?;
            K::put_runs(
                tile.get_mut((kx as usize).checked_mul(self.group_in)?..)?,
                &Runs {
                    x,
                    row: self.row,
                    slot,
                    start: start.checked_add(channel)?,
                    len,
                    rows,
                    row_step: self.rows.dilation as usize,
                    to_row: taps_row,
                    count,
                    step: (self.columns.stride as usize).checked_mul(self.channels_in)?,
                    to_step: row,
                },
            )?;
        }
        Some(())
    }
}
