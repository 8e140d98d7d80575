//! Which chunks of a file are held: one bit each, in storage that the caller brings.
//!
//! ```text
//! byte:   0          1
//! bit:    0 … 7      0 … 7        chunk i is bit i % 8 of byte i / 8; 1 = held
//! ```
//!
//! The bytes can be kept as they are in a journal and read back with [`Held::new`]. Bits past the
//! last chunk mean nothing and are cleared.

use core::fmt;

use heapless::Vec;

use crate::layout::{ChunkRange, Layout};

/// A bitmap of the chunks held, over `[u8; N]`, a slice, or a vector.
#[derive(Clone, Debug)]
pub struct Held<B> {
    bits: B,
    count: u32,
}

/// The storage has fewer than [`Held::bytes_for`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldError;

impl fmt::Display for HeldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the bitmap's storage is too small for this file; use larger chunks or more storage",
        )
    }
}

impl core::error::Error for HeldError {}

impl Held<()> {
    /// The storage that a file needs, in bytes.
    pub const fn bytes_for(layout: &Layout) -> usize {
        layout.count().div_ceil(8) as usize
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Held<B> {
    /// Takes up what `bits` says is held; give zeros to begin.
    pub fn new(mut bits: B, layout: &Layout) -> Result<Held<B>, HeldError> {
        let count = layout.count();
        let bytes = bits.as_mut();
        let used = Held::bytes_for(layout);
        if bytes.len() < used {
            return Err(HeldError);
        }
        let (used, rest) = bytes.split_at_mut(used);
        rest.fill(0);
        if let Some(last) = used.last_mut()
            && !count.is_multiple_of(8)
        {
            *last &= (1 << (count % 8)) - 1;
        }
        Ok(Held { bits, count })
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.bits.as_mut().fill(0);
    }

    /// Marks chunk `index` as held. Returns true when it was not before; an index past the end is ignored.
    pub fn insert(&mut self, index: u32) -> bool {
        if index >= self.count {
            return false;
        }
        let Some(byte) = self.bits.as_mut().get_mut(index as usize / 8) else {
            return false;
        };
        let bit = 1 << (index % 8);
        let new = *byte & bit == 0;
        *byte |= bit;
        new
    }

    /// True when chunk `index` is held.
    pub fn has(&self, index: u32) -> bool {
        index < self.count
            && self
                .bits
                .as_ref()
                .get(index as usize / 8)
                .is_some_and(|b| b >> (index % 8) & 1 == 1)
    }

    /// How many chunks are held.
    pub fn held(&self) -> u32 {
        self.bits.as_ref().iter().map(|b| b.count_ones()).sum()
    }

    /// How many bytes of the file are held.
    pub fn held_bytes(&self, layout: &Layout) -> u64 {
        let whole = self.held() as u64 * layout.chunk_size() as u64;
        let last = layout.count().saturating_sub(1);
        let short = layout.count() as u64 * layout.chunk_size() as u64 - layout.size();
        if self.has(last) {
            whole.saturating_sub(short)
        } else {
            whole
        }
    }

    /// True when every chunk is held.
    pub fn is_complete(&self) -> bool {
        self.held() == self.count
    }

    /// The next chunks to ask for: the lowest that lack, at most `credit` of them, in at most `N` ranges.
    pub fn next_ranges<const N: usize>(&self, credit: u32) -> Vec<ChunkRange, N> {
        let mut ranges = Vec::<ChunkRange, N>::new();
        let mut left = credit;
        let mut index = 0;
        while index < self.count && left > 0 {
            // A whole byte of held chunks is skipped at once.
            if index.is_multiple_of(8) && self.bits.as_ref().get(index as usize / 8) == Some(&0xff)
            {
                index += 8;
                continue;
            }
            if self.has(index) {
                index += 1;
                continue;
            }
            match ranges.last_mut() {
                Some(r) if r.first + r.count == index => r.count += 1,
                _ => {
                    if ranges
                        .push(ChunkRange {
                            first: index,
                            count: 1,
                        })
                        .is_err()
                    {
                        break;
                    }
                }
            }
            left -= 1;
            index += 1;
        }
        ranges
    }

    /// The bytes, for a journal.
    pub fn as_bytes(&self) -> &[u8] {
        self.bits.as_ref()
    }

    /// The storage back.
    pub fn into_bits(self) -> B {
        self.bits
    }
}
