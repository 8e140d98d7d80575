//! Where tiles of windows start, and slices of them that vectors are loaded from.

use crate::kernels::{Linear, Rows, Windows};

/// Outputs of a block, as [`Dense::outputs`](sanderling_plan::packing::Dense::outputs).
pub(super) const BLOCK: usize = 16;

/// Bytes of a block's weights for four activations.
pub(super) type Fours = [i8; 4 * BLOCK];

/// Rows of activations as windows of one run each.
pub(super) fn windows<'a>(rows: &Rows<'a, i8>) -> Windows<'a> {
    Windows {
        x: rows.x,
        with_offset: false,
        pixels: 0..rows.count,
        width: rows.count.max(1),
        row_step: 0,
        pixel_step: rows.stride,
        runs: 1,
        // Rows that were gathered have room up to the next four.
        run: rows.k.next_multiple_of(4),
        run_step: 0,
    }
}

/// What is taken off the accumulators of rows `from..from + P`.
#[inline(always)]
pub(super) fn corrections<const P: usize>(corrections: &[i32], from: usize) -> [i32; P] {
    let mut values = [0; P];
    for (to, &value) in values
        .iter_mut()
        .zip(corrections.get(from..).unwrap_or(&[]))
    {
        *to = value;
    }
    values
}

/// Sixteen values from `from` on; 0 past the end.
#[inline(always)]
pub(super) fn sixteen<T: Copy + Default>(values: &[T], from: usize) -> [T; BLOCK] {
    let values = values.get(from..).unwrap_or(&[]);
    if let Some(&values) = values.first_chunk() {
        return values;
    }
    let mut sixteen = [T::default(); BLOCK];
    for (to, &value) in sixteen.iter_mut().zip(values) {
        *to = value;
    }
    sixteen
}

/// Writes outputs to `y[from..]`, as many as there is room for.
#[inline(always)]
pub(super) fn write<const N: usize>(y: &mut [i8], from: usize, room: usize, values: [i8; N]) {
    let Some(y) = y.get_mut(from..) else { return };
    if room >= N
        && let Some(y) = y.first_chunk_mut()
    {
        *y = values;
        return;
    }
    for (y, value) in y.iter_mut().take(room).zip(values) {
        *y = value;
    }
}

/// Walks the starts of windows.
pub(super) struct Starts {
    width: usize,
    row_step: usize,
    pixel_step: usize,
    /// Column of the next window, and where it and its row start.
    column: usize,
    at: usize,
    row_at: usize,
}

impl Starts {
    pub(super) fn new(windows: &Windows<'_>) -> Option<Self> {
        let row = windows.pixels.start.checked_div(windows.width)?;
        let column = windows.pixels.start.checked_rem(windows.width)?;
        let row_at = row.checked_mul(windows.row_step)?;
        Some(Starts {
            width: windows.width,
            row_step: windows.row_step,
            pixel_step: windows.pixel_step,
            column,
            at: row_at.checked_add(column.checked_mul(windows.pixel_step)?)?,
            row_at,
        })
    }

    #[inline(always)]
    pub(super) fn next<const P: usize>(&mut self) -> [usize; P] {
        let mut starts = [0; P];
        for start in &mut starts {
            *start = self.at;
            self.column = self.column.wrapping_add(1);
            self.at = self.at.wrapping_add(self.pixel_step);
            if self.column == self.width {
                self.row_at = self.row_at.wrapping_add(self.row_step);
                (self.column, self.at) = (0, self.row_at);
            }
        }
        starts
    }
}

/// The weights as blocks of sixteen outputs of four activations each.
pub(super) fn weights<'a>(linear: &Linear<'a>) -> &'a [Fours] {
    linear.weights.as_chunks().0
}

/// [`Kernel::fill_up`](crate::kernels::Kernel::fill_up): rows begin anywhere in a four, so
/// that each four that is written takes bytes of two.
pub(super) fn fill_up(weights: &[i8], runs: usize, run: usize, to: &mut [i8]) -> Option<()> {
    let (fours, n) = (runs.checked_mul(run)?.div_ceil(4), run.div_ceil(4));
    let (weights, to) = (weights.as_chunks().0, to.as_chunks_mut().0);
    let blocks = to.chunks_exact_mut(runs.checked_mul(n)?.max(1));
    for (to, weights) in blocks.zip(weights.chunks_exact(fours.max(1))) {
        for (at, to) in to.iter_mut().enumerate() {
            let (row, four) = (at / n, at % n);
            let first = row * run + four * 4;
            let kept = (run - four * 4).min(4) as u32;
            let mask = u32::MAX >> (32 - 8 * kept);
            *to = shifted(weights, first / 4, 8 * (first % 4) as u32, mask)?;
        }
    }
    Some(())
}

/// Weights from bit `shift` of number `at` on, as far as `mask` goes.
fn shifted(weights: &[Fours], at: usize, shift: u32, mask: u32) -> Option<Fours> {
    let this: [u32; BLOCK] = bytemuck::cast(*weights.get(at)?);
    let next = weights.get(at + 1).copied().unwrap_or([0; 4 * BLOCK]);
    let next: [u32; BLOCK] = bytemuck::cast(next);
    let mut fours = [0; BLOCK];
    for ((four, this), next) in fours.iter_mut().zip(this).zip(next) {
        let both = u64::from(this) | u64::from(next) << 32;
        *four = (both >> shift) as u32 & mask;
    }
    Some(bytemuck::cast(fours))
}
