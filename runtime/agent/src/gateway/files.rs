//! Pieces of files that were pulled from the fleet for the microcontroller: it asks for a few KiB, the fleet sends more.

use std::collections::VecDeque;

use sanderling_wire::{DEFAULT_CHUNK, Digest};

/// Chunks that are kept: two downloads that take turns do not pull everything twice.
const KEPT: usize = 8;

/// The chunks that were used last.
#[derive(Debug, Default)]
pub(super) struct Files {
    chunks: VecDeque<((Digest, u32), Vec<u8>)>,
}

impl Files {
    /// Keeps a chunk in place of the one that was pulled longest ago.
    pub(super) fn keep(&mut self, file: Digest, chunk: u32, bytes: &[u8]) {
        let key = (file, chunk);
        self.chunks.retain(|(known, _)| *known != key);
        self.chunks.push_back((key, bytes.to_vec()));
        if self.chunks.len() > KEPT {
            self.chunks.pop_front();
        }
    }

    fn chunk(&self, file: Digest, chunk: u32) -> Option<&[u8]> {
        let found = self.chunks.iter().find(|(key, _)| *key == (file, chunk));
        found.map(|(_, bytes)| bytes.as_slice())
    }

    /// The bytes at `offset`, or the chunk that is missing for them.
    pub(super) fn read(&self, file: Digest, offset: u32, length: u16) -> Result<Vec<u8>, u32> {
        let mut bytes = Vec::with_capacity(usize::from(length));
        let (mut at, mut left) = (offset, usize::from(length));
        while left > 0 {
            let index = at / DEFAULT_CHUNK;
            let rest = self
                .chunk(file, index)
                .and_then(|chunk| chunk.get((at % DEFAULT_CHUNK) as usize..))
                .filter(|rest| !rest.is_empty())
                .ok_or(index)?;
            let part = &rest[..left.min(rest.len())];
            bytes.extend_from_slice(part);
            left -= part.len();
            // Below the end of a part that `Want` was checked to have in 32 bits.
            at = at.saturating_add(part.len() as u32);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_from_as_many_chunks_as_they_lie_in() {
        let file = Digest([1; 32]);
        let mut files = Files::default();
        assert_eq!(files.read(file, DEFAULT_CHUNK - 2, 4), Err(0));
        files.keep(file, 0, &vec![7; DEFAULT_CHUNK as usize]);
        assert_eq!(files.read(file, DEFAULT_CHUNK - 2, 4), Err(1));
        files.keep(file, 1, &[8; 3]);
        assert_eq!(files.read(file, DEFAULT_CHUNK - 2, 4), Ok(vec![7, 7, 8, 8]));
        assert_eq!(
            files.read(file, DEFAULT_CHUNK, 4),
            Err(1),
            "past the end it is missing"
        );
        assert_eq!(files.read(Digest([2; 32]), 0, 1), Err(0));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut files = Files::default();
        for chunk in 0..20 {
            files.keep(Digest([1; 32]), chunk, &[chunk as u8]);
        }
        assert_eq!(files.chunks.len(), KEPT);
        assert_eq!(
            files.read(Digest([1; 32]), 19 * DEFAULT_CHUNK, 1),
            Ok(vec![19])
        );
    }
}
