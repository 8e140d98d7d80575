//! Matrix products over rows of activations: flat convolutions and fully connected layers.

use crate::kernels::{Kernel, Linear, Rows};
use crate::memory::signed_mut;
use crate::spread::{Cut, Spread};

/// Most pixels that any kernel computes together.
const MAX_PIXELS: usize = 24;

/// Products of all rows of `k` values that lie one after the other from `x` on.
pub(super) struct Products<'a, 'b, K: Kernel> {
    /// Values of a row.
    pub(super) k: usize,
    /// Weights, one group.
    pub(super) linear: Linear<'a>,
    /// Room for a tile of gathered activations; none where rows are read as they lie.
    pub(super) tile: &'b mut [K::Activation],
}

impl<K: Kernel> Products<'_, '_, K> {
    /// `y[r] = x[r] · w` for all rows of `x`.
    pub(super) fn apart<S: Spread>(&mut self, x: &[i8], y: &mut [i8], spread: &S) -> Option<()> {
        let outputs = self.linear.bias.len();
        if let Some(x) = K::as_they_lie(x).filter(|_| K::DENSE.reads_in_place(self.k)) {
            let rows = match self.linear.weight_zero_point {
                0 => K::ROWS,
                _ => K::DENSE.pixels,
            };
            let (k, linear) = (self.k, &self.linear);
            let all = x.len().checked_div(k)?;
            let cut = Cut {
                units: all,
                values: outputs,
                grain: K::DENSE.pixels,
                cost: K::nanoseconds([all, k, outputs]),
                own: 0,
            };
            return cut.run(spread, y, &mut [], |range, y, _| {
                let x = x.get(range.start.checked_mul(k)?..range.end.checked_mul(k)?)?;
                let xs = x.chunks(rows.saturating_mul(k).max(1));
                let mut ys = y.chunks_mut(rows.saturating_mul(outputs).max(1));
                for (x, y) in xs.zip(&mut ys) {
                    let count = x.len().checked_div(k)?;
                    multiply::<K>(x, k, k, count, linear, y, outputs)?;
                }
                Some(())
            });
        }
        let rows = x.len().checked_div(self.k)?;
        self.tiles(Some(x), y, 0, rows)
    }

    /// The same where `x` lies in the bytes of `y`, from byte `at` on, `rows` in number.
    pub(super) fn overwriting(&mut self, y: &mut [u8], at: usize, rows: usize) -> Option<()> {
        self.tiles(None, signed_mut(y), at, rows)
    }

    /// `rows` rows, gathered from byte `at` on of `x`, or of `y` where there is no `x`.
    fn tiles(&mut self, x: Option<&[i8]>, y: &mut [i8], at: usize, rows: usize) -> Option<()> {
        let outputs = self.linear.bias.len();
        let mut first = 0usize;
        while first < rows {
            let count = K::DENSE.pixels.min(rows - first);
            let start = at.checked_add(first.checked_mul(self.k)?)?;
            let rows = start..start.checked_add(count.checked_mul(self.k)?)?;
            self.gather(x.unwrap_or(y).get(rows)?)?;
            let start = first.checked_mul(outputs)?;
            let y = y.get_mut(start..start.checked_add(count.checked_mul(outputs)?)?)?;
            self.gathered(count, y)?;
            first += count;
        }
        Some(())
    }

    /// Gathers the rows of `x`, at most a tile's.
    fn gather(&mut self, x: &[i8]) -> Option<usize> {
        let row = K::DENSE.row(self.k)?;
        let count = x.len().checked_div(self.k)?;
        K::put_strip(self.tile, row, 0, 0, x, [count, self.k, self.k]);
        let rest = row.checked_sub(self.k)?;
        for pixel in (0..count).filter(|_| rest > 0) {
            K::fill(self.tile, row, pixel, self.k, rest, 0);
        }
        Some(count)
    }

    fn gathered(&self, count: usize, y: &mut [i8]) -> Option<()> {
        let row = K::DENSE.row(self.k)?;
        let outputs = self.linear.bias.len();
        multiply::<K>(self.tile, row, row, count, &self.linear, y, outputs)
    }
}

/// Calls the kernel for `count` rows `stride` apart, outputs `y_stride` apart, with what
/// the weights' zero point takes off.
#[inline]
pub(super) fn multiply<K: Kernel>(
    x: &[K::Activation],
    stride: usize,
    k: usize,
    count: usize,
    linear: &Linear<'_>,
    y: &mut [i8],
    y_stride: usize,
) -> Option<()> {
    let rows = Rows {
        x,
        stride,
        count,
        k,
        corrections: &[],
    };
    if linear.weight_zero_point == 0 {
        return K::dense(rows, linear, y, y_stride);
    }
    corrected::<K>(rows, linear, y, y_stride)
}

/// The same with weights that have a zero point, which is rare.
#[cold]
#[inline(never)]
fn corrected<K: Kernel>(
    rows: Rows<'_, K::Activation>,
    linear: &Linear<'_>,
    y: &mut [i8],
    y_stride: usize,
) -> Option<()> {
    let mut corrections = [0i32; MAX_PIXELS];
    let count = rows.count;
    for (pixel, correction) in corrections.iter_mut().take(count).enumerate() {
        *correction = K::sum(&rows, pixel).wrapping_mul(linear.weight_zero_point);
    }
    let corrections = corrections.get(..count)?;
    let rows = Rows {
        corrections,
        ..rows
    };
    K::dense(rows, linear, y, y_stride)
}
