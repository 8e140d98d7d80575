//! Convolution with groups.

mod gather;
mod runs;
mod whole;

use super::dense::{Products, multiply};
use super::padded;
use super::padded_image::PaddedImage;
use super::rows::{InputRows, PutAside};
use super::window::Axis;
use crate::kernels::{Kernel, Linear};
use crate::memory::{Constants, Operands, Source, signed, signed_mut};
use crate::numerics::Requantize;
use crate::spread::Spread;
use core::marker::PhantomData;
use core::ops::Range;
use sanderling_plan::step::{Conv, ConvScratch};

/// Longest row that is ever gathered as bytes first.
const STAGE: usize = 256;

#[inline(never)]
pub(super) fn run<K: Kernel, S: Spread>(
    p: &Conv,
    operands: Operands<'_>,
    spread: &S,
) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        scratch,
        constants,
        ..
    } = operands;
    let (from, to) = (x.shape.nhwc()?, output_shape.nhwc()?);
    let linear = linear::<K>(p, from, to, &constants)?;
    let overlaps = matches!(x.source, Source::Output(_));
    let layout = p.scratch(K::TARGET, from, false, overlaps)?;
    let (tile, aside) = split(scratch, layout)?;
    if K::READS_WINDOWS
        && let Some(padded) = PaddedImage::new(K::TARGET, p, from, to)
        && !p.is_flat()
    {
        return padded.run::<K, S>(
            x.source,
            &linear,
            (signed_mut(tile), signed_mut(output)),
            spread,
        );
    }
    let tile: &mut [K::Activation] = bytemuck::try_cast_slice_mut(tile).ok()?;
    if p.is_flat() {
        let k = from[3] as usize;
        let mut products = Products::<K> { k, linear, tile };
        return match x.source {
            Source::Bytes(x) => products.apart(signed(x), signed_mut(output), spread),
            Source::Output(at) => {
                let rows = x.shape.elements().checked_div(k)?;
                products.overwriting(output, at, rows)
            }
        };
    }
    let row = p.padded_row(K::TARGET, from[2] as usize, from[3] as usize, false);
    if row.is_some() {
        return padded::run::<K>(p, (from, to), linear, (x.source, output), (tile, aside));
    }
    // Borrowed, for moving it takes as much code as making it.
    let windows = Windows::<K>::new(p, from, to, linear);
    let windows = windows.as_ref()?;
    let image = windows.image;
    let pixels = (to[1] as usize).checked_mul(to[2] as usize)?;
    match x.source {
        Source::Bytes(x) => {
            let mut images = signed(x).chunks_exact(image.max(1));
            let image_out = pixels.checked_mul(windows.channels_out)?;
            let outputs = signed_mut(output).chunks_exact_mut(image_out.max(1));
            for (y, x) in outputs.zip(&mut images) {
                windows.span(InputRows::of(x, windows.row), 0..pixels, y, tile)?;
            }
        }
        Source::Output(at) => {
            let mut aside = PutAside::new(signed_mut(aside), windows.row);
            let bytes = signed_mut(output);
            for oy in 0..to[1] as usize {
                let x = bytes.get(at..at.checked_add(image)?)?;
                let rows = aside.until(x, rows_before(p, from[1], oy as u32))?;
                let span = oy.checked_mul(windows.width_out)?;
                let span = span..span.checked_add(windows.width_out)?;
                let y = bytes.get_mut(span.start.checked_mul(windows.channels_out)?..)?;
                windows.span(rows, span, y, tile)?;
            }
        }
    }
    Some(())
}

/// Row `oy` of the outputs of one image, whose input rows are there as far as it reads them.
pub(super) fn row<K: Kernel>(
    p: &Conv,
    (from, to): ([u32; 4], [u32; 4]),
    constants: &Constants<'_>,
    x: InputRows<'_>,
    oy: u32,
    (scratch, y): (&mut [u8], &mut [i8]),
) -> Option<()> {
    let linear = linear::<K>(p, from, to, constants)?;
    let windows = Windows::<K>::new(p, from, to, linear)?;
    let (tile, _) = split(scratch, p.scratch(K::TARGET, from, false, false)?)?;
    let start = (oy as usize).checked_mul(windows.width_out)?;
    let pixels = start..start.checked_add(windows.width_out)?;
    windows.span(x, pixels, y, bytemuck::try_cast_slice_mut(tile).ok()?)
}

fn linear<'a, K: Kernel>(
    p: &Conv,
    from: [u32; 4],
    to: [u32; 4],
    constants: &Constants<'a>,
) -> Option<Linear<'a>> {
    Linear::of::<K>(
        constants,
        [p.weights, p.bias, p.multipliers],
        sizes(p, from, to)?,
        p.weight_zero_point,
        Requantize::new(p.low, p.high, p.zero_point),
    )
}

/// Cuts scratch into a tile and the rows put aside.
pub(super) fn split(scratch: &mut [u8], layout: ConvScratch) -> Option<(&mut [u8], &mut [u8])> {
    let (tile, aside) =
        scratch.split_at_mut_checked(sanderling_plan::align_up(layout.tile)?.min(scratch.len()))?;
    Some((tile.get_mut(..layout.tile)?, aside.get_mut(..layout.rows)?))
}

/// Input rows before the first that output row `oy` does not read.
pub(super) fn rows_before(p: &Conv, height: u32, oy: u32) -> usize {
    let end = (oy as usize)
        .saturating_mul(p.stride_h as usize)
        .saturating_add(p.window_rows())
        .saturating_sub(p.pad_top as usize);
    end.min(height as usize)
}

/// Groups, outputs of a group, weights of an output.
fn sizes(
    p: &Conv,
    [.., channels_in]: [u32; 4],
    [.., channels_out]: [u32; 4],
) -> Option<[usize; 3]> {
    let groups = p.groups.max(1);
    let k = (p.kernel_h as usize)
        .checked_mul(p.kernel_w as usize)?
        .checked_mul((channels_in / groups) as usize)?;
    Some([groups as usize, (channels_out / groups) as usize, k])
}

/// How windows read an image, and what they are multiplied with.
struct Windows<'a, K: Kernel> {
    linear: Linear<'a>,
    rows: Axis,
    columns: Axis,
    /// Values of an input row, and of an input image.
    row: usize,
    image: usize,
    width_out: usize,
    channels_in: usize,
    channels_out: usize,
    groups: usize,
    group_in: usize,
    group_out: usize,
    k: usize,
    /// Whether neighbouring taps of a row are neighbours in memory.
    adjacent: bool,
    /// Whether the kernel reads each pixel as it lies.
    as_it_lies: bool,
    /// The parameters where the kernel takes whole rows.
    whole: Option<&'a Conv>,
    /// Output columns whose windows' columns lie inside the image.
    inside: Range<usize>,
    /// Whether rows are gathered as bytes first.
    staged: bool,
    /// Values of a window's row.
    taps_row: usize,
    /// What padding reads.
    zero_point: i8,
    kernel: PhantomData<K>,
}

impl<'a, K: Kernel> Windows<'a, K> {
    fn new(p: &'a Conv, from: [u32; 4], to: [u32; 4], linear: Linear<'a>) -> Option<Self> {
        let [groups, group_out, k] = sizes(p, from, to)?;
        let [_, h, w, channels_in] = from;
        let channels_in = channels_in as usize;
        let row = (w as usize).checked_mul(channels_in)?;
        Some(Windows {
            linear,
            rows: Axis::rows(p, h),
            columns: Axis::columns(p, w),
            row,
            image: row.checked_mul(h as usize)?,
            width_out: to[2] as usize,
            channels_in,
            channels_out: to[3] as usize,
            groups,
            group_in: channels_in / groups.max(1),
            group_out,
            k,
            adjacent: p.dilation_w == 1 && groups == 1,
            as_it_lies: p.is_point() && groups == 1 && K::DENSE.reads_in_place(k),
            whole: match K::WHOLE_ROWS {
                true => K::TARGET.conv_scratch_bytes(p, w as usize, channels_in),
                false => None,
            }
            .map(|_| p),
            inside: match K::RUNS {
                true => Axis::columns(p, w).outputs_inside(to[2]),
                false => 0..0,
            },
            staged: !(channels_in / groups.max(1)).is_multiple_of(K::DENSE.depth.max(1))
                && K::DENSE.row(k)? <= K::STAGED.min(STAGE),
            taps_row: (p.kernel_w as usize).checked_mul(channels_in / groups.max(1))?,
            zero_point: p.input_zero_point as i8,
            kernel: PhantomData,
        })
    }

    /// The output pixels `pixels` of an image, numbered row by row, into `y`.
    fn span(
        &self,
        x: InputRows<'_>,
        pixels: Range<usize>,
        y: &mut [i8],
        tile: &mut [K::Activation],
    ) -> Option<()> {
        let (mut oy, mut ox) = (
            pixels.start.checked_div(self.width_out)?,
            pixels.start.checked_rem(self.width_out)?,
        );
        if K::WHOLE_ROWS
            && let Some(p) = self.whole
        {
            return self.whole_rows(p, x, pixels, y, tile);
        }
        // Known to the compiler where no kernel of the target reads what lies in place.
        let as_it_lies = K::DENSE.activation_bytes == 1 && self.as_it_lies;
        if K::RUNS && !as_it_lies {
            self.clear_rest(tile)?;
        }
        let mut done = 0usize;
        let mut staged = [0i8; STAGE];
        while done < pixels.len() {
            let y = y.get_mut(done.checked_mul(self.channels_out)?..)?;
            let count = K::DENSE.pixels.min(pixels.len() - done);
            done += match as_it_lies {
                true => {
                    let count = count.min(self.width_out.checked_sub(ox)?);
                    self.point(x, (oy, ox), count, y)?;
                    ox += count;
                    if ox == self.width_out {
                        (oy, ox) = (oy + 1, 0);
                    }
                    count
                }
                false => {
                    let mut end = (oy, ox);
                    for group in 0..self.groups {
                        end = self.gather(x, (oy, ox), count, group, tile, &mut staged)?;
                        self.gathered(group, count, tile, y)?;
                    }
                    (oy, ox) = end;
                    count
                }
            };
        }
        Some(())
    }

    /// `count` pixels of one output row, each of which reads one input pixel.
    fn point(
        &self,
        x: InputRows<'_>,
        (oy, ox): (usize, usize),
        count: usize,
        y: &mut [i8],
    ) -> Option<()> {
        let row = x.row(oy.checked_mul(self.rows.stride as usize)?)?;
        let stride = (self.columns.stride as usize).checked_mul(self.channels_in)?;
        let x = K::as_they_lie(row.get(ox.checked_mul(stride)?..)?)?;
        multiply::<K>(x, stride, self.k, count, &self.linear, y, self.channels_out)
    }

    fn gathered(
        &self,
        group: usize,
        count: usize,
        tile: &[K::Activation],
        y: &mut [i8],
    ) -> Option<()> {
        let row = K::DENSE.row(self.k)?;
        let mut linear = self.linear;
        if self.groups > 1 {
            let bytes = K::DENSE.weight_bytes(self.group_out, self.k)?;
            linear = linear.group(group, self.group_out, bytes)?;
        }
        let y = y.get_mut(group.checked_mul(self.group_out)?..)?;
        multiply::<K>(tile, row, row, count, &linear, y, self.channels_out)
    }

    /// Gathers what `count` output pixels from `(oy, ox)` on read of a group, `[kh][kw][in]`
    /// each, and gives the pixel that follows them.
    fn gather(
        &self,
        x: InputRows<'_>,
        (mut oy, mut ox): (usize, usize),
        count: usize,
        group: usize,
        tile: &mut [K::Activation],
        staged: &mut [i8; STAGE],
    ) -> Option<(usize, usize)> {
        if K::RUNS {
            return self.gather_runs(x, (oy, ox), count, group, tile);
        }
        let row = K::DENSE.row(self.k)?;
        if self.staged {
            return self.gather_staged(x, (oy, ox), count, group, (tile, staged));
        }
        let end = ox.checked_add(count)?;
        if self.adjacent
            && self.k == row
            && end <= self.width_out
            && self.columns.contains(ox as u32..end as u32)
        {
            self.gather_inside(x, (oy, ox), count, tile)?;
            return Some(match end == self.width_out {
                true => (oy + 1, 0),
                false => (oy, end),
            });
        }
        for pixel in 0..count {
            self.gather_one(x, (oy, ox), group, pixel, tile)?;
            if self.k < row {
                K::fill(tile, row, pixel, self.k, row - self.k, 0);
            }
            ox += 1;
            if ox == self.width_out {
                (oy, ox) = (oy + 1, 0);
            }
        }
        Some((oy, ox))
    }

    /// The same for one pixel, wherever it lies.
    fn gather_one(
        &self,
        x: InputRows<'_>,
        (oy, ox): (usize, usize),
        group: usize,
        pixel: usize,
        tile: &mut [K::Activation],
    ) -> Option<()> {
        let row = K::DENSE.row(self.k)?;
        let channel = group.checked_mul(self.group_in)?;
        let taps_row = (self.columns.kernel as usize).checked_mul(self.group_in)?;
        let (taps_y, taps_x) = (self.rows.taps(oy as u32), self.columns.taps(ox as u32));
        let inside = taps_x.inside.clone();
        let before = (inside.start as usize).checked_mul(self.group_in)?;
        let len = inside.len().checked_mul(self.group_in)?;
        let after = taps_row.checked_sub(before.checked_add(len)?)?;
        let mut at = 0usize;
        for ky in 0..self.rows.kernel {
            let next = at.checked_add(taps_row)?;
            if !taps_y.inside.contains(&ky) || len == 0 {
                K::fill(tile, row, pixel, at, taps_row, self.zero_point);
                at = next;
                continue;
            }
            let x = x.row(taps_y.position(ky))?;
            if before > 0 {
                K::fill(tile, row, pixel, at, before, self.zero_point);
            }
            if self.adjacent {
                let start = taps_x
                    .position(inside.start)
                    .checked_mul(self.channels_in)?;
                let x = x.get(start..start.checked_add(len)?)?;
                K::put(tile, row, pixel, at + before, x);
            } else {
                let mut at = at + before;
                for kx in inside.clone() {
                    let start = taps_x.position(kx).checked_mul(self.channels_in)?;
                    let start = start.checked_add(channel)?;
                    let x = x.get(start..start.checked_add(self.group_in)?)?;
                    K::put(tile, row, pixel, at, x);
                    at += self.group_in;
                }
            }
            if after > 0 {
                K::fill(tile, row, pixel, at + before + len, after, self.zero_point);
            }
            at = next;
        }
        Some(())
    }
}
