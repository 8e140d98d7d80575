//! What the slots ask of their storage, and how the record is loaded from it and saved to it.

use crate::image::Slot;
use crate::journal::JOURNAL_HEADER_BYTES;
use crate::record::{RECORD_BYTES, decode, encode};
use crate::state::State;

/// One of the two places for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first place.
    First,
    /// The second place.
    Second,
}

impl Place {
    /// The other of the two.
    pub const fn other(self) -> Place {
        match self {
            Place::First => Place::Second,
            Place::Second => Place::First,
        }
    }

    /// 0 or 1: for tables with one entry per place.
    pub const fn index(self) -> usize {
        match self {
            Place::First => 0,
            Place::Second => 1,
        }
    }
}

/// A storage with two slots, two records and one journal: a folder of files, or regions of a NOR flash.
///
/// Every method that writes is durable when it returns. When it is cut short, the bytes it was writing may hold
/// anything, and no other bytes may have changed. On flash that means that each region has erase blocks of its own.
pub trait Medium {
    /// What can go wrong.
    type Error;

    /// Reads a record; storage that was never written reads as any repeated byte.
    fn read_record(
        &mut self,
        place: Place,
        into: &mut [u8; RECORD_BYTES],
    ) -> Result<(), Self::Error>;

    /// Replaces a record.
    fn write_record(&mut self, place: Place, bytes: &[u8; RECORD_BYTES])
    -> Result<(), Self::Error>;

    /// Makes room in a slot for `size` bytes; what the slot held may be gone. Here, and not in the middle of a
    /// download, is where a full disk or a slot that is too small is found.
    fn prepare(&mut self, slot: Slot, size: u32) -> Result<(), Self::Error>;

    /// Replaces the bytes at `offset` of a prepared slot, whatever a torn write left there. On flash, chunks are
    /// whole erase blocks and this erases first.
    fn write(&mut self, slot: Slot, offset: u32, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Begins a new journal with this header and room for `chunks` marks, none of them set.
    fn start_journal(
        &mut self,
        header: &[u8; JOURNAL_HEADER_BYTES],
        chunks: u32,
    ) -> Result<(), Self::Error>;

    /// Reads the journal's header; storage that was never written reads as any repeated byte.
    fn read_journal(&mut self, into: &mut [u8; JOURNAL_HEADER_BYTES]) -> Result<(), Self::Error>;

    /// Sets the mark of a chunk.
    fn set_mark(&mut self, chunk: u32) -> Result<(), Self::Error>;

    /// True where the mark of a chunk is set whole.
    fn is_marked(&mut self, chunk: u32) -> Result<bool, Self::Error>;
}

/// The state as it stands in storage, and what the next [`save`] needs to know about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The newest whole record's state, or the empty one.
    pub state: State,
    sequence: u32,
    place: Place,
    /// True where no record was whole although something had been written: the robot begins anew.
    pub lost: bool,
}

/// Reads both records and takes the newer whole one.
pub fn load<M: Medium>(medium: &mut M) -> Result<Stored, M::Error> {
    let empty = Stored {
        state: State::default(),
        sequence: 0,
        place: Place::Second,
        lost: false,
    };
    let mut best: Option<Stored> = None;
    let mut lost = false;
    for place in [Place::First, Place::Second] {
        let mut bytes = [0; RECORD_BYTES];
        medium.read_record(place, &mut bytes)?;
        match decode(&bytes) {
            Ok((state, sequence)) => {
                if best.is_none_or(|best| sequence > best.sequence) {
                    best = Some(Stored {
                        state,
                        sequence,
                        place,
                        lost: false,
                    });
                }
            }
            Err(crate::RecordError::Blank) => {}
            Err(_) => lost = true,
        }
    }
    Ok(best.unwrap_or(Stored { lost, ..empty }))
}

/// Saves a new state over the older of the two records. Until it returns `Ok`, the old state is the true one.
pub fn save<M: Medium>(medium: &mut M, stored: &mut Stored, state: &State) -> Result<(), M::Error> {
    let next = Stored {
        state: *state,
        sequence: stored.sequence.saturating_add(1),
        place: stored.place.other(),
        lost: false,
    };
    medium.write_record(next.place, &encode(&next.state, next.sequence))?;
    *stored = next;
    Ok(())
}
