//! The SHA-256 of what a slot holds, a piece at a time.

use embedded_storage::nor_flash::NorFlash;
use sanderling_slots::nor::{Flash, FlashError};
use sanderling_slots::{Image, Slot};
use sha2::{Digest as _, Sha256};

/// Bytes that are read at once.
const PIECE: usize = 256;
/// Pieces in one call.
const PIECES: usize = 16;

/// A checksum on its way.
pub(crate) struct Verify {
    slot: Slot,
    image: Image,
    done: u32,
    sum: Sha256,
}

impl Verify {
    pub(crate) fn new(slot: Slot, image: Image) -> Verify {
        Verify {
            slot,
            image,
            done: 0,
            sum: Sha256::new(),
        }
    }

    /// Goes on for a few KiB; says in the end whether the bytes are the image's.
    pub(crate) fn go_on<F: NorFlash>(
        &mut self,
        flash: &mut Flash<F>,
    ) -> Result<Option<bool>, FlashError<F::Error>> {
        for _ in 0..PIECES {
            let left = (self.image.size - self.done) as usize;
            if left == 0 {
                return Ok(Some(
                    self.sum.clone().finalize()[..] == self.image.digest[..],
                ));
            }
            let mut piece = [0; PIECE];
            let piece = &mut piece[..left.min(PIECE)];
            flash.read_slot(self.slot, self.done, piece)?;
            self.sum.update(&*piece);
            self.done += piece.len() as u32;
        }
        Ok(None)
    }
}
