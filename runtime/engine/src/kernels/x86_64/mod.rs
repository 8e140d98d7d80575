//! x86-64: one packing, three widths of vectors, chosen by what the processor has.

/// Whether the processor has all features: as it says itself, or without `std` as far as the
/// build is for such processors only.
macro_rules! detect {
    ($($feature:tt),*) => {{
        #[cfg(any(test, feature = "std"))]
        let all = $(std::is_x86_feature_detected!($feature))&&*;
        #[cfg(not(any(test, feature = "std")))]
        let all = cfg!(all($(target_feature = $feature),*));
        all
    }};
}

mod add;
mod avx2;
mod avx512;
mod depthwise;
mod sse2;
#[cfg(test)]
mod tests;
mod tiles;

use super::{DepthwiseRow, Isa, Kernel, Linear, Rows, Windows, generic};
use crate::numerics::Sum;
use depthwise::Depthwise;
use sanderling_plan::Target;

/// The widest loops that this processor runs.
pub(super) fn widest() -> Isa {
    match (avx2::detected(), avx512::detected()) {
        (true, true) => Isa::Avx512,
        (true, false) => Isa::Avx2,
        _ => Isa::Sse2,
    }
}

/// `y = a + b`, each as `sum` says.
#[allow(unsafe_code, reason = "compiled for features that were detected")]
pub(super) fn add(isa: Isa, sum: &Sum, y: &mut [i8], a: &[i8], b: &[i8]) {
    match isa {
        // SAFETY: `widest` gives this only where the processor has the features.
        Isa::Avx512 => unsafe { add::avx512(sum, y, a, b) },
        // SAFETY: as above.
        Isa::Avx2 => unsafe { add::avx2(sum, y, a, b) },
        _ => sum.run(y, a, b),
    }
}

/// `acc[i] += x[i]`.
#[allow(unsafe_code, reason = "compiled for features that were detected")]
pub(super) fn accumulate(isa: Isa, acc: &mut [i32], x: &[i8]) {
    match isa {
        // SAFETY: `widest` gives these only where the processor has AVX2.
        Isa::Avx512 | Isa::Avx2 => unsafe { avx2::accumulate(acc, x) },
        _ => generic::accumulate(acc, x),
    }
}

/// A [`Kernel`] over the functions of a file here, which are compiled for features that
/// the processor must have.
macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident, $file:ident, $speed:literal) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl Kernel for $name {
            type Activation = i8;
            const TARGET: Target = Target::X86_64;
            const SPEED: usize = $speed;
            const ROWS: usize = usize::MAX;
            const READS_WINDOWS: bool = true;

            fn as_they_lie(x: &[i8]) -> Option<&[i8]> {
                Some(x)
            }

            fn put(tile: &mut [i8], row: usize, pixel: usize, at: usize, x: &[i8]) {
                generic::put_row(tile, row, pixel, at, x);
            }

            fn fill(
                tile: &mut [i8],
                row: usize,
                pixel: usize,
                at: usize,
                count: usize,
                value: i8,
            ) {
                generic::fill_row(tile, row, pixel, at, count, value);
            }

            #[allow(unsafe_code, reason = "compiled for features that were detected")]
            fn dense(
                rows: Rows<'_, i8>,
                linear: &Linear<'_>,
                y: &mut [i8],
                y_stride: usize,
            ) -> Option<()> {
                let windows = tiles::windows(&rows);
                // SAFETY: `widest` chose these loops because the processor has what the
                // function is compiled for.
                unsafe { $file::multiply(&windows, rows.corrections, linear, y, y_stride) }
            }

            #[allow(unsafe_code, reason = "compiled for features that were detected")]
            fn windows(
                windows: &Windows<'_>,
                linear: &Linear<'_>,
                y: &mut [i8],
                y_stride: usize,
            ) -> Option<()> {
                // SAFETY: `widest` chose these loops because the processor has what the
                // function is compiled for.
                unsafe { $file::multiply(windows, &[], linear, y, y_stride) }
            }

            fn fill_up(weights: &[i8], runs: usize, run: usize, to: &mut [i8]) -> Option<()> {
                tiles::fill_up(weights, runs, run, to)
            }

            fn depthwise_start(row: &DepthwiseRow<'_>, scratch: &mut [u8]) -> Option<()> {
                depthwise::start(row, scratch)
            }

            #[allow(unsafe_code, reason = "compiled for features that were detected")]
            fn depthwise(row: &DepthwiseRow<'_>, scratch: &mut [u8], y: &mut [i8]) -> Option<()> {
                let pixels = y.len() / row.outputs.max(1);
                match Depthwise::of(row, scratch).filter(|step| step.reaches(pixels)) {
                    // SAFETY: `widest` chose these loops because the processor has what
                    // the function is compiled for.
                    Some(step) => unsafe { $file::depthwise_row(step, y) },
                    None => generic::depthwise_row(row, y),
                }
            }
        }
    };
}

kernel!(
    /// Multiplies with `vpdpbusd` on vectors of 512 bits.
    Avx512,
    avx512,
    150
);
kernel!(
    /// Multiplies with `vpmaddwd` on vectors of 256 bits.
    Avx2,
    avx2,
    40
);
kernel!(
    /// Multiplies with `pmaddwd` on vectors of 128 bits, which every x86-64 has.
    Sse2,
    sse2,
    15
);
