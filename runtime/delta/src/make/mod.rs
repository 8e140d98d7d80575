//! Making a delta: for each block, where in the base its bytes come from, and the shortest way found to say so.

mod encoder;
mod path;
mod seeds;

use std::fmt;
use std::vec::Vec;

use sha2::{Digest as _, Sha256};

use crate::apply::{Applier, ApplyError};
use crate::crc::crc32;
use crate::header::{Delta, ENTRY_BYTES, HEADER_BYTES, HeaderError, MAX_BLOCK, MIN_BLOCK};
use crate::operation::{Kind, Operation, Operations};
use crate::residual::{Against, Residuals};
use crate::word::Words;
use encoder::Encoder;
use seeds::Seeds;

/// Why no delta was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MakeError {
    /// The block is no power of two from [`MIN_BLOCK`] to [`MAX_BLOCK`].
    Block(u32),
    /// The new file is empty.
    Empty,
    /// A file, or the delta, has 4 GiB or more.
    TooLarge,
    /// It took longer than the caller wanted.
    Stopped,
}

impl fmt::Display for MakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MakeError::Block(n) => write!(
                f,
                "blocks of {n} bytes are not possible; choose a power of two from {MIN_BLOCK} to {MAX_BLOCK}"
            ),
            MakeError::Empty => f.write_str("there is no delta to an empty file"),
            MakeError::TooLarge => {
                f.write_str("deltas are for files below 4 GiB; send the full file")
            }
            MakeError::Stopped => f.write_str("the delta took too long; send the full file"),
        }
    }
}

impl std::error::Error for MakeError {}

/// The largest file that a microcontroller pulls, in bytes.
const SMALL: usize = 4 << 20;

/// The size of blocks for a new file of so many bytes: 4 KiB, which microcontrollers have room for, and 32 KiB for what
/// is too large for them.
pub const fn block_for(new: usize) -> u32 {
    if new <= SMALL { 4096 } else { 32768 }
}

/// Whether a delta saves enough to be offered: it has less than 70 % of the full file's bytes.
pub const fn pays(delta: usize, new: usize) -> bool {
    (delta as u64) * 10 < (new as u64) * 7
}

/// Makes the delta from `base` to `new` in blocks of `block` bytes. The same input gives the same bytes.
pub fn make(base: &[u8], new: &[u8], block: u32) -> Result<Vec<u8>, MakeError> {
    make_while(base, new, block, || true)
}

/// The same for as long as `go_on` says so, which is asked before each block. It takes about 9 bytes of memory for
/// each byte of the base, and the delta.
pub fn make_while(
    base: &[u8],
    new: &[u8],
    block: u32,
    mut go_on: impl FnMut() -> bool,
) -> Result<Vec<u8>, MakeError> {
    if !block.is_power_of_two() || !(MIN_BLOCK..=MAX_BLOCK).contains(&block) {
        return Err(MakeError::Block(block));
    }
    if new.is_empty() {
        return Err(MakeError::Empty);
    }
    let size = |bytes: usize| u32::try_from(bytes).map_err(|_| MakeError::TooLarge);
    let (base_size, new_size) = (size(base.len())?, size(new.len())?);
    let mut table = Vec::new();
    let mut bodies = Vec::new();
    let mut seeds = Seeds::new(base, new);
    for (index, content) in new.chunks(block as usize).enumerate() {
        if !go_on() {
            return Err(MakeError::Stopped);
        }
        bodies.extend(one(base, content, index * block as usize, &mut seeds));
        table.extend(size(bodies.len())?.to_le_bytes());
        table.extend(crc32(0, content).to_le_bytes());
    }
    debug_assert_eq!(table.len() % ENTRY_BYTES, 0);
    let delta = Delta {
        block_log: block.ilog2() as u8,
        base_size,
        new_size,
        size: size(HEADER_BYTES + table.len() + bodies.len())?,
        base_digest: Sha256::digest(base).into(),
        new_digest: Sha256::digest(new).into(),
    };
    let mut bytes = Vec::from(delta.encode());
    bytes.extend(table);
    bytes.extend(bodies);
    Ok(bytes)
}

/// Runs of bytes that equal the base and are at least this long become operations of their own; which length pays
/// depends on how noisy the neighbourhood is, so each is tried.
const RUNS: [u32; 4] = [12, 32, 96, u32::MAX];

/// The bytes of one block.
fn one(base: &[u8], content: &[u8], at: usize, seeds: &mut Seeds<'_>) -> Vec<u8> {
    let mut best = Vec::from(content);
    let mut shifts = Vec::new();
    let ways = path::find(base, content, at, &seeds.candidates(content, at));
    for run in RUNS {
        let operations = path::split(base, content, at, &ways, run);
        let coded = code(base, content, at, &operations);
        if coded.len() < best.len() {
            best = coded;
            shifts = operations
                .iter()
                .filter(|o| o.kind.reads_base())
                .map(|o| o.shift)
                .collect();
        }
    }
    seeds.remember(&shifts);
    best
}

fn code(base: &[u8], content: &[u8], at: usize, list: &[Operation]) -> Vec<u8> {
    let mut encoder = Encoder::default();
    let mut residuals = Residuals::new();
    let mut operations = Operations::new();
    let mut words = Words::new();
    let mut offset = 0;
    for &operation in list {
        operations.code(&mut encoder, operation);
        let bytes = &content[offset..][..operation.length as usize];
        match operation.kind {
            Kind::Copy => {}
            Kind::Residual => {
                residuals.turn(Against::Base);
                let from = (at as i64 + offset as i64 + operation.shift) as usize;
                for (new, old) in bytes.iter().zip(&base[from..]) {
                    residuals.code(&mut encoder, Against::Base, new.wrapping_sub(*old));
                }
            }
            Kind::Literal => {
                residuals.turn(Against::Nothing);
                for new in bytes {
                    residuals.code(&mut encoder, Against::Nothing, *new);
                }
            }
            Kind::Words => {
                residuals.turn(Against::Word(0));
                for new in bytes.as_chunks().0 {
                    words.code(&mut encoder, &mut residuals, u32::from_le_bytes(*new));
                }
            }
        }
        offset += bytes.len();
    }
    encoder.finish()
}

/// Why a whole delta could not be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WholeError {
    /// The head is no delta's.
    Header(HeaderError),
    /// The base is not the delta's.
    OtherBase,
    /// A block's bytes are missing, or more bytes follow.
    WrongSize,
    /// A block could not be applied.
    Block(
        u32,
        ApplyError<core::convert::Infallible, core::convert::Infallible>,
    ),
    /// Every block was right, but the whole has another digest.
    OtherResult,
}

/// Applies a whole delta to a whole base in memory and checks both digests.
pub fn apply(base: &[u8], delta: &[u8]) -> Result<Vec<u8>, WholeError> {
    let head = delta.first_chunk().ok_or(WholeError::WrongSize)?;
    let head = Delta::open(head).map_err(WholeError::Header)?;
    if head.size() as usize != delta.len() {
        return Err(WholeError::WrongSize);
    }
    if base.len() != head.base_size() as usize || Sha256::digest(base)[..] != head.base_digest()[..]
    {
        return Err(WholeError::OtherBase);
    }
    let part = |range: core::ops::Range<u32>| {
        delta
            .get(range.start as usize..range.end as usize)
            .unwrap_or_default()
    };
    let mut new = Vec::new();
    let mut applier = Applier::new();
    for index in 0..head.blocks() {
        let block = head
            .entry_place(index)
            .and_then(|place| head.block_at(index, part(place)))
            .ok_or(WholeError::WrongSize)?;
        let bytes = part(block.bytes.clone());
        applier
            .block(&head, &block, bytes, &mut &*base, |_, piece| {
                new.extend_from_slice(piece);
                Ok(())
            })
            .map_err(|error| WholeError::Block(index, error))?;
    }
    if Sha256::digest(&new)[..] == head.new_digest()[..] {
        Ok(new)
    } else {
        Err(WholeError::OtherResult)
    }
}
