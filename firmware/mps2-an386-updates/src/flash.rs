//! Memory that stands for a NOR flash: the board's PSRAM, in which no part of the image is loaded.
//!
//! It keeps its bytes over a reset, and where QEMU is told to keep this memory in a file, over QEMU's end. It writes
//! as flash does: programming clears bits, erasing sets a block's. Models run from it where they lie.

#![expect(
    unsafe_code,
    reason = "memory that the linker does not know is reached by its address"
)]

use core::convert::Infallible;
use core::sync::atomic::{AtomicBool, Ordering};

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use sanderling_slots::nor::Region;

const START: usize = 0x2100_0000;
const BYTES: usize = 4 << 20;

/// Bytes of an erase block.
pub const ERASE: usize = 4096;
/// Bytes of a word.
const WORD: usize = 8;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// The flash. There is one.
pub struct Psram(());

impl Psram {
    /// The flash, the first time.
    pub fn take() -> Option<Psram> {
        (!TAKEN.swap(true, Ordering::Relaxed)).then_some(Psram(()))
    }

    /// Counts a start in the first erase block: one word for each, anew when it is full.
    pub fn count_start(&mut self) -> u32 {
        for start in 0..(ERASE / WORD) as u32 {
            let mut word = [0; WORD];
            let at = start * WORD as u32;
            let Ok(()) = self.read(at, &mut word);
            if word == [0xFF; WORD] {
                let Ok(()) = self.write(at, &[0; WORD]);
                return start + 1;
            }
        }
        let Ok(()) = self.erase(0, ERASE as u32);
        let Ok(()) = self.write(0, &[0; WORD]);
        1
    }
}

/// The bytes at the start of a region, where they lie.
pub fn in_place(region: &Region, length: u32) -> Option<&'static [u8]> {
    let end = region.start.checked_add(length)?;
    if length > region.length || end as usize > BYTES {
        return None;
    }
    // SAFETY: the range lies within the PSRAM, which is always there and holds no object of the program's. Slots are
    // asked for only where a whole model lies in them, and the machine of the slots never writes to such a one
    // before the model in the other slot took over, which ends every use of this slice.
    Some(unsafe {
        core::slice::from_raw_parts(
            (START + region.start as usize) as *const u8,
            length as usize,
        )
    })
}

/// The address of `length` bytes at `offset`; the contract of the trait makes a place outside a bug of the caller's.
fn address(offset: u32, length: usize) -> *mut u8 {
    let end = (offset as usize).checked_add(length);
    assert!(end.is_some_and(|end| end <= BYTES), "outside of the flash");
    (START + offset as usize) as *mut u8
}

impl ErrorType for Psram {
    type Error = Infallible;
}

impl ReadNorFlash for Psram {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        let from = address(offset, bytes.len());
        // SAFETY: `address` found all bytes within the PSRAM, and `bytes` lies in the program's own memory.
        unsafe { from.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn capacity(&self) -> usize {
        BYTES
    }
}

impl NorFlash for Psram {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Infallible> {
        let length = to.saturating_sub(from) as usize;
        // SAFETY: `address` found all bytes within the PSRAM.
        unsafe { address(from, length).write_bytes(0xFF, length) };
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
        let to = address(offset, bytes.len());
        for (i, byte) in bytes.iter().enumerate() {
            // SAFETY: `address` found all bytes within the PSRAM. One after the other, as a flash would.
            unsafe {
                let cell = to.add(i);
                cell.write_volatile(cell.read_volatile() & byte);
            }
        }
        Ok(())
    }
}
