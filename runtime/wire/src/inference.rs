//! One result: what a model said about one frame.

use core::fmt;

use heapless::Vec;
use serde::{Deserialize, Serialize, Serializer};

use crate::digest::Digest;
use crate::envelope::Message;

/// The most dimensions of a raw output.
pub const MAX_DIMS: usize = 6;

/// The most bytes of a raw output.
pub const MAX_RAW_OUTPUT: usize = 16 * 1024;

/// The most classes of a row of which a result names the best one.
pub const MAX_CLASSES_OF_ROW: usize = 1 << 16;

/// An output that no result holds, neither as its best class nor as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsendable {
    /// Its dimensions.
    pub dims: usize,
    /// Its bytes.
    pub bytes: usize,
}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "its output has {} bytes in {} dimensions, and a result holds {MAX_RAW_OUTPUT} in {MAX_DIMS}: an agent \
             refuses this model; end it with a smaller output, such as an ArgMax over the classes",
            self.bytes, self.dims
        )
    }
}

impl core::error::Error for Unsendable {}

/// True for a row of classes, of which a result can name the best one.
pub fn is_row_of_classes(dims: impl IntoIterator<Item = usize>) -> bool {
    let mut axes = dims.into_iter().filter(|&dim| dim != 1);
    let (classes, more) = (axes.next().unwrap_or(1), axes.next());
    more.is_none() && classes <= MAX_CLASSES_OF_ROW
}

/// True where a result can hold an output as it is.
pub const fn fits_raw(dims: usize, bytes: usize) -> bool {
    bytes <= MAX_RAW_OUTPUT && dims <= MAX_DIMS
}

/// Whether a result of an agent with default settings can hold an output with these dimensions and bytes.
pub fn sendable(dims: &[usize], bytes: usize) -> Result<(), Unsendable> {
    let row = is_row_of_classes(dims.iter().copied());
    if row || fits_raw(dims.len(), bytes) {
        return Ok(());
    }
    Err(Unsendable {
        dims: dims.len(),
        bytes,
    })
}

/// The number of a frame, unique for its robot across restarts.
///
/// `seq` is given where the frame enters the robot, so a gap in it is a frame that was dropped.
/// `boot` is stored and raised at each start; where the store was lost it begins at a random number, because one that
/// was used before would make new results look like old ones. What tells starts apart for certain is the
/// [`crate::RunId`] beside the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FrameId {
    /// The robot's boot counter.
    pub boot: u32,
    /// The frame's place since that boot, from 0 to [`FrameId::MAX_SEQ`].
    pub seq: u64,
}

impl FrameId {
    /// The largest `seq`: every number up to it is exact in JSON and in SQL too.
    pub const MAX_SEQ: u64 = (1 << 53) - 1;
}

/// The type of a raw output's elements, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dtype {
    /// Signed, 1 byte.
    I8,
    /// Unsigned, 1 byte.
    U8,
    /// Signed, 2 bytes.
    I16,
    /// Signed, 4 bytes.
    I32,
    /// IEEE 754, 4 bytes.
    F32,
}

impl Dtype {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Dtype::I8 | Dtype::U8 => 1,
            Dtype::I16 => 2,
            Dtype::I32 | Dtype::F32 => 4,
        }
    }
}

/// What the model said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Output<'a> {
    /// The best class.
    Class {
        /// Its index.
        top: u16,
        /// Its output, dequantized; a probability where the model ends in a softmax.
        confidence: f32,
    },
    /// The output tensor itself.
    Raw {
        /// The type of its elements.
        dtype: Dtype,
        /// Its shape.
        shape: Vec<u32, MAX_DIMS>,
        /// Its bytes, row-major, little-endian.
        #[serde(borrow, serialize_with = "as_bytes")]
        data: &'a [u8],
    },
}

pub(crate) fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// One result of one robot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inference<'a> {
    /// The frame.
    pub frame: FrameId,
    /// SHA-256 of the model file that answered.
    pub model: Digest,
    /// When the source says the frame was taken, in µs since 1970; 0 when it does not say.
    pub taken_us: u64,
    /// From the frame's entry into the queue to its output, in µs.
    pub latency_us: u32,
    /// The class that the recording itself names, for sources that carry labels.
    pub truth: Option<u16>,
    /// What the model said.
    #[serde(borrow)]
    pub output: Output<'a>,
}

impl<'a> Message<'a> for Inference<'a> {
    const MAX_LEN: usize = MAX_RAW_OUTPUT + 256;

    fn is_sound(&self) -> bool {
        if self.frame.seq > FrameId::MAX_SEQ {
            return false;
        }
        match &self.output {
            Output::Class { .. } => true,
            Output::Raw { dtype, shape, data } => {
                let bytes = shape
                    .iter()
                    .try_fold(dtype.size(), |n, &d| n.checked_mul(d as usize));
                data.len() <= MAX_RAW_OUTPUT && bytes == Some(data.len())
            }
        }
    }
}
