//! Pulling a file in chunks: what is held, what is asked for, and whether the bytes are right.

use sanderling_wire::{Chunk, Digest, Held, Kind, Layout, Need, Session};

use super::{Job, PATIENCE_MS, Wish};
use crate::keys::bytes;
use crate::shelf::sha256;

/// Chunks asked for at once.
const CREDIT: u16 = 16;

pub struct Pull {
    pub release: Digest,
    layout: Layout,
    held: Held<Vec<u8>>,
    /// The spare slot; made when the first byte comes.
    file: Vec<u8>,
    /// Chunks that came since the last request.
    came: u32,
}

impl Pull {
    pub fn new(release: Digest, size: u32, chunk: u32) -> Pull {
        let layout = match Layout::new(u64::from(size), chunk) {
            Ok(layout) => layout,
            Err(error) => panic!("the simulation's files can be cut: {error}"),
        };
        let bits = vec![0; Held::bytes_for(&layout)];
        let held = match Held::new(bits, &layout) {
            Ok(held) => held,
            Err(error) => panic!("the bitmap is as large as it must be: {error}"),
        };
        Pull {
            release,
            layout,
            held,
            file: Vec::new(),
            came: 0,
        }
    }

    pub fn ask(&self, session: u64, work: u64) -> Vec<Wish> {
        let need = Need {
            session: Session(session),
            release: self.release,
            chunk_size: self.layout.chunk_size(),
            credit: CREDIT,
            ranges: self.held.next_ranges(u32::from(CREDIT)),
        };
        vec![
            Wish::Say(Kind::Need, bytes(&need).into()),
            Wish::Later(PATIENCE_MS, Job::Patience(work)),
        ]
    }

    pub fn take(&mut self, chunk: &Chunk<'_>) {
        let Ok(index) = self.layout.place(chunk.offset, chunk.data.len()) else {
            return;
        };
        let Some(range) = self.layout.range(index) else {
            return;
        };
        self.file
            .resize(usize::try_from(self.layout.size()).unwrap_or(0), 0);
        let place = |end: u64| usize::try_from(end).unwrap_or(usize::MAX);
        if let Some(bytes) = self.file.get_mut(place(range.start)..place(range.end)) {
            bytes.copy_from_slice(chunk.data);
            self.came += u32::from(self.held.insert(index));
        }
    }

    /// Everything that one request may bring has come.
    pub fn answered(&mut self) -> bool {
        let all = self.came >= u32::from(CREDIT);
        if all {
            self.came = 0;
        }
        all
    }

    pub fn is_complete(&self) -> bool {
        self.held.is_complete()
    }

    pub fn is_right(&self) -> bool {
        sha256(&self.file) == self.release
    }

    pub fn held(&self) -> u64 {
        self.held.held_bytes(&self.layout)
    }

    pub fn size(&self) -> u64 {
        self.layout.size()
    }
}
