//! Cortex-M55 and its kin: the M-profile vector extension (Helium), integers and floats.
//!
//! The loops are functions of assembly, for Rust does not name these vectors. Each says
//! what memory it touches; what calls it has checked that this lies in its slices.

mod add;
mod conv;
mod dense;
mod depthwise;
mod depthwise_loops;
mod depthwise_plain;
mod moves;
mod sums;

use super::{ConvRow, DepthwiseRow, Kernel, Linear, Rows, Runs};
use sanderling_plan::Target;

pub(super) use add::{add, adds};
pub(super) use sums::add_columns;

/// Weights in groups of four outputs by sixteen values of `k`.
pub(crate) struct Mve;

impl Kernel for Mve {
    type Activation = i8;
    const TARGET: Target = Target::CortexM55;

    const ROWS: usize = usize::MAX;

    fn as_they_lie(x: &[i8]) -> Option<&[i8]> {
        Some(x)
    }

    fn put(tile: &mut [i8], row: usize, pixel: usize, at: usize, x: &[i8]) {
        let start = pixel.wrapping_mul(row).wrapping_add(at);
        if let Some(to) = tile.get_mut(start..start.wrapping_add(x.len())) {
            moves::copy_run(to, x);
        }
    }

    fn fill(tile: &mut [i8], row: usize, pixel: usize, at: usize, count: usize, value: i8) {
        let start = pixel.wrapping_mul(row).wrapping_add(at);
        if let Some(to) = tile.get_mut(start..start.wrapping_add(count)) {
            moves::fill_run(to, value);
        }
    }

    const RUNS: bool = true;

    fn put_runs(to: &mut [i8], runs: &Runs<'_>) -> Option<()> {
        moves::copy_runs(to, runs)
    }

    const WHOLE_ROWS: bool = true;

    fn conv(row: &ConvRow<'_>, scratch: &mut [i8], y: &mut [i8]) -> Option<()> {
        conv::row(row, scratch, y)
    }

    fn dense(rows: Rows<'_, i8>, linear: &Linear<'_>, y: &mut [i8], y_stride: usize) -> Option<()> {
        dense::dense(rows, linear, y, y_stride)
    }

    fn depthwise(row: &DepthwiseRow<'_>, scratch: &mut [u8], y: &mut [i8]) -> Option<()> {
        depthwise::row(row, scratch, y)
    }
}
