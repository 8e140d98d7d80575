//! Applying: one block at a time, in a few KiB, without writing anywhere but where the caller's sink says.

use core::fmt;

use crate::crc::crc32;
use crate::header::{Block, Delta};
use crate::operation::{Kind, Operation, Operations};
use crate::range::Decoder;
use crate::residual::{Against, Residuals};
use crate::word::Words;

/// The most bytes that are read from the base or given to the sink at once. All pieces but a block's last have this
/// length, so a flash that is written in units of up to this size needs no buffer of its own.
pub const PIECE: usize = 256;

/// Where the base's bytes are: a slot in flash, a file, a slice.
pub trait Base {
    /// What can go wrong.
    type Error;

    /// Fills `into` from the bytes at `offset`. Never asked for bytes past the base's size in the delta's head.
    fn read(&mut self, offset: u32, into: &mut [u8]) -> Result<(), Self::Error>;
}

/// A slice is a base; past its end it reads as zeros, which the block's checksum finds.
impl Base for &[u8] {
    type Error = core::convert::Infallible;

    fn read(&mut self, offset: u32, into: &mut [u8]) -> Result<(), Self::Error> {
        into.fill(0);
        let from = self.get(offset as usize..).unwrap_or_default();
        for (to, from) in into.iter_mut().zip(from) {
            *to = *from;
        }
        Ok(())
    }
}

/// Why a block could not be applied. What was written of it is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyError<B, S> {
    /// The base could not be read.
    Base(B),
    /// The sink did not take the bytes.
    Sink(S),
    /// The bytes given are not as many as the block has.
    WrongLength,
    /// The block's bytes say what no block can say.
    Malformed,
    /// What came out has another checksum: the base is another one, or the delta was damaged.
    Checksum,
}

impl<B: fmt::Display, S: fmt::Display> fmt::Display for ApplyError<B, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApplyError::Base(e) => write!(f, "the model to start from could not be read: {e}"),
            ApplyError::Sink(e) => write!(f, "the block could not be written: {e}"),
            ApplyError::WrongLength => {
                f.write_str("the block's bytes are too few or too many; pull them again")
            }
            ApplyError::Malformed => f.write_str("the delta is damaged; pull the full file"),
            ApplyError::Checksum => {
                f.write_str("the delta does not fit what this robot holds; pull the full file")
            }
        }
    }
}

/// The working memory of an application: its probabilities and one piece. Everything that applying takes beside
/// the block's bytes and a few hundred bytes of stack.
pub struct Applier {
    residuals: Residuals,
    operations: Operations,
    words: Words,
    piece: [u8; PIECE],
}

impl Default for Applier {
    fn default() -> Applier {
        Applier::new()
    }
}

impl Applier {
    /// Memory for any number of blocks.
    pub const fn new() -> Applier {
        Applier {
            residuals: Residuals::new(),
            operations: Operations::new(),
            words: Words::new(),
            piece: [0; PIECE],
        }
    }

    /// Makes the block of the new file that `block` tells of, out of its `bytes` in the delta and the base, and gives
    /// it to `sink` in pieces, in order. The sink's bytes count only where this returns `Ok`.
    ///
    /// Work and reads are bounded by the block's length whatever the bytes are.
    pub fn block<B: Base, E>(
        &mut self,
        delta: &Delta,
        block: &Block,
        bytes: &[u8],
        base: &mut B,
        mut sink: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), ApplyError<B::Error, E>> {
        if bytes.len() != block.bytes.len() {
            return Err(ApplyError::WrongLength);
        }
        let mut crc = 0;
        let mut give = |at: u32, piece: &[u8]| {
            crc = crc32(crc, piece);
            sink(at, piece).map_err(ApplyError::Sink)
        };
        if bytes.len() == block.length as usize {
            let mut at = block.offset;
            for piece in bytes.chunks(PIECE) {
                give(at, piece)?;
                at += piece.len() as u32;
            }
        } else {
            self.coded(delta, block, bytes, base, &mut give)?;
        }
        if crc == block.crc {
            Ok(())
        } else {
            Err(ApplyError::Checksum)
        }
    }

    fn coded<B: Base, E>(
        &mut self,
        delta: &Delta,
        block: &Block,
        bytes: &[u8],
        base: &mut B,
        give: &mut impl FnMut(u32, &[u8]) -> Result<(), ApplyError<B::Error, E>>,
    ) -> Result<(), ApplyError<B::Error, E>> {
        // Each block starts anew, or it could not be applied alone.
        self.residuals = Residuals::new();
        self.operations = Operations::new();
        self.words = Words::new();
        let mut decoder = Decoder::new(bytes);
        let mut at = block.offset;
        let end = block.offset + block.length;
        let mut given = block.offset;
        let mut filled = 0;
        while at < end {
            let operation = self.operations.code(
                &mut decoder,
                Operation {
                    kind: Kind::Copy,
                    length: 0,
                    shift: 0,
                },
            );
            if operation.length > end - at {
                return Err(ApplyError::Malformed);
            }
            let mut from = match operation.kind.reads_base() {
                true => place(operation, at, delta.base_size).ok_or(ApplyError::Malformed)?,
                false => 0,
            };
            match operation.kind {
                Kind::Copy => {}
                Kind::Residual => self.residuals.turn(Against::Base),
                Kind::Literal => self.residuals.turn(Against::Nothing),
                // Whole words fill pieces evenly.
                Kind::Words if !(filled | operation.length as usize).is_multiple_of(4) => {
                    return Err(ApplyError::Malformed);
                }
                Kind::Words => self.residuals.turn(Against::Word(0)),
            }
            let mut left = operation.length as usize;
            while left > 0 {
                let room = self.piece.get_mut(filled..).unwrap_or_default();
                let count = left.min(room.len());
                let part = room.get_mut(..count).unwrap_or_default();
                if operation.kind.reads_base() {
                    base.read(from, part).map_err(ApplyError::Base)?;
                    from += count as u32;
                }
                match operation.kind {
                    Kind::Copy => {}
                    Kind::Residual => {
                        for byte in part {
                            let residual = self.residuals.code(&mut decoder, Against::Base, 0);
                            *byte = byte.wrapping_add(residual);
                        }
                    }
                    Kind::Literal => {
                        for byte in part {
                            *byte = self.residuals.code(&mut decoder, Against::Nothing, 0);
                        }
                    }
                    Kind::Words => {
                        for bytes in part.as_chunks_mut().0 {
                            *bytes = self
                                .words
                                .code(&mut decoder, &mut self.residuals, 0)
                                .to_le_bytes();
                        }
                    }
                }
                filled += count;
                left -= count;
                if filled == PIECE {
                    give(given, &self.piece)?;
                    given += PIECE as u32;
                    filled = 0;
                }
            }
            at += operation.length;
        }
        if filled > 0 {
            give(given, self.piece.get(..filled).unwrap_or_default())?;
        }
        if decoder.is_off() {
            return Err(ApplyError::Malformed);
        }
        Ok(())
    }
}

/// Where an operation at `at` reads in the base, if all of it is there.
fn place(operation: Operation, at: u32, size: u32) -> Option<u32> {
    let from = u32::try_from(i64::from(at).checked_add(operation.shift)?).ok()?;
    (from.checked_add(operation.length)? <= size).then_some(from)
}
