//! Recorded frames: arrays in `.npy` and `.npz` files, as numpy reads and writes them.
//!
//! The first axis of an array counts its frames; the rest is the shape of one frame.
//! Arrays are kept as their little-endian bytes in C order, which is what a model's
//! input takes.
#![forbid(unsafe_code)]

mod choose;
mod error;
mod npy;
mod npz;
mod text;

pub use choose::{choose, frame_fits};
pub use error::FramesError;
pub use npy::{read_npy, write_npy};
pub use npz::{is_npy, list, read, read_all, read_in_memory, to_bytes, write_npz};

use sanderling_plan::Dtype;
use std::fmt;

/// Type of an array's elements, of those that numpy writes and a robot's recordings use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// One that models take.
    Model(Dtype),
    /// `bool`, one byte.
    Bool,
    /// `u16`.
    U16,
    /// `u32`.
    U32,
    /// `i64`, numpy's default for integers and so for labels.
    I64,
    /// `u64`.
    U64,
    /// `f64`, numpy's default for reals.
    F64,
    /// Text of up to so many characters, which numpy keeps in 4 bytes each.
    Unicode(usize),
    /// Text of up to so many bytes.
    Ascii(usize),
    /// Anything else, under numpy's name for it; its arrays are listed but not read.
    Other(String),
}

impl Element {
    /// Bytes per element; `None` where it is not known.
    pub fn bytes(&self) -> Option<usize> {
        match self {
            Self::Model(dtype) => Some(dtype.bytes()),
            Self::Bool => Some(1),
            Self::U16 => Some(2),
            Self::U32 => Some(4),
            Self::I64 | Self::U64 | Self::F64 => Some(8),
            Self::Unicode(len) => len.checked_mul(4),
            Self::Ascii(len) => Some(*len),
            Self::Other(_) => None,
        }
    }

    /// Whether it is text.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Unicode(_) | Self::Ascii(_))
    }

    /// The dtype of a model's tensor that holds the same bytes.
    pub fn dtype(&self) -> Option<Dtype> {
        match self {
            Self::Model(dtype) => Some(*dtype),
            _ => None,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(dtype) => fmt::Display::fmt(dtype, f),
            Self::Bool => f.write_str("bool"),
            Self::U16 => f.write_str("u16"),
            Self::U32 => f.write_str("u32"),
            Self::I64 => f.write_str("i64"),
            Self::U64 => f.write_str("u64"),
            Self::F64 => f.write_str("f64"),
            Self::Unicode(len) => write!(f, "text of {len} characters"),
            Self::Ascii(len) => write!(f, "text of {len} bytes"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// What a file says about one of its arrays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Name inside a `.npz`; empty for the one array of a `.npy`.
    pub name: String,
    /// Type of its elements.
    pub element: Element,
    /// Dimensions, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
}

impl Header {
    /// Frames in it: the length of the first axis, 1 for a scalar.
    pub fn frames(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Shape of one frame.
    pub fn frame_shape(&self) -> &[usize] {
        self.shape.get(1..).unwrap_or(&[])
    }
}

/// An array: its header and its little-endian bytes in C order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// Name, element type, shape.
    pub header: Header,
    bytes: Vec<u8>,
}

impl Array {
    /// An array over `bytes`, little-endian and in C order.
    ///
    /// # Errors
    ///
    /// [`FramesError::Length`] unless there are exactly as many bytes as the header says.
    pub fn new(header: Header, bytes: Vec<u8>) -> Result<Self, FramesError> {
        if npy::length(&header) == Some(bytes.len()) {
            Ok(Array { header, bytes })
        } else {
            Err(FramesError::Length {
                have: bytes.len(),
                header: Box::new(header),
            })
        }
    }

    /// An array of model elements.
    ///
    /// # Errors
    ///
    /// As [`Array::new`].
    pub fn of(
        name: &str,
        dtype: Dtype,
        shape: Vec<usize>,
        bytes: Vec<u8>,
    ) -> Result<Self, FramesError> {
        Array::new(
            Header {
                name: name.to_owned(),
                element: Element::Model(dtype),
                shape,
            },
            bytes,
        )
    }

    /// Frames in it.
    pub fn frames(&self) -> usize {
        self.header.frames()
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of frame `index`; `None` past the last.
    pub fn frame(&self, index: usize) -> Option<&[u8]> {
        if index >= self.frames() {
            return None;
        }
        let len = self.bytes.len() / self.frames();
        self.bytes.get(index * len..(index + 1) * len)
    }

    /// All elements as integers, for labels; `None` for reals.
    pub fn integers(&self) -> Option<Vec<i64>> {
        fn each<const N: usize>(bytes: &[u8], one: impl Fn([u8; N]) -> i64) -> Vec<i64> {
            bytes
                .as_chunks::<N>()
                .0
                .iter()
                .map(|word| one(*word))
                .collect()
        }
        Some(match &self.header.element {
            Element::Model(Dtype::I8) => each(&self.bytes, |b| i8::from_le_bytes(b).into()),
            Element::Model(Dtype::U8) | Element::Bool => {
                each(&self.bytes, |b| u8::from_le_bytes(b).into())
            }
            Element::Model(Dtype::I16) => each(&self.bytes, |b| i16::from_le_bytes(b).into()),
            Element::Model(Dtype::I32) => each(&self.bytes, |b| i32::from_le_bytes(b).into()),
            Element::U16 => each(&self.bytes, |b| u16::from_le_bytes(b).into()),
            Element::U32 => each(&self.bytes, |b| u32::from_le_bytes(b).into()),
            Element::I64 => each(&self.bytes, i64::from_le_bytes),
            Element::U64 => each(&self.bytes, |b| u64::from_le_bytes(b).cast_signed()),
            Element::Model(Dtype::F32)
            | Element::F64
            | Element::Unicode(_)
            | Element::Ascii(_)
            | Element::Other(_) => return None,
        })
    }

    /// All elements as reals, integers among them; `None` for text.
    pub fn reals(&self) -> Option<Vec<f64>> {
        let words = |bytes: &[u8]| bytes.as_chunks::<4>().0.to_vec();
        let doubles = |bytes: &[u8]| bytes.as_chunks::<8>().0.to_vec();
        match &self.header.element {
            Element::Model(Dtype::F32) => {
                let value = |word| f64::from(f32::from_le_bytes(word));
                Some(words(&self.bytes).into_iter().map(value).collect())
            }
            Element::F64 => Some(
                doubles(&self.bytes)
                    .into_iter()
                    .map(f64::from_le_bytes)
                    .collect(),
            ),
            _ => Some(self.integers()?.into_iter().map(|n| n as f64).collect()),
        }
    }

    /// All elements as text, without numpy's padding; `None` for numbers.
    pub fn texts(&self) -> Option<Vec<String>> {
        text::texts(&self.header, &self.bytes)
    }

    /// Integers of any width in 32 bits, as models take indices; `None` for reals, and where
    /// one does not fit.
    pub fn narrowed(&self) -> Option<Array> {
        let bytes: Vec<u8> = self
            .integers()?
            .into_iter()
            .map(|value| i32::try_from(value).ok().map(i32::to_le_bytes))
            .collect::<Option<Vec<_>>>()?
            .concat();
        let header = Header {
            element: Element::Model(Dtype::I32),
            ..self.header.clone()
        };
        Array::new(header, bytes).ok()
    }

    /// The array with its axes in the order that `axes` names, as numpy's `transpose`.
    ///
    /// # Errors
    ///
    /// [`FramesError::Axes`] unless `axes` names each axis exactly once.
    pub fn permuted(&self, axes: &[usize]) -> Result<Array, FramesError> {
        let rank = self.header.shape.len();
        let mut seen = vec![false; rank];
        let each_once = axes.len() == rank
            && axes
                .iter()
                .all(|&a| seen.get_mut(a).is_some_and(|s| !std::mem::replace(s, true)));
        let Some(element) = self.header.element.bytes().filter(|_| each_once) else {
            return Err(FramesError::Axes {
                axes: axes.to_vec(),
                rank,
            });
        };
        let mut strides = vec![element; rank];
        for axis in (1..rank).rev() {
            strides[axis - 1] = strides[axis] * self.header.shape[axis];
        }
        let order: Vec<(usize, usize)> = axes
            .iter()
            .map(|&a| (self.header.shape[a], strides[a]))
            .collect();
        let mut header = self.header.clone();
        header.shape = order.iter().map(|&(len, _)| len).collect();
        Ok(Array {
            header,
            bytes: gather(&self.bytes, element, &order),
        })
    }
}

/// Collects elements of `element` bytes in the order that pairs of length and byte
/// stride give, the last pair fastest. Every index they reach lies inside `bytes`.
fn gather(bytes: &[u8], element: usize, order: &[(usize, usize)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = vec![0usize; order.len()];
    let mut at = 0;
    while out.len() < bytes.len() {
        out.extend_from_slice(&bytes[at..at + element]);
        for (i, &(len, stride)) in order.iter().enumerate().rev() {
            index[i] += 1;
            at += stride;
            if index[i] < len {
                break;
            }
            at -= stride * len;
            index[i] = 0;
        }
    }
    out
}

/// `3×32×32`, or `scalar`, for messages.
pub fn dimensions(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "scalar".to_owned();
    }
    shape
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join("×")
}
