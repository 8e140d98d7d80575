//! The slots on NOR flash, through `embedded-storage`: regions with erase blocks of their own.
//!
//! ```text
//!  ┌──────────┬──────────┬──────────────────┬─────────────┬─────────────┐
//!  │ record 1 │ record 2 │ journal          │ slot A      │ slot B      │  each a whole number of erase blocks
//!  └──────────┴──────────┴──────────────────┴─────────────┴─────────────┘
//! ```
//!
//! A record is erased and written whole, in turns with the other. The journal is erased when a download begins; a mark
//! is then one write to erased words. A slot is erased block by block as chunks arrive, so chunks are whole erase
//! blocks: [`Flash::fits`] says which chunk sizes are. A chunk may come in parts, in order from its start
//! ([`crate::Download::part`]); the part that reaches into an erase block first erases it.
//!
//! No word is ever written twice without an erase between, so flash with a checksum per word will do.

mod regions;

use core::fmt;

use embedded_storage::nor_flash::NorFlash;

use crate::image::Slot;
use crate::journal::{JOURNAL_HEADER_BYTES, MARK, MARK_BYTES};
use crate::medium::{Medium, Place};
use crate::record::RECORD_BYTES;
pub use regions::{Region, Regions, RegionsError};

/// The largest write unit of a flash that the slots can be on, in bytes.
pub const MAX_WRITE: usize = 32;

/// What can go wrong on flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError<E> {
    /// The flash itself failed.
    Flash(E),
    /// The model is larger than the slot, or has more chunks than the journal has marks.
    TooLarge,
    /// Bytes for a place that is no multiple of the write unit, or past the slot's end.
    Misplaced,
    /// A part of a chunk for words that were not erased: the chunk must be written from its start.
    NotErased,
}

impl<E: fmt::Debug> fmt::Display for FlashError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FlashError::Flash(e) => write!(f, "the flash failed: {e:?}"),
            FlashError::TooLarge => {
                f.write_str("the model does not fit; send a smaller one, or larger chunks")
            }
            FlashError::Misplaced => {
                f.write_str("the bytes do not begin or end where flash can be written")
            }
            FlashError::NotErased => {
                f.write_str("the chunk was begun before; write it from its start")
            }
        }
    }
}

impl<E: fmt::Debug> core::error::Error for FlashError<E> {}

/// Two slots, two records and a journal on a NOR flash.
#[derive(Debug)]
pub struct Flash<F> {
    flash: F,
    regions: Regions,
}

impl<F: NorFlash> Flash<F> {
    /// The slots in these regions of `flash`.
    pub fn new(flash: F, regions: Regions) -> Result<Flash<F>, RegionsError> {
        regions.check(F::ERASE_SIZE, F::WRITE_SIZE, flash.capacity())?;
        Ok(Flash { flash, regions })
    }

    /// Where everything lies.
    pub const fn regions(&self) -> &Regions {
        &self.regions
    }

    /// The flash back.
    pub fn into_inner(self) -> F {
        self.flash
    }

    /// True where chunks of this size can be written over and over.
    pub fn fits(chunk_size: u32) -> bool {
        chunk_size > 0 && (chunk_size as usize).is_multiple_of(F::ERASE_SIZE)
    }

    /// Reads a slot's bytes from `offset` on.
    pub fn read_slot(
        &mut self,
        slot: Slot,
        offset: u32,
        into: &mut [u8],
    ) -> Result<(), FlashError<F::Error>> {
        let region = self.regions.slots[slot.index()];
        let at = region
            .within(offset, into.len())
            .ok_or(FlashError::Misplaced)?;
        self.read(at, into)
    }

    /// Reads at any place, also where the flash reads in larger units.
    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashError<F::Error>> {
        let unit = F::READ_SIZE.max(1);
        if (at as usize).is_multiple_of(unit) && into.len().is_multiple_of(unit) {
            return self.flash.read(at, into).map_err(FlashError::Flash);
        }
        let mut buffer = [0; MAX_WRITE];
        let unit_bytes = buffer.get_mut(..unit).ok_or(FlashError::Misplaced)?;
        let mut at = at as usize;
        let mut rest = into;
        while !rest.is_empty() {
            let skip = at % unit;
            self.flash
                .read((at - skip) as u32, unit_bytes)
                .map_err(FlashError::Flash)?;
            let count = rest.len().min(unit - skip);
            let (part, tail) = rest.split_at_mut(count);
            part.copy_from_slice(unit_bytes.get(skip..skip + count).unwrap_or_default());
            rest = tail;
            at += count;
        }
        Ok(())
    }

    /// Writes erased words; the last unit is filled up with ones.
    fn program(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashError<F::Error>> {
        let whole = bytes.len() - bytes.len() % F::WRITE_SIZE;
        let (whole, rest) = bytes.split_at(whole);
        if !whole.is_empty() {
            self.flash.write(at, whole).map_err(FlashError::Flash)?;
        }
        if !rest.is_empty() {
            let mut unit = [0xFF; MAX_WRITE];
            for (to, from) in unit.iter_mut().zip(rest) {
                *to = *from;
            }
            let unit = unit.get(..F::WRITE_SIZE).ok_or(FlashError::Misplaced)?;
            self.flash
                .write(at + whole.len() as u32, unit)
                .map_err(FlashError::Flash)?;
        }
        Ok(())
    }

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError<F::Error>> {
        self.flash.erase(from, to).map_err(FlashError::Flash)
    }

    fn is_erased(&mut self, at: u32, length: usize) -> Result<bool, FlashError<F::Error>> {
        let mut buffer = [0; MAX_WRITE];
        let mut done = 0;
        while done < length {
            let count = (length - done).min(MAX_WRITE);
            let part = buffer.get_mut(..count).unwrap_or_default();
            self.read(at + done as u32, part)?;
            if part.iter().any(|&byte| byte != 0xFF) {
                return Ok(false);
            }
            done += count;
        }
        Ok(true)
    }

    /// A mark takes at least a write unit.
    const MARK_STRIDE: usize = if F::WRITE_SIZE > MARK_BYTES {
        F::WRITE_SIZE
    } else {
        MARK_BYTES
    };

    fn mark_place(&self, chunk: u32) -> Result<u32, FlashError<F::Error>> {
        let offset = (chunk as usize)
            .checked_mul(Self::MARK_STRIDE)
            .and_then(|offset| offset.checked_add(JOURNAL_HEADER_BYTES))
            .and_then(|offset| u32::try_from(offset).ok())
            .ok_or(FlashError::TooLarge)?;
        self.regions
            .journal
            .within(offset, Self::MARK_STRIDE)
            .ok_or(FlashError::TooLarge)
    }
}

impl<F: NorFlash> Medium for Flash<F> {
    type Error = FlashError<F::Error>;

    fn read_record(
        &mut self,
        place: Place,
        into: &mut [u8; RECORD_BYTES],
    ) -> Result<(), Self::Error> {
        self.read(self.regions.records[place.index()].start, into)
    }

    fn write_record(
        &mut self,
        place: Place,
        bytes: &[u8; RECORD_BYTES],
    ) -> Result<(), Self::Error> {
        let region = self.regions.records[place.index()];
        self.erase(region.start, region.end())?;
        self.program(region.start, bytes)
    }

    fn prepare(&mut self, slot: Slot, size: u32) -> Result<(), Self::Error> {
        // Erased as chunks arrive: a power cut in between costs one of them.
        match size <= self.regions.slots[slot.index()].length {
            true => Ok(()),
            false => Err(FlashError::TooLarge),
        }
    }

    fn write(&mut self, slot: Slot, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        let region = self.regions.slots[slot.index()];
        let at = region
            .within(offset, bytes.len())
            .ok_or(FlashError::Misplaced)?;
        if !(at as usize).is_multiple_of(F::WRITE_SIZE) {
            return Err(FlashError::Misplaced);
        }
        let block = F::ERASE_SIZE as u32;
        let end = at + bytes.len() as u32;
        let first = at.next_multiple_of(block);
        if !self.is_erased(at, (first.min(end) - at) as usize)? {
            return Err(FlashError::NotErased);
        }
        if first < end {
            self.erase(first, end.next_multiple_of(block))?;
        }
        self.program(at, bytes)
    }

    fn start_journal(
        &mut self,
        header: &[u8; JOURNAL_HEADER_BYTES],
        chunks: u32,
    ) -> Result<(), Self::Error> {
        if chunks > 0 {
            self.mark_place(chunks - 1)?;
        }
        // The header stands in the first block, so the old one goes before any of its marks.
        let region = self.regions.journal;
        self.erase(region.start, region.end())?;
        self.program(region.start, header)
    }

    fn read_journal(&mut self, into: &mut [u8; JOURNAL_HEADER_BYTES]) -> Result<(), Self::Error> {
        self.read(self.regions.journal.start, into)
    }

    fn set_mark(&mut self, chunk: u32) -> Result<(), Self::Error> {
        let at = self.mark_place(chunk)?;
        // A torn mark is left as it is: its chunk is pulled again whenever the robot starts, which is safe.
        if self.is_erased(at, Self::MARK_STRIDE)? {
            let mark = [0; MAX_WRITE];
            self.program(at, mark.get(..Self::MARK_STRIDE).unwrap_or_default())?;
        }
        Ok(())
    }

    fn is_marked(&mut self, chunk: u32) -> Result<bool, Self::Error> {
        let at = self.mark_place(chunk)?;
        let mut mark = [0xFF; MAX_WRITE];
        let mark = mark.get_mut(..Self::MARK_STRIDE).unwrap_or_default();
        self.read(at, mark)?;
        Ok(mark.iter().all(|&byte| byte == MARK[0]))
    }
}
