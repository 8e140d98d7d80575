//! Making the wanted model of one that is here and a delta: what to pull of the delta, and which block comes out. It has
//! no clock and writes nothing; its one file is the base.
//!
//! ```text
//!  delta's chunks ──▶ head, table ──▶ blocks that the slot lacks, in order ──▶ bytes for the slot
//!                                     └ chunks without one of these are not pulled
//! ```

mod driving;

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sanderling_delta::{Applier, ApplyError, Base, Block, Delta, HEADER_BYTES};
use sanderling_wire::{self as wire, Digest};
use sha2::{Digest as _, Sha256};

use super::pull::Pull;

/// Where the model to start from is.
#[derive(Debug)]
pub enum Old {
    /// In the active slot, which nobody writes.
    Active(File),
    /// In the spare slot, which is about to be written: it is read into memory once its size is known.
    Spare(File),
    /// In memory.
    Read(Vec<u8>),
}

impl Base for Old {
    type Error = io::Error;

    fn read(&mut self, offset: u32, into: &mut [u8]) -> io::Result<()> {
        match self {
            Old::Active(file) | Old::Spare(file) => file.read_exact_at(into, u64::from(offset)),
            Old::Read(bytes) => match (&bytes[..]).read(offset, into) {
                Ok(()) => Ok(()),
                Err(never) => match never {},
            },
        }
    }
}

/// A delta on its way.
pub struct ByDelta {
    signed: wire::Delta,
    new: ([u8; 32], u32),
    old: Old,
    head: Option<Delta>,
    /// What came of it and is still needed, by chunk.
    chunks: BTreeMap<u32, Vec<u8>>,
    /// The blocks that are still to be made, in order; none: the table is not here.
    blocks: Option<VecDeque<Block>>,
    applier: Box<Applier>,
}

impl std::fmt::Debug for ByDelta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByDelta")
            .field("delta", &self.signed)
            .field("old", &self.old)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// A block of the new model.
#[derive(Debug, PartialEq, Eq)]
pub struct Made {
    /// Its number.
    pub index: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl ByDelta {
    /// Begins with a delta that a manifest names, for a model with this digest and size.
    pub fn new(signed: wire::Delta, new: ([u8; 32], u32), old: Old) -> ByDelta {
        ByDelta {
            signed,
            new,
            old,
            head: None,
            chunks: BTreeMap::new(),
            blocks: None,
            applier: Box::default(),
        }
    }

    /// The model to start from.
    pub fn base(&self) -> Digest {
        self.signed.base
    }

    /// The delta's digest.
    pub fn digest(&self) -> Digest {
        self.signed.digest
    }

    /// The delta's size in bytes.
    pub fn size(&self) -> u64 {
        self.signed.size
    }

    /// The size of what it makes, in bytes.
    pub fn new_size(&self) -> u64 {
        u64::from(self.new.1)
    }

    /// True once it is known which blocks are to be made.
    pub fn is_planned(&self) -> bool {
        self.blocks.is_some()
    }

    /// Keeps a chunk of the delta.
    pub fn keep(&mut self, chunk: u32, data: &[u8]) {
        self.chunks.insert(chunk, data.to_vec());
    }

    /// The delta's head, once it is here and fits: it gives the size of a block.
    pub fn head(&mut self, pull: &Pull) -> Result<Option<Delta>, String> {
        if self.head.is_some() {
            return Ok(self.head);
        }
        let Some(bytes) = self.part(pull, 0..HEADER_BYTES as u32) else {
            // Its first chunk is as long as that, or the delta is no delta.
            return match self.chunks.contains_key(&0) {
                true => Err("the delta is too short to be one".into()),
                false => Ok(None),
            };
        };
        let head = bytes.first_chunk().map(Delta::open);
        let head = head
            .ok_or("the delta is too short to be one")?
            .map_err(reason)?;
        let fits = u64::from(head.size()) == self.signed.size
            && (*head.new_digest(), head.new_size()) == self.new
            && *head.base_digest() == self.signed.base.0;
        if !fits {
            return Err("the delta is between other models than the manifest says".into());
        }
        if let Old::Spare(file) = &self.old {
            let there = file.metadata().map_err(|error| unreadable(&error))?.len();
            // What a delta says of its base is no reason to ask for memory; what the slot holds is.
            let size = u64::from(head.base_size()).min(there) as usize;
            let mut bytes = vec![0; size];
            file.read_exact_at(&mut bytes, 0)
                .map_err(|error| unreadable(&error))?;
            if Sha256::digest(&bytes)[..] != self.signed.base.0[..] {
                return Err("the model to start from is not whole any more".into());
            }
            self.old = Old::Read(bytes);
        }
        self.head = Some(head);
        Ok(self.head)
    }

    /// Looks which blocks are to be made, once the whole table is here; chunks of the delta that nothing is made of
    /// are told to `pull` as held.
    pub fn plan(&mut self, pull: &mut Pull, has: impl Fn(u32) -> bool) -> Result<(), String> {
        let (Some(head), None) = (self.head, &self.blocks) else {
            return Ok(());
        };
        let mut blocks = VecDeque::new();
        for index in 0..head.blocks() {
            let contradiction = || "the delta's table contradicts its head".to_owned();
            let place = head.entry_place(index).ok_or_else(contradiction)?;
            let Some(entries) = self.part(pull, place) else {
                return Ok(());
            };
            let block = head.block_at(index, &entries).ok_or_else(contradiction)?;
            if !has(index) {
                blocks.push_back(block);
            }
        }
        let mut needed = vec![false; pull.layout().count() as usize];
        for block in &blocks {
            for chunk in chunks_of(pull, &block.bytes) {
                if let Some(needed) = needed.get_mut(chunk as usize) {
                    *needed = true;
                }
            }
        }
        for (chunk, _) in (0..).zip(&needed).filter(|(_, needed)| !**needed) {
            pull.hold(chunk);
        }
        self.blocks = Some(blocks);
        self.forget(pull);
        Ok(())
    }

    /// The next block, where its bytes are here.
    pub fn next(&mut self, pull: &Pull) -> Result<Option<Made>, String> {
        let (Some(head), Some(block)) = (
            self.head,
            self.blocks.as_ref().and_then(|blocks| blocks.front()),
        ) else {
            return Ok(None);
        };
        let Some(bytes) = self.part(pull, block.bytes.clone()) else {
            return Ok(None);
        };
        let mut made = Vec::with_capacity(block.length as usize);
        let applied: Result<(), ApplyError<io::Error, std::convert::Infallible>> = self
            .applier
            .block(&head, block, &bytes, &mut self.old, |_, piece| {
                made.extend_from_slice(piece);
                Ok(())
            });
        let index = block.index;
        applied.map_err(|error| match error {
            ApplyError::Base(error) => unreadable(&error),
            other => reason(other),
        })?;
        if let Some(blocks) = &mut self.blocks {
            blocks.pop_front();
        }
        self.forget(pull);
        Ok(Some(Made { index, bytes: made }))
    }

    /// True where the next block can be made.
    pub fn is_ready(&self, pull: &Pull) -> bool {
        let next = self.blocks.as_ref().and_then(|blocks| blocks.front());
        next.is_some_and(|block| {
            chunks_of(pull, &block.bytes).all(|chunk| self.chunks.contains_key(&chunk))
        })
    }

    /// Drops the chunks before the next block's first byte.
    fn forget(&mut self, pull: &Pull) {
        let Some(blocks) = &self.blocks else { return };
        match blocks.front() {
            Some(block) => {
                let first = block.bytes.start / pull.chunk_size();
                self.chunks = self.chunks.split_off(&first);
            }
            None => self.chunks.clear(),
        }
    }

    /// Bytes of the delta, where all of them are here.
    fn part(&self, pull: &Pull, range: std::ops::Range<u32>) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(range.len());
        for chunk in chunks_of(pull, &range) {
            let start = chunk * pull.chunk_size();
            let data = self.chunks.get(&chunk)?;
            let from = range.start.saturating_sub(start) as usize;
            let to = data.len().min((range.end - start) as usize);
            bytes.extend_from_slice(data.get(from..to)?);
        }
        (bytes.len() == range.len()).then_some(bytes)
    }
}

/// The chunks in which these bytes of the delta lie.
fn chunks_of(pull: &Pull, range: &std::ops::Range<u32>) -> std::ops::Range<u32> {
    match range.is_empty() {
        true => 0..0,
        false => range.start / pull.chunk_size()..(range.end - 1) / pull.chunk_size() + 1,
    }
}

/// What an error says has happened; what is to be done is done here.
fn reason(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.split(';').next().unwrap_or_default().to_owned()
}

fn unreadable(error: &io::Error) -> String {
    format!("the model to start from cannot be read ({error})")
}

#[cfg(test)]
mod tests;
