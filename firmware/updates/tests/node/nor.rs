//! A NOR flash whose power fails after so many words.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

const WORD: usize = 8;
const BLOCK: usize = 4096;

#[derive(Debug)]
pub struct PowerCut;

impl NorFlashError for PowerCut {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

pub struct Nor {
    cells: Vec<u8>,
    left: usize,
}

impl Nor {
    pub fn new(left: usize) -> Nor {
        Nor {
            cells: vec![0xFF; 1 << 18],
            left,
        }
    }

    /// The same flash with power for so many more words and blocks.
    pub fn powered(self, left: usize) -> Nor {
        Nor { left, ..self }
    }

    fn spend(&mut self) -> Result<(), PowerCut> {
        self.left = self.left.checked_sub(1).ok_or(PowerCut)?;
        Ok(())
    }
}

impl ErrorType for Nor {
    type Error = PowerCut;
}

impl ReadNorFlash for Nor {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerCut> {
        bytes.copy_from_slice(&self.cells[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.cells.len()
    }
}

impl NorFlash for Nor {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = BLOCK;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerCut> {
        for at in (from as usize..to as usize).step_by(BLOCK) {
            self.spend()?;
            self.cells[at..at + BLOCK].fill(0xFF);
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerCut> {
        for (at, word) in (offset as usize..).step_by(WORD).zip(bytes.chunks(WORD)) {
            self.spend()?;
            let cells = &mut self.cells[at..at + WORD];
            assert!(
                cells.iter().all(|&cell| cell == 0xFF),
                "written twice at {at:#x}"
            );
            cells.copy_from_slice(word);
        }
        Ok(())
    }
}
