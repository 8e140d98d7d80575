//! 64-bit Arm without dot product (Cortex-A53, A72): two products of bytes fit 16 bits.

mod dense;

use super::{DepthwiseRow, DepthwiseStrip, Kernel, Linear, Rows, neon};
use sanderling_plan::Target;

/// Blocks of eight outputs, sixteen weights of each together.
pub(crate) struct Aarch64;

impl Kernel for Aarch64 {
    type Activation = i8;
    const TARGET: Target = Target::Aarch64;

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
        unsafe { neon::depthwise::strip(strip, y) }
    }
}
