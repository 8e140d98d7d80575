//! Tensor records: what a tensor holds and where it lies.
//!
//! ```text
//!  0     1    2     3  4                 28      32     36      40     44     48   50   52  64
//!  ┌─────┬────┬─────┬──┬─────────────────┬───────┬──────┬───────┬──────┬──────┬────┬────┬───┐
//!  │dtype│rank│place│ 0│ dims, 6 × u32   │offset │bytes │ scale │ zero │ name │name│rows│ 0 │
//!  │ u8  │ u8 │ u8  │  │ unused ones are 1│ u32  │ u32  │ f32   │ i32  │ u32  │u16 │u16 │   │
//!  └─────┴────┴─────┴──┴─────────────────┴───────┴──────┴───────┴──────┴──────┴────┴────┴───┘
//! ```

use crate::bytes::{u16_at, u32_at};
use core::fmt;
use core::ops::Range;

/// Record length in bytes.
pub const BYTES: usize = 64;
/// Most dimensions a tensor can have.
pub const MAX_RANK: usize = 6;

/// Byte offsets within a tensor record.
pub mod field {
    /// `u8`, see [`Dtype`](super::Dtype).
    pub const DTYPE: usize = 0;
    /// `u8`, number of dimensions, 0 to 6.
    pub const RANK: usize = 1;
    /// `u8`, 0 in the arena, 1 in the constants.
    pub const PLACE: usize = 2;
    /// `[u32; 6]`; those past the rank are 1.
    pub const DIMS: usize = 4;
    /// `u32`, from the start of the arena or of the constants.
    pub const OFFSET: usize = 28;
    /// `u32`, length in bytes of what is kept.
    pub const LEN: usize = 32;
    /// `f32`, real value of one step.
    pub const SCALE: usize = 36;
    /// `i32`, stored value that stands for real 0.
    pub const ZERO_POINT: usize = 40;
    /// `u32`, from the start of the names.
    pub const NAME: usize = 44;
    /// `u16`, bytes of the name.
    pub const NAME_LEN: usize = 48;
    /// `u16`, rows of an image that are kept while it is streamed; 0: all of them.
    pub const ROWS: usize = 50;
}

/// Index of a tensor in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub u16);

/// Type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Dtype {
    /// Signed 8-bit.
    I8 = 0,
    /// Unsigned 8-bit; only inputs and outputs.
    U8 = 1,
    /// Signed 16-bit.
    I16 = 2,
    /// Signed 32-bit.
    I32 = 3,
    /// IEEE 754 single precision.
    F32 = 4,
}

impl Dtype {
    /// Every dtype.
    pub const ALL: [Dtype; 5] = [Self::I8, Self::U8, Self::I16, Self::I32, Self::F32];

    /// The dtype stored as `byte`.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|d| *d as u8 == byte)
    }

    /// Bytes per element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
        }
    }

    /// Its name in messages, as Rust spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::F32 => "f32",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a tensor's bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the arena that the caller gives.
    Arena,
    /// In the plan's constants.
    Constants,
}

/// Dimensions of a tensor, outermost first.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [u32; MAX_RANK],
    rank: u8,
}

impl Shape {
    /// A shape of up to six dimensions; `None` for more, or when the number of
    /// elements passes 2³¹ - 1.
    pub fn new(dims: &[u32]) -> Option<Self> {
        let mut shape = Shape {
            dims: [1; MAX_RANK],
            rank: u8::try_from(dims.len()).ok()?,
        };
        shape.dims.get_mut(..dims.len())?.copy_from_slice(dims);
        let mut elements = 1u64;
        for &d in dims {
            elements = elements.checked_mul(u64::from(d))?;
            if elements > i32::MAX as u64 {
                return None;
            }
        }
        Some(shape)
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[u32] {
        self.dims
            .get(..usize::from(self.rank))
            .unwrap_or(&self.dims)
    }

    /// Number of elements; 1 for a scalar.
    pub fn elements(&self) -> usize {
        self.dims
            .iter()
            .fold(1usize, |n, &d| n.saturating_mul(d as usize))
    }

    /// The dimensions as batch, height, width, channels; `None` unless there are four.
    pub fn nhwc(&self) -> Option<[u32; 4]> {
        self.dims().try_into().ok()
    }

    /// Length of the last dimension; 1 for a scalar.
    pub fn last(&self) -> u32 {
        let last = usize::from(self.rank).wrapping_sub(1);
        self.dims.get(last).copied().unwrap_or(1)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, d) in self.dims().iter().enumerate() {
            if i > 0 {
                f.write_str("×")?;
            }
            write!(f, "{d}")?;
        }
        if self.rank == 0 {
            f.write_str("scalar")?;
        }
        Ok(())
    }
}

/// One tensor, as its record says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor {
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions in stored order.
    pub shape: Shape,
    /// Arena or constants.
    pub place: Place,
    /// First byte within its place.
    pub offset: u32,
    /// Length in bytes.
    pub bytes: u32,
    /// Real value of one step; 0 for tensors that are not quantized.
    pub scale: f32,
    /// Stored value that stands for real 0.
    pub zero_point: i32,
    /// Rows that are kept of an image `[1][h][w][c]` which one step of a
    /// [stream](crate::step::stream) writes and the next reads row by row; row `r` lies at
    /// `r` modulo this. 0 where the whole tensor is there.
    pub rows: u16,
    pub(crate) name: (u32, u16),
}

impl Tensor {
    /// The bytes it occupies within its place.
    pub fn range(&self) -> Range<usize> {
        let start = self.offset as usize;
        start..start.saturating_add(self.bytes as usize)
    }

    /// Reads a record; `None` where it contradicts itself.
    pub(crate) fn read(record: &[u8]) -> Option<Self> {
        let dtype = Dtype::from_byte(*record.get(field::DTYPE)?)?;
        let rank = usize::from(*record.get(field::RANK)?);
        let place = match record.get(field::PLACE)? {
            0 => Place::Arena,
            1 => Place::Constants,
            _ => return None,
        };
        let mut dims = [1u32; MAX_RANK];
        for (i, dim) in dims.iter_mut().enumerate() {
            *dim = u32_at(record, field::DIMS + 4 * i)?;
            if i >= rank && *dim != 1 {
                return None;
            }
        }
        let shape = Shape::new(dims.get(..rank)?)?;
        let bytes = u32_at(record, field::LEN)?;
        let rows = u16_at(record, field::ROWS)?;
        let kept = match (rows, shape.nhwc()) {
            (0, _) => shape.elements(),
            (rows, Some([1, h, w, c])) if u32::from(rows) <= h => usize::from(rows)
                .checked_mul(w as usize)?
                .checked_mul(c as usize)?,
            _ => return None,
        };
        if kept.checked_mul(dtype.bytes())? != bytes as usize || bytes == 0 {
            return None;
        }
        let offset = u32_at(record, field::OFFSET)?;
        if !(offset as usize).is_multiple_of(crate::ALIGNMENT) {
            return None;
        }
        Some(Tensor {
            dtype,
            shape,
            place,
            offset,
            bytes,
            scale: f32::from_bits(u32_at(record, field::SCALE)?),
            zero_point: u32_at(record, field::ZERO_POINT)? as i32,
            rows,
            name: (
                u32_at(record, field::NAME)?,
                u16_at(record, field::NAME_LEN)?,
            ),
        })
    }
}
