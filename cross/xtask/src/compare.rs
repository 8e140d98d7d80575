//! Whether two arrays of outputs are the same.

use anyhow::bail;

use crate::npz::{Array, Dtype};

/// One step of an 8-bit probability.
const SOFTMAX_STEP: f32 = 1.0 / 256.0;

/// An error that names the first frame in which `got` differs from `expected`.
pub fn equal(got: &Array, expected: &Array) -> anyhow::Result<()> {
    if got.dtype != expected.dtype
        || got.frames() != expected.frames()
        || got.bytes.len() != expected.bytes.len()
    {
        bail!(
            "outputs are {} {:?} where {} {:?} was expected",
            got.dtype.name(),
            got.shape,
            expected.dtype.name(),
            expected.shape
        );
    }
    let differing = got
        .bytes
        .iter()
        .zip(&expected.bytes)
        .filter(|(a, b)| a != b)
        .count();
    match got
        .bytes
        .iter()
        .zip(&expected.bytes)
        .position(|(a, b)| a != b)
    {
        None => Ok(()),
        Some(at) => bail!(
            "{differing} of {} output bytes differ, the first in frame {}",
            got.bytes.len(),
            at / got.frame_bytes().max(1)
        ),
    }
}

/// An error unless the arrays are equal or, where the expected ones are probabilities
/// (each frame sums to 1), at most one step of 1/256 apart. Gives the largest difference.
pub fn within_a_softmax_step(got: &Array, expected: &Array) -> anyhow::Result<f32> {
    let Err(differ) = equal(got, expected) else {
        return Ok(0.0);
    };
    let (a, b) = (floats(got), floats(expected));
    if a.len() != b.len() || a.is_empty() {
        return Err(differ);
    }
    let frame = (b.len() / expected.frames().max(1)).max(1);
    if b.chunks(frame)
        .any(|p| (p.iter().sum::<f32>() - 1.0).abs() > 0.05)
    {
        return Err(differ);
    }
    let apart = a
        .iter()
        .zip(&b)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, f32::max);
    // The largest of numbers passes over NaN.
    if a.iter().any(|v| v.is_nan()) || apart > SOFTMAX_STEP * 1.001 {
        return Err(differ.context(format!("up to {apart} apart")));
    }
    Ok(apart)
}

/// The elements of a single-precision array; none for other types.
pub fn floats(array: &Array) -> Vec<f32> {
    if array.dtype != Dtype::F32 {
        return Vec::new();
    }
    array
        .bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(values: &[f32]) -> Array {
        Array {
            dtype: Dtype::F32,
            shape: vec![1, values.len()],
            bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    #[test]
    fn one_step_is_allowed_at_a_softmax_only() {
        let step = 1.0 / 256.0;
        assert!(within_a_softmax_step(&array(&[0.5 + step, 0.5]), &array(&[0.5, 0.5])).is_ok());
        assert!(
            within_a_softmax_step(&array(&[0.5 + 2.0 * step, 0.5]), &array(&[0.5, 0.5])).is_err()
        );
        assert!(within_a_softmax_step(&array(&[3.0 + step, 0.5]), &array(&[3.0, 0.5])).is_err());
        assert!(within_a_softmax_step(&array(&[f32::NAN, 0.5]), &array(&[0.5, 0.5])).is_err());
    }

    #[test]
    fn the_first_differing_frame_is_named() {
        let (a, mut b) = (array(&[1.0, 2.0]), array(&[1.0, 2.0]));
        (b.bytes[5], b.shape) = (9, vec![2, 1]);
        let error = equal(
            &Array {
                shape: vec![2, 1],
                ..a
            },
            &b,
        )
        .unwrap_err()
        .to_string();
        assert!(error.ends_with("frame 1"), "{error}");
    }
}
