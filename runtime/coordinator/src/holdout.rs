//! Holdouts: recorded frames with the right answers, by which versions of a model are compared.
//!
//! A holdout is a `.npz` of numpy:
//!
//! | array | shape | what it holds |
//! |---|---|---|
//! | `label` | N, or N × a frame's answer | class numbers (integers), a map of class numbers, or values in the output's shape |
//! | `slice` (optional) | N | the slice that each frame belongs to: text or integers; without it all belong to `all` |
//! | every other one | N × a frame's input | an input, named as the model's; a model with one input also takes `input` or `input_q` |
//!
//! Scalars and text beside `slice` are notes and are left out.

use std::collections::BTreeMap;

use sanderling_frames::{Array, FramesError, dimensions, read_in_memory};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most frames of a holdout.
pub const MAX_FRAMES: usize = 1_000_000;
/// The most slices.
pub const MAX_SLICES: usize = 256;
/// The longest name of a slice, in characters.
const LONGEST_SLICE: usize = 64;

/// A holdout, unpacked.
#[derive(Debug)]
pub struct Holdout {
    /// Its inputs, each with one frame for each label.
    pub inputs: Vec<Array>,
    /// The right answers.
    pub label: Array,
    /// The names of its slices, sorted.
    pub slices: Vec<String>,
    /// Which slice each frame belongs to.
    pub slice_of: Vec<usize>,
}

/// What a holdout holds, without its elements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Contents {
    /// How many frames.
    pub frames: u64,
    /// The inputs.
    pub inputs: Vec<Field>,
    /// The right answers.
    pub label: Field,
    /// The slices, by name.
    pub slices: Vec<SliceSize>,
}

/// An array of a holdout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub element: String,
    /// Shape of one frame.
    pub shape: Vec<usize>,
}

/// A slice of a holdout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SliceSize {
    /// Its name.
    pub name: String,
    /// How many frames.
    pub frames: u64,
}

/// Why a file is no holdout.
#[derive(Debug, thiserror::Error)]
pub enum HoldoutError {
    /// No file of arrays, or a damaged one.
    #[error(transparent)]
    Frames(#[from] FramesError),
    /// A `.npy`.
    #[error(
        "it is a single array; save inputs and labels together with numpy.savez(FILE, input=…, label=…, slice=…)"
    )]
    OneArray,
    /// No labels.
    #[error(
        "it has no array `label`, only {have}; add the right answers under that name, one for each frame"
    )]
    NoLabel {
        /// What is there.
        have: String,
    },
    /// Nothing to feed.
    #[error("it has no input beside `label` and `slice`; add the frames as `input`")]
    NoInput,
    /// Nothing in it.
    #[error("it has no frames; record some")]
    Empty,
    /// Too much in it.
    #[error("it has {frames} frames, and {MAX_FRAMES} are taken; draw some of them")]
    TooManyFrames {
        /// How many.
        frames: usize,
    },
    /// Arrays do not belong together.
    #[error(
        "`{array}` has {frames} frames (its shape is {shape}), and `label` has {labels}; the first axis of each array counts the frames"
    )]
    Counts {
        /// Which array.
        array: String,
        /// Its frames.
        frames: usize,
        /// Its shape.
        shape: String,
        /// Frames of the labels.
        labels: usize,
    },
    /// Labels that are words.
    #[error(
        "`label` is {element}; give class numbers, counted from 0 as the model's outputs are, or values"
    )]
    LabelIsText {
        /// What it is.
        element: String,
    },
    /// A value that no model has an answer for.
    #[error("`{array}` holds {value} in frame {frame}; clean that frame or leave it out")]
    NotFinite {
        /// Which array.
        array: String,
        /// Which frame, from 0.
        frame: usize,
        /// What it holds.
        value: f64,
    },
    /// Slices that are no names.
    #[error("`slice` is {element} of shape {shape}; give one text or one integer for each frame")]
    SliceKind {
        /// What it is.
        element: String,
        /// Its shape.
        shape: String,
    },
    /// A name that cannot be one.
    #[error(
        "`slice` calls frame {frame} {name:?}; a slice's name is 1 to {LONGEST_SLICE} printable characters"
    )]
    SliceName {
        /// The name.
        name: String,
        /// Which frame, from 0.
        frame: usize,
    },
    /// Too many names.
    #[error(
        "`slice` has {count} different names, and {MAX_SLICES} are taken; it names what frames have in common, not each frame"
    )]
    TooManySlices {
        /// How many.
        count: usize,
    },
}

/// Reads a file that unpacks to no more than `limit` bytes.
pub fn read(bytes: &[u8], limit: u64) -> Result<Holdout, HoldoutError> {
    let arrays = read_in_memory("the holdout", bytes, limit)?;
    if let [array] = arrays.as_slice()
        && array.header.name.is_empty()
    {
        return Err(HoldoutError::OneArray);
    }
    let (mut label, mut slice, mut inputs) = (None, None, Vec::new());
    let names: Vec<String> = arrays
        .iter()
        .map(|a| format!("`{}`", a.header.name))
        .collect();
    for array in arrays {
        match array.header.name.as_str() {
            "label" => label = Some(array),
            "slice" => slice = Some(array),
            _ if array.header.shape.is_empty() || array.header.element.is_text() => {}
            _ => inputs.push(array),
        }
    }
    let label = label.ok_or_else(|| HoldoutError::NoLabel {
        have: match names.as_slice() {
            [] => "nothing".to_owned(),
            names => names.join(", "),
        },
    })?;
    if label.header.element.is_text() {
        let element = label.header.element.to_string();
        return Err(HoldoutError::LabelIsText { element });
    }
    if inputs.is_empty() {
        return Err(HoldoutError::NoInput);
    }
    let frames = match label.header.shape.first() {
        None | Some(0) => return Err(HoldoutError::Empty),
        Some(&frames) if frames > MAX_FRAMES => {
            return Err(HoldoutError::TooManyFrames { frames });
        }
        Some(&frames) => frames,
    };
    for array in inputs.iter().chain(&slice) {
        if array.frames() != frames {
            return Err(HoldoutError::Counts {
                array: array.header.name.clone(),
                frames: array.frames(),
                shape: dimensions(&array.header.shape),
                labels: frames,
            });
        }
    }
    for array in inputs.iter().chain([&label]) {
        check_finite(array)?;
    }
    let (slices, slice_of) = slices(slice.as_ref(), frames)?;
    Ok(Holdout {
        inputs,
        label,
        slices,
        slice_of,
    })
}

/// Integers are always finite.
fn check_finite(array: &Array) -> Result<(), HoldoutError> {
    let is_real = array.integers().is_none();
    let Some(values) = array.reals().filter(|_| is_real) else {
        return Ok(());
    };
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(HoldoutError::NotFinite {
            array: array.header.name.clone(),
            frame: at / (values.len() / array.frames()).max(1),
            value: values.get(at).copied().unwrap_or(f64::NAN),
        }),
    }
}

/// The names, sorted, and each frame's.
fn slices(slice: Option<&Array>, frames: usize) -> Result<(Vec<String>, Vec<usize>), HoldoutError> {
    let Some(slice) = slice else {
        return Ok((vec!["all".to_owned()], vec![0; frames]));
    };
    let numbers = || Some(slice.integers()?.iter().map(i64::to_string).collect());
    let words: Option<Vec<String>> = slice.texts().or_else(numbers);
    let words =
        words
            .filter(|words| words.len() == frames)
            .ok_or_else(|| HoldoutError::SliceKind {
                element: slice.header.element.to_string(),
                shape: dimensions(&slice.header.shape),
            })?;
    for (frame, name) in words.iter().enumerate() {
        let length = name.chars().count();
        if !(1..=LONGEST_SLICE).contains(&length) || name.chars().any(char::is_control) {
            let name = name.chars().take(LONGEST_SLICE).collect();
            return Err(HoldoutError::SliceName { name, frame });
        }
    }
    let mut numbers: BTreeMap<&str, usize> = words.iter().map(|word| (word.as_str(), 0)).collect();
    if numbers.len() > MAX_SLICES {
        let count = numbers.len();
        return Err(HoldoutError::TooManySlices { count });
    }
    for (number, of) in numbers.values_mut().enumerate() {
        *of = number;
    }
    let of = words
        .iter()
        .filter_map(|word| numbers.get(word.as_str()).copied());
    Ok((
        numbers.keys().map(|name| (*name).to_owned()).collect(),
        of.collect(),
    ))
}

impl Holdout {
    /// How many frames.
    pub fn frames(&self) -> usize {
        self.label.frames()
    }

    /// What it holds.
    pub fn contents(&self) -> Contents {
        let field = |array: &Array| Field {
            name: array.header.name.clone(),
            element: array.header.element.to_string(),
            shape: array.header.frame_shape().to_vec(),
        };
        let mut sizes = vec![0; self.slices.len()];
        for &of in &self.slice_of {
            if let Some(size) = sizes.get_mut(of) {
                *size += 1;
            }
        }
        let named = self.slices.iter().zip(sizes);
        Contents {
            frames: self.frames() as u64,
            inputs: self.inputs.iter().map(field).collect(),
            label: field(&self.label),
            slices: named
                .map(|(name, frames)| SliceSize {
                    name: name.clone(),
                    frames,
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
