//! The activations that one output pixel reads, side by side: im2col of a pixel.

use super::window::Axis;
use crate::memory::copy;

/// An image and the window that moves over it.
pub(super) struct Patches<'a, T> {
    /// `[height][width][channels]`.
    pub(super) image: &'a [T],
    pub(super) channels: usize,
    pub(super) rows: Axis,
    pub(super) columns: Axis,
    /// What padding reads.
    pub(super) padding: T,
}

impl<T: Copy> Patches<'_, T> {
    /// Gathers `[kh][kw][count]` of the window of output pixel `oy`, `ox`, channels from
    /// `first` on.
    pub(super) fn gather(
        &self,
        (oy, ox): (u32, u32),
        first: usize,
        count: usize,
        patch: &mut [T],
    ) -> Option<()> {
        let (down, across) = (self.rows.taps(oy), self.columns.taps(ox));
        let row = (self.columns.kernel as usize).checked_mul(count)?;
        for (ky, line) in (0..self.rows.kernel).zip(patch.chunks_exact_mut(row.max(1))) {
            if !down.inside.contains(&ky) {
                line.fill(self.padding);
                continue;
            }
            let start = down.position(ky).checked_mul(self.columns.size as usize)?;
            for (kx, tap) in (0..self.columns.kernel).zip(line.chunks_exact_mut(count.max(1))) {
                if !across.inside.contains(&kx) {
                    tap.fill(self.padding);
                    continue;
                }
                let pixel = start.checked_add(across.position(kx))?;
                let at = pixel.checked_mul(self.channels)?.checked_add(first)?;
                copy(tap, self.image.get(at..at.checked_add(count)?)?);
            }
        }
        Some(())
    }
}
