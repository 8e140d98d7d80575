//! A few hundred bytes of the owner's beside the slots: two places in turn, as the record has them.
//!
//! ```text
//!    0  magic "NOTE"     4  sequence number, u32     8  length, u32     12  CRC-32 of length, sequence and bytes
//!   16  the bytes, or at the next word where words are longer
//! ```

use embedded_storage::nor_flash::NorFlash;

use super::{Flash, FlashError, Region};
use crate::crc::{crc32, crc32_continue};

const HEAD: usize = 16;
/// Bytes that are read at once.
const PIECE: usize = 64;
const MAGIC: [u8; 4] = *b"NOTE";

/// A note's head.
#[derive(Clone, Copy)]
struct Head {
    sequence: u32,
    length: u32,
    crc: u32,
}

impl Head {
    fn read(bytes: &[u8; HEAD]) -> Option<Head> {
        let word = |at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(word)
        };
        (bytes[..4] == MAGIC).then(|| Head {
            sequence: word(4),
            length: word(8),
            crc: word(12),
        })
    }

    fn write(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    /// What the checksum of the bytes goes on from.
    fn sum(sequence: u32, length: u32) -> u32 {
        crc32_continue(crc32(&length.to_le_bytes()), &sequence.to_le_bytes())
    }
}

impl<F: NorFlash> Flash<F> {
    /// Where a note's bytes begin: behind the head's last word.
    const BODY: u32 = (HEAD as u32).next_multiple_of(F::WRITE_SIZE as u32);

    /// Reads the newest whole note into `into` and gives its bytes; none where nothing was noted, or it is longer
    /// than `into`.
    pub fn read_note<'b>(
        &mut self,
        into: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, FlashError<F::Error>> {
        let [first, second] = self.regions.notes;
        let newest = match (self.whole(first)?, self.whole(second)?) {
            (Some(a), Some(b)) if b.sequence > a.sequence => Some((second, b)),
            (Some(a), _) => Some((first, a)),
            (None, b) => b.map(|b| (second, b)),
        };
        let Some((region, head)) = newest else {
            return Ok(None);
        };
        let Some(bytes) = into.get_mut(..head.length as usize) else {
            return Ok(None);
        };
        self.read(region.start + Self::BODY, bytes)?;
        Ok(Some(bytes))
    }

    /// Notes `bytes` in place of the older of the two notes, durable on return; until then the newer one is what is
    /// read.
    pub fn write_note(&mut self, bytes: &[u8]) -> Result<(), FlashError<F::Error>> {
        let [first, second] = self.regions.notes;
        let sequences = [self.whole(first)?, self.whole(second)?]
            .map(|head| head.map_or(0, |head| head.sequence));
        let (region, newest) = match sequences {
            [a, b] if a > b => (second, a),
            [_, b] => (first, b),
        };
        region
            .within(Self::BODY, bytes.len())
            .ok_or(FlashError::TooLarge)?;
        let sequence = newest.saturating_add(1);
        let head = Head {
            sequence,
            length: bytes.len() as u32,
            crc: crc32_continue(Head::sum(sequence, bytes.len() as u32), bytes),
        };
        self.erase(region.start, region.end())?;
        // The head goes last: it vouches for the rest.
        self.program(region.start + Self::BODY, bytes)?;
        self.program(region.start, &head.write())
    }

    /// The head of a region's note, where the note is whole.
    fn whole(&mut self, region: Region) -> Result<Option<Head>, FlashError<F::Error>> {
        if region.within(0, HEAD).is_none() {
            return Ok(None);
        }
        let mut head = [0; HEAD];
        self.read(region.start, &mut head)?;
        let Some(head) = Head::read(&head) else {
            return Ok(None);
        };
        let Some(mut at) = region.within(Self::BODY, head.length as usize) else {
            return Ok(None);
        };
        let mut crc = Head::sum(head.sequence, head.length);
        let mut left = head.length as usize;
        while left > 0 {
            let mut piece = [0; PIECE];
            let count = left.min(PIECE);
            let piece = piece.get_mut(..count).unwrap_or_default();
            self.read(at, piece)?;
            crc = crc32_continue(crc, piece);
            at += count as u32;
            left -= count;
        }
        Ok((crc == head.crc).then_some(head))
    }
}
