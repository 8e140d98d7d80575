//! What Cortex-M4's kernels read.
//!
//! `smlad` multiplies two halves of 16 bits, but weights have 8: a half holds the weights
//! of *two* outputs for one activation, `256 · b + (a + 128)`. The sum over halves is
//! `256 · B + A'`, the sum over their low bytes alone is `A'`, so that one instruction
//! (`uxtb16`) for four weights takes the two apart, where widening each would need two:
//!
//! ```text
//! [⌈out / 2⌉][⌈k / 4⌉][a0+128, b0, a2+128, b2, a1+128, b1, a3+128, b3]
//! ```
//!
//! Activations are widened in pairs (0, 2) and (1, 3), as `sxtb16` gives them.

use super::{Dense, Layout};
use crate::step::Conv;

/// The blocking of the dense kernels.
pub(super) const DENSE: Dense = Dense {
    outputs: 2,
    depth: 4,
    pixels: 3,
    activation_bytes: 2,
    activation_offset: 0,
    header: 0,
    padded_rows: false,
    ragged: false,
    layout: Layout::Lanes,
};

/// Output pixels of a row for which depthwise kernels widen their input at a time.
const PIXELS: usize = 24;

/// Four channels of the weights, and of the input under some output pixels, widened.
pub(super) const fn depthwise_scratch_bytes(p: &Conv, width: usize) -> Option<usize> {
    let (kh, kw) = (p.kernel_h as usize, p.kernel_w as usize);
    // As many pixels as there are input columns, at most; their windows; and one tap more
    // for an even number, of the weights and of the input.
    let pixels = if width < PIXELS { width } else { PIXELS };
    let Some(columns) = pixels.checked_mul(p.stride_w as usize) else {
        return None;
    };
    let Some(columns) = columns.checked_add(kw) else {
        return None;
    };
    let Some(columns) = columns.checked_add(kw) else {
        return None;
    };
    match columns.checked_mul(kh) {
        Some(taps) => match taps.checked_add(2) {
            Some(taps) => taps.checked_mul(8),
            None => None,
        },
        None => None,
    }
}

/// Brings the last block, two rows of four weights, in order.
#[cfg(feature = "writer")]
pub(super) fn interleave(packed: &mut [i8]) {
    let Some((_, block)) = packed.split_last_chunk_mut::<8>() else {
        return;
    };
    let [a0, a1, a2, a3, b0, b1, b2, b3] = *block;
    let low = |weight: i8| weight ^ i8::MIN;
    *block = [low(a0), b0, low(a2), b2, low(a1), b1, low(a3), b3];
}
