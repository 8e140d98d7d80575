//! Where records, journal and slots lie on a flash.

use core::fmt;

use super::MAX_WRITE;
use crate::journal::{JOURNAL_HEADER_BYTES, MARK_BYTES};
use crate::record::RECORD_BYTES;

/// A range of a flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where it begins.
    pub start: u32,
    /// How many bytes it has.
    pub length: u32,
}

impl Region {
    /// The first byte behind it.
    pub const fn end(&self) -> u32 {
        self.start + self.length
    }

    /// The place on the flash of `length` bytes at `offset`, where all of them are within.
    pub(super) fn within(&self, offset: u32, length: usize) -> Option<u32> {
        let end = offset.checked_add(u32::try_from(length).ok()?)?;
        (end <= self.length).then_some(self.start + offset)
    }
}

/// All regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regions {
    /// The two records.
    pub records: [Region; 2],
    /// The download's journal.
    pub journal: Region,
    /// The two slots.
    pub slots: [Region; 2],
}

/// Why regions cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionsError {
    /// The flash writes in units of more than [`MAX_WRITE`] bytes, or of a number that does not divide a record.
    WriteUnit,
    /// A region does not begin or end with an erase block.
    Unaligned(Region),
    /// A region is too small for what it is for.
    TooSmall(Region),
    /// A region reaches past the flash's end.
    Outside(Region),
    /// Two regions have bytes in common.
    Overlap(Region, Region),
}

impl fmt::Display for RegionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegionsError::WriteUnit => write!(
                f,
                "the flash writes in units that are no power of two up to {MAX_WRITE}"
            ),
            RegionsError::Unaligned(r) => write!(f, "{r} must begin and end with an erase block"),
            RegionsError::TooSmall(r) => write!(f, "{r} is too small for what it is for"),
            RegionsError::Outside(r) => write!(f, "{r} reaches past the flash's end"),
            RegionsError::Overlap(a, b) => write!(f, "{a} and {b} have bytes in common"),
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the region of {} bytes at {:#x}",
            self.length, self.start
        )
    }
}

impl core::error::Error for RegionsError {}

impl Regions {
    /// One region behind the other from `start` on: for flash with erase blocks of `erase` bytes, slots of at least
    /// `slot` bytes, and downloads of up to `chunks` chunks. None where that is more than 4 GiB.
    pub const fn lay_out(start: u32, erase: u32, slot: u32, chunks: u32) -> Option<Regions> {
        const fn region(start: Option<u32>, erase: u32, length: Option<u32>) -> Option<Region> {
            let (Some(start), Some(length)) = (start, length) else {
                return None;
            };
            match length.checked_next_multiple_of(erase) {
                Some(length) if start.checked_add(length).is_some() => {
                    Some(Region { start, length })
                }
                _ => None,
            }
        }
        const fn end(region: Option<Region>) -> Option<u32> {
            match region {
                Some(region) => Some(region.end()),
                None => None,
            }
        }
        let marks = match chunks.checked_mul(if MARK_BYTES > MAX_WRITE {
            MARK_BYTES
        } else {
            MAX_WRITE
        } as u32)
        {
            Some(marks) => marks.checked_add(JOURNAL_HEADER_BYTES as u32),
            None => None,
        };
        let first = region(Some(start), erase, Some(RECORD_BYTES as u32));
        let second = region(end(first), erase, Some(RECORD_BYTES as u32));
        let journal = region(end(second), erase, marks);
        let a = region(end(journal), erase, Some(slot));
        let b = region(end(a), erase, Some(slot));
        match (first, second, journal, a, b) {
            (Some(first), Some(second), Some(journal), Some(a), Some(b)) => Some(Regions {
                records: [first, second],
                journal,
                slots: [a, b],
            }),
            _ => None,
        }
    }

    /// All of them, with the least that each must hold.
    fn all(&self) -> [(Region, usize); 5] {
        let [first, second] = self.records;
        let [a, b] = self.slots;
        [
            (first, RECORD_BYTES),
            (second, RECORD_BYTES),
            (self.journal, JOURNAL_HEADER_BYTES + MARK_BYTES),
            (a, 1),
            (b, 1),
        ]
    }

    pub(super) fn check(
        &self,
        erase: usize,
        write: usize,
        capacity: usize,
    ) -> Result<(), RegionsError> {
        if !write.is_power_of_two() || write > MAX_WRITE {
            return Err(RegionsError::WriteUnit);
        }
        let all = self.all();
        for (i, &(region, least)) in all.iter().enumerate() {
            let end = region.start as usize + region.length as usize;
            if end > capacity || u32::try_from(end).is_err() {
                return Err(RegionsError::Outside(region));
            }
            if !(region.start as usize).is_multiple_of(erase) || !end.is_multiple_of(erase) {
                return Err(RegionsError::Unaligned(region));
            }
            if (region.length as usize) < least {
                return Err(RegionsError::TooSmall(region));
            }
            for &(other, _) in all.get(i + 1..).unwrap_or_default() {
                if region.start < other.end() && other.start < region.end() {
                    return Err(RegionsError::Overlap(region, other));
                }
            }
        }
        Ok(())
    }
}
