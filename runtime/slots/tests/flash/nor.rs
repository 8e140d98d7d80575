//! A NOR flash that loses power in the middle of a word or of an erase.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// How the operation that power cuts short leaves what it was changing.
#[derive(Clone, Copy, Debug)]
pub enum Tear {
    /// Power went before it began.
    Before,
    /// Half done: some bytes new, some bits of the next cleared; an erase leaves old, erased and random words.
    Within,
    /// It was done, and nobody heard of it.
    After,
}

pub const TEARS: [Tear; 3] = [Tear::Before, Tear::Within, Tear::After];

#[derive(Debug, PartialEq)]
pub struct PowerCut;

impl NorFlashError for PowerCut {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// Writes words of `W` bytes, erases blocks of `E`.
#[derive(Clone)]
pub struct Nor<const W: usize, const E: usize> {
    cells: Vec<u8>,
    /// Operations (one word written, one block erased) until power fails.
    pub left: usize,
    pub tear: Tear,
    random: u64,
}

impl<const W: usize, const E: usize> Nor<W, E> {
    pub fn new(size: usize, seed: u64) -> Nor<W, E> {
        Nor {
            cells: vec![0xFF; size],
            left: usize::MAX,
            tear: Tear::Before,
            random: seed | 1,
        }
    }

    fn draw(&mut self) -> u8 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 24) as u8
    }

    fn word(&mut self, at: usize, bytes: &[u8]) -> Result<(), PowerCut> {
        assert!(
            self.cells[at..at + W].iter().all(|&cell| cell == 0xFF),
            "the word at {at:#x} is written twice without an erase"
        );
        let done = match (self.left, self.tear) {
            (0, Tear::Before) => 0,
            (0, Tear::Within) => {
                let done = usize::from(self.draw()) % W;
                // Programming clears bits, one after the other.
                self.cells[at + done] = bytes[done] | self.draw();
                done
            }
            _ => W,
        };
        self.cells[at..at + done].copy_from_slice(&bytes[..done]);
        self.spend()
    }

    fn block(&mut self, at: usize) -> Result<(), PowerCut> {
        for word in (at..at + E).step_by(W) {
            let erased = match (self.left, self.tear) {
                (0, Tear::Before) => false,
                (0, Tear::Within) => match self.draw() % 3 {
                    0 => false,
                    1 => true,
                    _ => {
                        for cell in word..word + W {
                            self.cells[cell] |= self.draw();
                        }
                        false
                    }
                },
                _ => true,
            };
            if erased {
                self.cells[word..word + W].fill(0xFF);
            }
        }
        self.spend()
    }

    fn spend(&mut self) -> Result<(), PowerCut> {
        if self.left == 0 {
            return Err(PowerCut);
        }
        self.left -= 1;
        Ok(())
    }
}

impl<const W: usize, const E: usize> ErrorType for Nor<W, E> {
    type Error = PowerCut;
}

impl<const W: usize, const E: usize> ReadNorFlash for Nor<W, E> {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerCut> {
        assert!((offset as usize | bytes.len()).is_multiple_of(Self::READ_SIZE));
        bytes.copy_from_slice(&self.cells[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.cells.len()
    }
}

impl<const W: usize, const E: usize> NorFlash for Nor<W, E> {
    const WRITE_SIZE: usize = W;
    const ERASE_SIZE: usize = E;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerCut> {
        assert!((from as usize | to as usize).is_multiple_of(E));
        (from as usize..to as usize)
            .step_by(E)
            .try_for_each(|at| self.block(at))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerCut> {
        assert!((offset as usize | bytes.len()).is_multiple_of(W));
        let at = (offset as usize..).step_by(W);
        at.zip(bytes.chunks(W))
            .try_for_each(|(at, word)| self.word(at, word))
    }
}
