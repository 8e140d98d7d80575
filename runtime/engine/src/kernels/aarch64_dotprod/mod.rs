//! 64-bit Arm with dot product (Cortex-A76 and later): four products per 32-bit lane.

mod dense;
mod depthwise;
mod sdot;

use super::{DepthwiseRow, DepthwiseStrip, Kernel, Linear, Rows, neon};
use sanderling_plan::Target;

/// Blocks of eight outputs, four weights of each together.
pub(crate) struct Aarch64Dotprod;

impl Kernel for Aarch64Dotprod {
    type Activation = i8;
    const TARGET: Target = Target::Aarch64Dotprod;

    fn as_they_lie(x: &[i8]) -> Option<&[i8]> {
        Some(x)
    }

    #[inline(always)]
    fn put(tile: &mut [i8], row: usize, pixel: usize, at: usize, x: &[i8]) {
        neon::put(tile, row, pixel, at, x);
    }

    #[inline(always)]
    fn put_strip(
        tile: &mut [i8],
        row: usize,
        pixel: usize,
        at: usize,
        x: &[i8],
        strip: [usize; 3],
    ) {
        neon::put_strip(tile, row, pixel, at, x, strip);
    }

    #[inline(always)]
    fn fill(tile: &mut [i8], row: usize, pixel: usize, at: usize, count: usize, value: i8) {
        neon::fill(tile, row, pixel, at, count, value);
    }

    #[allow(unsafe_code, reason = "NEON is there")]
    fn dense(rows: Rows<'_, i8>, linear: &Linear<'_>, y: &mut [i8], y_stride: usize) -> Option<()> {
        // SAFETY: every 64-bit Arm processor that Rust is built for has NEON.
        unsafe { dense::dense(rows, linear, y, y_stride) }
    }

    fn depthwise(row: &DepthwiseRow<'_>, _scratch: &mut [u8], y: &mut [i8]) -> Option<()> {
        neon::depthwise::generic_row(row, y)
    }

    const DEPTHWISE_CHANNELS: usize = 8;

    #[allow(unsafe_code, reason = "NEON is there")]
    fn depthwise_strip(strip: &DepthwiseStrip<'_>, y: &mut [i8]) -> Option<()> {
        // SAFETY: every 64-bit Arm processor that Rust is built for has NEON.
        unsafe {
            if strip.rows.len() == 3 && strip.kernel_w == 3 {
                return match strip.channels < 16 {
                    true => depthwise::three::<true>(strip, y),
                    false => depthwise::three::<false>(strip, y),
                };
            }
            neon::depthwise::strip(strip, y)
        }
    }
}
