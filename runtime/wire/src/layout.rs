//! Chunk arithmetic: how a file of some size is cut, and where a received piece belongs.
//!
//! ```text
//! size = 80 KiB, chunk = 32 KiB          count = 3
//! |  chunk 0: 0..32K  |  chunk 1: 32K..64K  |  chunk 2: 64K..80K  |
//! ```

use core::fmt;
use core::ops::Range;

use serde::{Deserialize, Serialize};

/// The smallest chunk, in bytes.
pub const MIN_CHUNK: u32 = 256;
/// The chunk size that is used where nothing else is asked for, in bytes.
pub const DEFAULT_CHUNK: u32 = 32 * 1024;
/// The largest chunk, in bytes.
pub const MAX_CHUNK: u32 = 64 * 1024;

/// Chunks `first .. first + count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRange {
    /// The first chunk.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// A file of `size` bytes cut into chunks. Always holds at least one byte and fewer than 2³² chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    size: u64,
    chunk: u32,
    count: u32,
}

/// Why a size and a chunk size make no layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// The file is empty.
    Empty,
    /// The chunk size is not between [`MIN_CHUNK`] and [`MAX_CHUNK`].
    ChunkSize(u32),
    /// The file would have 2³² chunks or more.
    TooManyChunks,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayoutError::Empty => f.write_str("an empty file has no chunks"),
            LayoutError::ChunkSize(n) => {
                write!(
                    f,
                    "a chunk of {n} bytes is not allowed; choose {MIN_CHUNK} to {MAX_CHUNK}"
                )
            }
            LayoutError::TooManyChunks => {
                f.write_str("the file has too many chunks; choose larger ones")
            }
        }
    }
}

impl core::error::Error for LayoutError {}

/// Why a received piece is not a chunk of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It does not begin where a chunk begins, or begins past the end.
    Offset,
    /// It is shorter or longer than the chunk that begins there.
    Length,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Misfit::Offset => "no chunk of the file begins at this offset; it was dropped",
            Misfit::Length => "the chunk at this offset has another length; it was dropped",
        })
    }
}

impl core::error::Error for Misfit {}

impl Layout {
    /// Cuts a file of `size` bytes into chunks of `chunk` bytes.
    pub const fn new(size: u64, chunk: u32) -> Result<Layout, LayoutError> {
        if size == 0 {
            return Err(LayoutError::Empty);
        }
        if chunk < MIN_CHUNK || chunk > MAX_CHUNK {
            return Err(LayoutError::ChunkSize(chunk));
        }
        let count = size.div_ceil(chunk as u64);
        if count > u32::MAX as u64 {
            return Err(LayoutError::TooManyChunks);
        }
        Ok(Layout {
            size,
            chunk,
            count: count as u32,
        })
    }

    /// The file's size in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The size of every chunk but the last, in bytes.
    pub const fn chunk_size(&self) -> u32 {
        self.chunk
    }

    /// How many chunks there are; at least 1.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The bytes of chunk `index`, or nothing past the last one.
    pub fn range(&self, index: u32) -> Option<Range<u64>> {
        if index >= self.count {
            return None;
        }
        let start = index as u64 * self.chunk as u64;
        Some(start..self.size.min(start + self.chunk as u64))
    }

    /// Which chunk a received piece of `len` bytes at `offset` is.
    pub fn place(&self, offset: u64, len: usize) -> Result<u32, Misfit> {
        let chunk = self.chunk as u64;
        if offset >= self.size || !offset.is_multiple_of(chunk) {
            return Err(Misfit::Offset);
        }
        let expected = chunk.min(self.size - offset);
        if expected != len as u64 {
            return Err(Misfit::Length);
        }
        // offset < size, so the quotient is below `count`, which is a u32.
        Ok((offset / chunk) as u32)
    }

    /// True when the range names only chunks that the file has.
    pub fn contains(&self, range: ChunkRange) -> bool {
        range
            .first
            .checked_add(range.count)
            .is_some_and(|end| end <= self.count)
    }
}
