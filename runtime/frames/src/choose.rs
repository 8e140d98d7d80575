//! Which array of a file feeds which input of a model, and whether it fits.

use super::{FramesError, Header};
use sanderling_plan::Dtype;

/// The array that feeds the input `tensor` of `dtype`, of those in `headers`.
///
/// `asked` decides alone where it is given. Else the candidates are, in this order, the
/// array with the tensor's name; where the model has one input only (`single`), `input`,
/// `input_q`, and an array that is the only one of its file. The first candidate of the
/// right dtype is taken, and the first of all where none has it, so that the error which
/// follows speaks about that one.
///
/// # Errors
///
/// [`FramesError::NoArray`] where `asked` is not there, [`FramesError::Ambiguous`] where
/// there is no candidate.
pub fn choose<'a>(
    headers: &'a [Header],
    asked: Option<&str>,
    tensor: &str,
    dtype: Dtype,
    single: bool,
    path: &std::path::Path,
) -> Result<&'a Header, FramesError> {
    let named = |name: &str| headers.iter().find(|h| h.name == name);
    if let Some(asked) = asked {
        return named(asked).ok_or_else(|| FramesError::NoArray {
            path: path.to_owned(),
            wanted: asked.to_owned(),
            have: headers.to_vec(),
        });
    }
    let mut candidates = vec![named(tensor)];
    if single {
        candidates.extend([named("input"), named("input_q")]);
        if let [only] = headers {
            candidates.push(Some(only));
        }
    }
    let candidates: Vec<&Header> = candidates.into_iter().flatten().collect();
    let fitting = candidates.iter().find(|h| h.element.dtype() == Some(dtype));
    match fitting.or(candidates.first()) {
        Some(header) => Ok(header),
        None if single => Err(FramesError::Ambiguous {
            have: headers.to_vec(),
        }),
        None => Err(FramesError::NoArray {
            path: path.to_owned(),
            wanted: tensor.to_owned(),
            have: headers.to_vec(),
        }),
    }
}

/// Whether a frame of shape `frame` is laid out as a tensor of shape `tensor`: the same
/// dimensions in the same order, where axes of length 1, as the batch is, do not count.
pub fn frame_fits(frame: &[usize], tensor: &[usize]) -> bool {
    let long = |shape: &[usize]| {
        shape
            .iter()
            .copied()
            .filter(|&n| n != 1)
            .collect::<Vec<_>>()
    };
    long(frame) == long(tensor)
}
