//! Refuses NaN and infinity before they become an answer.

use crate::TensorInfo;
use sanderling_plan::Dtype;

/// A float input that holds a value no model has an answer for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("input `{input}` is {value} at index {index:?}; clean the frame or drop it")]
pub struct NotFinite {
    /// Name of the input.
    pub input: String,
    /// Where, in the input's shape.
    pub index: Vec<usize>,
    /// NaN or an infinity.
    pub value: f32,
}

/// Checks the bytes of a frame for the input `info`; integers are always finite.
///
/// # Errors
///
/// The first element that is NaN or infinite.
pub fn check_finite(info: &TensorInfo, bytes: &[u8]) -> Result<(), NotFinite> {
    if info.dtype != Dtype::F32 {
        return Ok(());
    }
    let words = bytes.as_chunks::<4>().0;
    // The fold has no branch in its loop, so that the usual case is quick.
    if words.iter().fold(true, |all, word| {
        all & f32::from_le_bytes(*word).is_finite()
    }) {
        return Ok(());
    }
    let values = words.iter().map(|word| f32::from_le_bytes(*word));
    match values.enumerate().find(|(_, value)| !value.is_finite()) {
        Some((at, value)) => Err(NotFinite {
            input: info.name.clone(),
            index: unravel(at, &info.shape),
            value,
        }),
        None => Ok(()),
    }
}

/// The index of element `at` in an array of that shape.
fn unravel(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&len| {
            let i = at % len.max(1);
            at /= len.max(1);
            i
        })
        .collect();
    index.reverse();
    index
}
