//! The download journal: which chunks of which model the spare slot already holds.
//!
//! ```text
//!    0  magic "JRNL"       4  chunk size, u32     8  model size, u32
//!   12  slot (1 A, 2 B)   13  round               14  zeros
//!   16  digest of the model, 32
//!   48  zeros                                     60  CRC-32 of all before
//!   64  one mark of 8 bytes per chunk: all zero once the chunk is in the slot
//! ```
//!
//! A mark is a whole flash word and is written once per journal, so it needs no erase, and a torn one is not a mark:
//! its chunk is pulled again. There is one journal, because there is one update at a time.

use crate::crc::crc32;
use crate::image::{Digest, Slot};

/// The size of a journal's header, in bytes; the marks follow it.
pub const JOURNAL_HEADER_BYTES: usize = 64;
/// The size of one chunk's mark, in bytes.
pub const MARK_BYTES: usize = 8;
/// A mark that is set. Anything else, erased flash included, is none.
pub const MARK: [u8; MARK_BYTES] = [0; MARK_BYTES];

const MAGIC: [u8; 4] = *b"JRNL";
const AT_CHUNK: usize = 4;
const AT_SIZE: usize = 8;
const AT_SLOT: usize = 12;
const AT_ROUND: usize = 13;
const AT_DIGEST: usize = 16;
const AT_CRC: usize = 60;

/// Which download a journal belongs to. One that differs in anything is worthless for this download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalHeader {
    /// The slot that is being filled.
    pub slot: Slot,
    /// The model's digest.
    pub digest: Digest,
    /// The model's size in bytes.
    pub size: u32,
    /// The size of every chunk but the last, in bytes.
    pub chunk_size: u32,
    /// Which download of these bytes it is.
    pub round: u8,
}

impl JournalHeader {
    /// How many chunks there are; 0 where the chunk size is 0.
    pub const fn chunks(&self) -> u32 {
        match self.chunk_size {
            0 => 0,
            size => self.size.div_ceil(size),
        }
    }

    /// Where chunk `index` begins, and how long it is; none past the end.
    pub const fn place(&self, index: u32) -> Option<(u32, u32)> {
        if index >= self.chunks() {
            return None;
        }
        let offset = index * self.chunk_size;
        let rest = self.size - offset;
        Some((
            offset,
            if rest < self.chunk_size {
                rest
            } else {
                self.chunk_size
            },
        ))
    }

    /// The header as stored.
    pub fn encode(&self) -> [u8; JOURNAL_HEADER_BYTES] {
        let mut bytes = [0; JOURNAL_HEADER_BYTES];
        bytes[..AT_CHUNK].copy_from_slice(&MAGIC);
        bytes[AT_CHUNK..AT_SIZE].copy_from_slice(&self.chunk_size.to_le_bytes());
        bytes[AT_SIZE..AT_SLOT].copy_from_slice(&self.size.to_le_bytes());
        bytes[AT_SLOT] = self.slot.index() as u8 + 1;
        bytes[AT_ROUND] = self.round;
        bytes[AT_DIGEST..AT_DIGEST + 32].copy_from_slice(&self.digest);
        let crc = crc32(&bytes[..AT_CRC]);
        bytes[AT_CRC..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The size of a chunk in a stored header, which may be anything: [`JournalHeader::is_at`] tells whether it counts.
    pub fn chunk_size_of(bytes: &[u8; JOURNAL_HEADER_BYTES]) -> u32 {
        let mut word = [0; 4];
        word.copy_from_slice(&bytes[AT_CHUNK..AT_SIZE]);
        u32::from_le_bytes(word)
    }

    /// True where `bytes` are exactly this header: only then do the marks behind it count.
    pub fn is_at(&self, bytes: &[u8; JOURNAL_HEADER_BYTES]) -> bool {
        self.encode() == *bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_chunk_is_short() {
        let header = JournalHeader {
            slot: Slot::A,
            digest: [0; 32],
            size: 80,
            chunk_size: 32,
            round: 0,
        };
        assert_eq!(header.chunks(), 3);
        assert_eq!(header.place(0), Some((0, 32)));
        assert_eq!(header.place(2), Some((64, 16)));
        assert_eq!(header.place(3), None);
    }

    #[test]
    fn a_journal_of_another_round_or_model_is_not_taken() {
        let header = JournalHeader {
            slot: Slot::B,
            digest: [7; 32],
            size: 80,
            chunk_size: 32,
            round: 0,
        };
        assert!(header.is_at(&header.encode()));
        assert!(!JournalHeader { round: 1, ..header }.is_at(&header.encode()));
        assert!(
            !JournalHeader {
                slot: Slot::A,
                ..header
            }
            .is_at(&header.encode())
        );
        assert!(!header.is_at(&[0xFF; JOURNAL_HEADER_BYTES]));
    }
}
