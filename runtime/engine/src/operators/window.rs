//! Where a window over an image reaches inside it.

use core::ops::Range;

/// One axis of a window: kernel, stride, dilation, and padding over `size` positions.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    pub(super) size: u32,
    pub(super) kernel: u32,
    pub(super) stride: u32,
    pub(super) dilation: u32,
    pub(super) pad: u32,
}

/// The taps of one window that lie inside the image.
pub(super) struct Taps {
    /// Those taps, by their number in the kernel.
    pub(super) inside: Range<u32>,
    start: i32,
    dilation: i32,
}

impl Axis {
    /// The taps of output position `output`. `Plan::new` has bounded every product here
    /// below 2³⁰.
    pub(super) fn taps(&self, output: u32) -> Taps {
        let start = output.wrapping_mul(self.stride).wrapping_sub(self.pad) as i32;
        let dilation = self.dilation.max(1);
        let before = (start.min(0).unsigned_abs()).div_ceil(dilation);
        let after = (self.size as i32).saturating_sub(start).max(0) as u32;
        let end = self.kernel.min(after.div_ceil(dilation));
        Taps {
            inside: before.min(end)..end,
            start,
            dilation: dilation as i32,
        }
    }
}

impl Taps {
    /// The position in the image of a tap inside it.
    pub(super) fn position(&self, tap: u32) -> usize {
        self.start
            .wrapping_add((tap as i32).wrapping_mul(self.dilation)) as usize
    }
}
