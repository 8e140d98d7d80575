//! The head of a delta: what it turns into what, and where each block's bytes are.
//!
//! ```text
//!    0  magic "SDLT"        4  format, 1          5  log₂ of the block    6  zeros
//!    8  base size, u32     12  new size, u32     16  size of the delta, u32
//!   20  SHA-256 of the base, 32                  52  SHA-256 of the new file, 32
//!   84  CRC-32 of all before
//!   88  one entry of 8 bytes for each block:
//!         0  where its bytes end, counted from the end of this table, u32
//!         4  CRC-32 of the block as it is in the new file
//!       the blocks' bytes, one after the other
//! ```
//!
//! Little-endian. A block whose bytes are as many as it has in the new file is stored as it is; any other is coded
//! in fewer ([`crate::operation`]). The base's digest is the caller's to compare: it knows what its slot holds.

use core::fmt;
use core::ops::Range;

use crate::crc::crc32;

/// The size of the fixed part of a delta's head, in bytes; the table of blocks follows it.
pub const HEADER_BYTES: usize = 88;
/// The size of a block's entry in the table, in bytes.
pub const ENTRY_BYTES: usize = 8;
/// The smallest block, in bytes.
pub const MIN_BLOCK: u32 = 256;
/// The largest block, in bytes.
pub const MAX_BLOCK: u32 = 64 * 1024;

pub(crate) const MAGIC: [u8; 4] = *b"SDLT";
pub(crate) const FORMAT: u8 = 1;
const AT_CRC: usize = HEADER_BYTES - 4;

/// Why bytes are not the head of a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Another magic, or the CRC is wrong.
    NotADelta,
    /// Whole, but of a format that this program does not read.
    Format(u8),
    /// Whole, but sizes contradict each other.
    Unsound,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderError::NotADelta => f.write_str("the bytes are not a delta; pull the full file"),
            HeaderError::Format(n) => write!(
                f,
                "the delta has format {n}, which is not readable here (this program reads {FORMAT}); pull the full file"
            ),
            HeaderError::Unsound => f.write_str("the delta contradicts itself; pull the full file"),
        }
    }
}

impl core::error::Error for HeaderError {}

/// What a delta says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    pub(crate) block_log: u8,
    pub(crate) base_size: u32,
    pub(crate) new_size: u32,
    pub(crate) size: u32,
    pub(crate) base_digest: [u8; 32],
    pub(crate) new_digest: [u8; 32],
}

/// A block's place in the new file and in the delta, and its checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub index: u32,
    /// Where it begins in the new file.
    pub offset: u32,
    /// How many bytes it has there; at least 1.
    pub length: u32,
    /// Where its bytes are in the delta; at most [`Block::length`] of them.
    pub bytes: Range<u32>,
    pub(crate) crc: u32,
}

impl Delta {
    /// Reads the fixed part of a delta's head.
    pub fn open(bytes: &[u8; HEADER_BYTES]) -> Result<Delta, HeaderError> {
        if bytes[..4] != MAGIC || crc32(0, &bytes[..AT_CRC]) != word(bytes, AT_CRC) {
            return Err(HeaderError::NotADelta);
        }
        if bytes[4] != FORMAT {
            return Err(HeaderError::Format(bytes[4]));
        }
        let block_log = bytes[5];
        let allowed = MIN_BLOCK.ilog2()..=MAX_BLOCK.ilog2();
        let mut delta = Delta {
            block_log,
            base_size: word(bytes, 8),
            new_size: word(bytes, 12),
            size: word(bytes, 16),
            base_digest: [0; 32],
            new_digest: [0; 32],
        };
        delta.base_digest.copy_from_slice(&bytes[20..52]);
        delta.new_digest.copy_from_slice(&bytes[52..84]);
        let sound = allowed.contains(&u32::from(block_log))
            && bytes[6..8] == [0; 2]
            && delta.new_size > 0
            && u64::from(delta.size) >= delta.head_bytes();
        if sound {
            Ok(delta)
        } else {
            Err(HeaderError::Unsound)
        }
    }

    /// The fixed part as stored.
    #[cfg(feature = "make")]
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = FORMAT;
        bytes[5] = self.block_log;
        bytes[8..12].copy_from_slice(&self.base_size.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.new_size.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.size.to_le_bytes());
        bytes[20..52].copy_from_slice(&self.base_digest);
        bytes[52..84].copy_from_slice(&self.new_digest);
        let crc = crc32(0, &bytes[..AT_CRC]);
        bytes[AT_CRC..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The size of every block but the last, in bytes: a power of two.
    pub const fn block(&self) -> u32 {
        1 << self.block_log
    }

    /// How many blocks there are; at least 1.
    pub const fn blocks(&self) -> u32 {
        self.new_size.div_ceil(self.block())
    }

    /// The base's size in bytes.
    pub const fn base_size(&self) -> u32 {
        self.base_size
    }

    /// The new file's size in bytes.
    pub const fn new_size(&self) -> u32 {
        self.new_size
    }

    /// The size of the delta itself, in bytes.
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// SHA-256 of the base.
    pub const fn base_digest(&self) -> &[u8; 32] {
        &self.base_digest
    }

    /// SHA-256 of the new file.
    pub const fn new_digest(&self) -> &[u8; 32] {
        &self.new_digest
    }

    const fn head_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + self.blocks() as u64 * ENTRY_BYTES as u64
    }

    /// Where the entries that tell of block `index` are in the delta: its own, and the one before where there is one.
    pub const fn entry_place(&self, index: u32) -> Option<Range<u32>> {
        if index >= self.blocks() {
            return None;
        }
        // `open` found the whole table within the delta's size.
        let end = HEADER_BYTES as u32 + (index + 1) * ENTRY_BYTES as u32;
        let length = if index == 0 { 1 } else { 2 } * ENTRY_BYTES as u32;
        Some(end - length..end)
    }

    /// What the entries at [`Delta::entry_place`] say about block `index`; nothing where they contradict the head.
    pub fn block_at(&self, index: u32, entries: &[u8]) -> Option<Block> {
        let place = self.entry_place(index)?;
        if entries.len() != place.len() {
            return None;
        }
        let (before, own) = entries.split_at(entries.len() - ENTRY_BYTES);
        let own: &[u8; ENTRY_BYTES] = own.try_into().ok()?;
        let start = match <&[u8; ENTRY_BYTES]>::try_from(before) {
            Ok(before) => word(before, 0),
            Err(_) => 0,
        };
        let end = word(own, 0);
        let head = self.head_bytes() as u32;
        let offset = index * self.block();
        let length = self.block().min(self.new_size - offset);
        let bytes = start.checked_add(head)?..end.checked_add(head)?;
        let sound =
            bytes.start <= bytes.end && bytes.end <= self.size && bytes.end - bytes.start <= length;
        sound.then_some(Block {
            index,
            offset,
            length,
            bytes,
            crc: word(own, 4),
        })
    }
}

/// The little-endian word at `at`, which is a constant inside the array.
fn word<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}
