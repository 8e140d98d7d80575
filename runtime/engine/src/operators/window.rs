//! Windows over NHWC images: which taps lie inside, and one call per output pixel.

use core::ops::Range;
use sanderling_plan::step::Conv;

/// One axis of a window: kernel, stride, dilation, and padding over `size` positions.
#[derive(Clone, Copy)]
pub(crate) struct Axis {
    pub(crate) size: u32,
    pub(crate) kernel: u32,
    pub(crate) stride: u32,
    pub(crate) dilation: u32,
    pub(crate) pad: u32,
}

/// The taps of one window that lie inside the image.
pub(crate) struct Taps {
    /// Those taps, by their number in the kernel.
    pub(crate) inside: Range<u32>,
    start: i32,
    dilation: i32,
}

impl Axis {
    /// The vertical axis of a convolution's window over `height` rows.
    pub(crate) fn rows(p: &Conv, height: u32) -> Self {
        Axis {
            size: height,
            kernel: p.kernel_h,
            stride: p.stride_h,
            dilation: p.dilation_h,
            pad: p.pad_top,
        }
    }

    /// The horizontal axis of a convolution's window over `width` columns.
    pub(crate) fn columns(p: &Conv, width: u32) -> Self {
        Axis {
            size: width,
            kernel: p.kernel_w,
            stride: p.stride_w,
            dilation: p.dilation_w,
            pad: p.pad_left,
        }
    }

    /// The output positions below `outputs` whose taps all lie inside.
    pub(crate) fn outputs_inside(&self, outputs: u32) -> Range<usize> {
        let stride = self.stride.max(1);
        let reach = self.kernel.saturating_sub(1).saturating_mul(self.dilation);
        // The last input position that a window may start at, counted from the padding.
        let end = match self.size.saturating_add(self.pad).checked_sub(reach) {
            Some(positions) => positions.div_ceil(stride).min(outputs),
            None => 0,
        };
        let start = self.pad.div_ceil(stride).min(end);
        start as usize..end as usize
    }

    /// Whether all taps of the output positions `outputs` lie inside.
    pub(crate) fn contains(&self, outputs: Range<u32>) -> bool {
        let start = |output: u32| output.wrapping_mul(self.stride).wrapping_sub(self.pad) as i32;
        let reach = self.kernel.saturating_sub(1).wrapping_mul(self.dilation) as i32;
        let last = start(outputs.end.wrapping_sub(1)).wrapping_add(reach);
        start(outputs.start) >= 0 && last < self.size as i32
    }

    /// Those of the first `taps` taps of output position `output` that lie inside, however
    /// many the kernel has.
    #[cfg(feature = "cortex-m4")]
    pub(crate) fn inside(&self, output: u32, taps: u32) -> Range<usize> {
        let wide = Axis {
            kernel: taps,
            ..*self
        };
        let inside = wide.taps(output).inside;
        inside.start as usize..inside.end as usize
    }

    /// The position in the image of tap `tap` of output position `output`, where inside.
    pub(crate) fn tap(&self, output: u32, tap: u32) -> Option<usize> {
        let start = output.wrapping_mul(self.stride).wrapping_sub(self.pad);
        let position = start.wrapping_add(tap.wrapping_mul(self.dilation));
        (position < self.size).then_some(position as usize)
    }

    /// The taps of output position `output`. `Plan::new` has bounded every product here
    /// below 2³⁰.
    pub(crate) fn taps(&self, output: u32) -> Taps {
        let start = output.wrapping_mul(self.stride).wrapping_sub(self.pad) as i32;
        let dilation = self.dilation.max(1);
        let before = start.min(0).unsigned_abs();
        let after = (self.size as i32).saturating_sub(start).max(0) as u32;
        let (before, after) = match dilation {
            1 => (before, after),
            _ => (before.div_ceil(dilation), after.div_ceil(dilation)),
        };
        let end = self.kernel.min(after);
        Taps {
            inside: before.min(end)..end,
            start,
            dilation: dilation as i32,
        }
    }
}

impl Taps {
    /// The position in the image of a tap inside it.
    pub(crate) fn position(&self, tap: u32) -> usize {
        self.start
            .wrapping_add((tap as i32).wrapping_mul(self.dilation)) as usize
    }
}

/// An image of a batch.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    x: &'a [i8],
    width: usize,
    channels: usize,
}

impl<'a> Image<'a> {
    /// `count` values from channel `channel` on of the pixel in row `iy`, column `ix`;
    /// they go on into the next pixels of the row.
    pub(super) fn values(
        &self,
        iy: usize,
        ix: usize,
        channel: usize,
        count: usize,
    ) -> Option<&'a [i8]> {
        let pixel = iy.checked_mul(self.width)?.checked_add(ix)?;
        let start = pixel.checked_mul(self.channels)?.checked_add(channel)?;
        self.x.get(start..start.checked_add(count)?)
    }
}

/// Calls `pixel(image, oy, ox, y)` for every output pixel of every image of a batch, in
/// the order of `y`, with the channels of that pixel.
pub(super) fn each_pixel(
    (x, [_, h, w, channels_in]): (&[i8], [u32; 4]),
    (y, [_, out_h, out_w, channels_out]): (&mut [i8], [u32; 4]),
    mut pixel: impl FnMut(Image<'_>, u32, u32, &mut [i8]) -> Option<()>,
) -> Option<()> {
    let (width, channels, outputs) = (w as usize, channels_in as usize, channels_out as usize);
    let image = (h as usize).checked_mul(width)?.checked_mul(channels)?;
    let image_out = (out_h as usize)
        .checked_mul(out_w as usize)?
        .checked_mul(outputs)?;
    // Chunks are paired through `&mut` here and elsewhere: a pair of chunk iterators would
    // divide by both sizes up front, with a panic for a zero that cannot be.
    let mut images = x.chunks_exact(image.max(1));
    for (y, x) in y.chunks_exact_mut(image_out.max(1)).zip(&mut images) {
        let image = Image { x, width, channels };
        let mut pixels = y.chunks_exact_mut(outputs.max(1));
        for oy in 0..out_h {
            for (ox, y) in (0..out_w).zip(&mut pixels) {
                pixel(image, oy, ox, y)?;
            }
        }
    }
    Some(())
}
