//! Convolutions whose kernel takes whole rows of the image.

use super::Windows;
use crate::kernels::{ConvRow, Kernel};
use crate::operators::rows::InputRows;
use core::ops::Range;
use sanderling_plan::step::Conv;

impl<K: Kernel> Windows<'_, K> {
    /// [`span`](Self::span) of `pixels` that are whole rows of the output.
    pub(super) fn whole_rows(
        &self,
        p: &Conv,
        x: InputRows<'_>,
        pixels: Range<usize>,
        y: &mut [i8],
        scratch: &mut [K::Activation],
    ) -> Option<()> {
        let first = pixels.start.checked_div(self.width_out)?;
        let rows = pixels.len().checked_div(self.width_out)?;
        let (height, top) = (self.rows.size as usize, self.rows.pad as usize);
        let rows_of = |r: usize| {
            let iy = r.checked_sub(top).filter(|&iy| iy < height)?;
            x.row(iy)
        };
        let row_out = self.width_out.checked_mul(self.channels_out)?;
        let ys = y.chunks_exact_mut(row_out.max(1));
        for (oy, y) in (first..first.checked_add(rows)?).zip(ys) {
            let row = ConvRow {
                rows: &rows_of,
                oy,
                parameters: p,
                width: self.columns.size as usize,
                channels: self.channels_in,
                outputs: self.channels_out,
                linear: self.linear,
            };
            K::conv(&row, scratch, y)?;
        }
        Some(())
    }
}
