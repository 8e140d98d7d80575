//! 64-bit Arm with dot product (Cortex-A76 and later): four products per 32-bit lane.

mod dense;
mod depthwise;
mod finish;
mod sdot;
mod strip;
mod windows;

use super::{ConvStrip, DepthwiseRow, DepthwiseStrip, Kernel, Linear, Rows, neon};
use sanderling_plan::Target;
use strip::Strip;

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

    /// Few enough that a processor's nearest cache holds them while the weights go by.
    const ROWS: usize = 96;

    fn takes_strip(strip: &ConvStrip<'_>, linear: &Linear<'_>) -> bool {
        let (count, run, outputs) = (strip.count, strip.run, linear.bias.len());
        // A row's last block computes some pixels twice. Gathering, which takes about twelve
        // instructions for each run and two for each sixteen values of it, has no such rest.
        let twice = count.next_multiple_of(strip::PIXELS).saturating_sub(count);
        let cost = twice.saturating_mul(outputs).saturating_mul(run);
        let worth = cost <= count.saturating_mul(run.saturating_mul(2).saturating_add(192));
        worth
            && strip.rows.len() <= strip::ROWS
            && count >= strip::PIXELS
            && run >= 16
            && run.is_multiple_of(Self::DENSE.depth)
            && outputs.is_multiple_of(strip::OUTPUTS)
            && linear.weight_zero_point == 0
    }

    fn conv_strip(strip: &ConvStrip<'_>, linear: &Linear<'_>, y: &mut [i8]) -> Option<()> {
        let all = Strip {
            rows: strip.rows,
            run: strip.run,
            step: strip.step,
            count: strip.count,
            weights: linear.weights,
            bias: linear.bias.as_chunks().0,
            multipliers: linear.multipliers.as_chunks().0,
            requantize: linear.requantize,
        };
        all.outputs(y, linear.bias.len())
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
