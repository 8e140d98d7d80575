//! Convolution over rows that are put aside together with their padding, so that every
//! window is a run of neighbours in each of its rows.

use super::dense::multiply;
use super::padded_rows::{MAX_ROWS, PaddedRows, each_row};
use crate::kernels::{ConvStrip, Kernel, Linear};
use crate::memory::{Source, signed, signed_mut};
use sanderling_plan::step::Conv;

/// Runs a convolution of one group without horizontal dilation; `from` and `to` are the
/// shapes, `tile` room for a tile, `aside` for as many padded rows as a window reaches over.
pub(super) fn run<K: Kernel>(
    p: &Conv,
    (from, to): ([u32; 4], [u32; 4]),
    linear: Linear<'_>,
    (x, output): (Source<'_>, &mut [u8]),
    (tile, aside): (&mut [K::Activation], &mut [u8]),
) -> Option<()> {
    let [_, h, w, channels] = from.map(|n| n as usize);
    let [_, out_h, out_w, outputs] = to.map(|n| n as usize);
    let image = h.checked_mul(w)?.checked_mul(channels)?;
    let image_out = out_h.checked_mul(out_w)?.checked_mul(outputs)?;
    let len = p.padded_row(K::TARGET, w, channels, false)??;
    let mut rows = PaddedRows::new(p, (w, channels), len, signed_mut(aside))?;
    let run = channels.checked_mul(p.kernel_w as usize)?;
    let step = channels.checked_mul(p.stride_w as usize)?;
    // Windows that start later read nothing but padding, as does one that starts there.
    let last = rows.len.checked_sub(run)?;
    let regular = match step {
        0 => out_w,
        step => out_w.min(last / step + 1),
    };
    let under = [&[][..]; MAX_ROWS];
    let strip = ConvStrip {
        rows: under.get(..p.kernel_h as usize).unwrap_or(&[]),
        run,
        step,
        count: out_w,
    };
    if regular == out_w && !strip.rows.is_empty() && K::takes_strip(&strip, &linear) {
        return each_row(p, (from, to), (x, output), rows, |rows, first, y| {
            let under = rows.under(p, first);
            let rows = under.get(..p.kernel_h as usize)?;
            K::conv_strip(&ConvStrip { rows, ..strip }, &linear, y)
        });
    }
    // What fills the rows of a tile up is never written again.
    tile.fill(bytemuck::Zeroable::zeroed());
    let mut products = Tile::<K> {
        tile,
        linear,
        count: 0,
        row: K::DENSE.row(run.checked_mul(p.kernel_h as usize)?)?,
        windows: [run, step, last, regular],
    };
    match x {
        Source::Bytes(x) => {
            let mut images = signed(x).chunks_exact(image.max(1));
            let ys = signed_mut(output).chunks_exact_mut(image_out.max(1));
            for (y, x) in ys.zip(&mut images) {
                rows.restart();
                let mut done = 0;
                for oy in 0..out_h {
                    rows.until(x, oy.checked_mul(p.stride_h as usize)?)?;
                    products.row(p, &rows, oy, out_w, |tile| {
                        tile.multiply(y.get_mut(done..)?, outputs, &mut done)
                    })?;
                }
                products.multiply(y.get_mut(done..)?, outputs, &mut done)?;
            }
        }
        Source::Output(at) => {
            let mut done = 0;
            for oy in 0..out_h {
                let x = signed(output.get(at..at.checked_add(image)?)?);
                rows.until(x, oy.checked_mul(p.stride_h as usize)?)?;
                products.row(p, &rows, oy, out_w, |tile| {
                    tile.multiply(signed_mut(output).get_mut(done..)?, outputs, &mut done)
                })?;
            }
            products.multiply(signed_mut(output).get_mut(done..)?, outputs, &mut done)?;
        }
    }
    Some(())
}

/// Gathered pixels, one after the other in the order of the output.
struct Tile<'a, 'b, K: Kernel> {
    tile: &'b mut [K::Activation],
    linear: Linear<'a>,
    /// Pixels that are gathered and not yet multiplied.
    count: usize,
    /// Activations of a pixel, with what fills the last of them up.
    row: usize,
    /// Values of a row of a window and from a window to the next; where the last that
    /// reads other than padding starts, and how many start no later.
    windows: [usize; 4],
}

impl<K: Kernel> Tile<'_, '_, K> {
    /// Gathers the `out_w` pixels of output row `oy`; calls `full` where the tile is.
    fn row(
        &mut self,
        p: &Conv,
        rows: &PaddedRows<'_>,
        oy: usize,
        out_w: usize,
        mut full: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        let [run, step, last, regular] = self.windows;
        let first = oy.checked_mul(p.stride_h as usize)?;
        let mut ox = 0;
        while ox < out_w {
            let (start, some) = match regular.saturating_sub(ox) {
                0 => (last, 1),
                some => (ox.checked_mul(step)?, some),
            };
            let some = some.min(K::DENSE.pixels.checked_sub(self.count)?);
            let mut at = 0usize;
            let taps = rows.rows(first, p.dilation_h as usize);
            for x in taps.take(p.kernel_h as usize) {
                let x = x.get(start..)?;
                K::put_strip(self.tile, self.row, self.count, at, x, [some, step, run]);
                at = at.checked_add(run)?;
            }
            self.count += some;
            ox += some;
            if self.count >= K::DENSE.pixels {
                full(self)?;
            }
        }
        Some(())
    }

    /// Multiplies what is gathered; `y` begins with the first pixel of it, and `done` counts
    /// its values.
    fn multiply(&mut self, y: &mut [i8], outputs: usize, done: &mut usize) -> Option<()> {
        let (row, count) = (self.row, core::mem::take(&mut self.count));
        if count > 0 {
            multiply::<K>(self.tile, row, row, count, &self.linear, y, outputs)?;
        }
        *done = done.checked_add(count.checked_mul(outputs)?)?;
        Some(())
    }
}
