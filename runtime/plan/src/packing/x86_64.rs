//! What the kernels for x86-64 read: `vpdpbusd` multiplies four unsigned bytes with four
//! signed ones in each of 16 lanes, one lane per output. The kernels for processors without
//! it read the same.

use super::{Dense, Layout};
use crate::step::Conv;

pub(super) const DENSE: Dense = Dense {
    outputs: 16,
    depth: 4,
    pixels: 8,
    activation_bytes: 1,
    activation_offset: 128,
    header: 0,
    padded_rows: false,
    ragged: false,
    layout: Layout::Rows,
};

/// Blocks of outputs whose weights are filled up together.
const FILLED: usize = 4;

/// Output channels that a depthwise kernel computes together.
const CHANNELS: usize = 16;

/// Room for what depthwise kernels interleave, sixteen channels by sixteen: the weights of
/// each kernel column, the bias, and each column of the input rows under the kernel with
/// their padding; kernel rows by fours. Then a row of padding.
pub(super) const fn depthwise_scratch_bytes(
    parameters: &Conv,
    width: usize,
    channels: usize,
) -> Option<usize> {
    let Some([_, columns]) = parameters.padded(0, width) else {
        return None;
    };
    let Some(columns) = columns.checked_add(parameters.kernel_w as usize) else {
        return None;
    };
    let fours = (parameters.kernel_h as usize).div_ceil(4);
    let Some(vectors) = columns.checked_mul(fours) else {
        return None;
    };
    let Some(vectors) = vectors.checked_add(1) else {
        return None;
    };
    let Some(vectors) = vectors.checked_mul(channels.div_ceil(CHANNELS)) else {
        return None;
    };
    match (
        vectors.checked_mul(4 * CHANNELS),
        width.checked_mul(channels),
    ) {
        (Some(vectors), Some(row)) => vectors.checked_add(row),
        _ => None,
    }
}

/// A copy of the image with its padding, and where rows of a window are no whole number of
/// fours, weights of so many blocks of outputs with every row filled up to one.
pub(super) const fn padded_image_bytes(
    parameters: &Conv,
    height: usize,
    width: usize,
    channels: usize,
) -> Option<usize> {
    if parameters.groups != 1 || parameters.dilation_w != 1 || parameters.weight_zero_point != 0 {
        return Some(0);
    }
    let Some([height, width]) = parameters.padded(height, width) else {
        return None;
    };
    let Some(pixels) = height.checked_mul(width) else {
        return None;
    };
    let Some(image) = pixels.checked_mul(channels) else {
        return None;
    };
    let Some(run) = channels.checked_mul(parameters.kernel_w as usize) else {
        return None;
    };
    if run.is_multiple_of(DENSE.depth) {
        return Some(image);
    }
    let Some(weights) = run
        .div_ceil(DENSE.depth)
        .checked_mul(parameters.kernel_h as usize)
    else {
        return None;
    };
    match weights.checked_mul(FILLED * DENSE.outputs * DENSE.depth) {
        // The image's last row is read up to a whole number of fours, too.
        Some(weights) => match image.checked_next_multiple_of(16) {
            Some(image) => weights.checked_add(16 + image),
            None => None,
        },
        None => None,
    }
}
