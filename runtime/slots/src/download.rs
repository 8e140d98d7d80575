//! Filling the spare slot chunk by chunk, so that a power cut costs at most the chunk that was being written.

use crate::journal::{JOURNAL_HEADER_BYTES, JournalHeader};
use crate::medium::Medium;

/// Why a chunk was not taken, or a download not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadError<E> {
    /// The storage failed.
    Medium(E),
    /// The model is empty or the chunk size is 0.
    Empty,
    /// There is no such chunk.
    NoSuchChunk,
    /// The chunk has another length.
    WrongLength,
}

impl<E> From<E> for DownloadError<E> {
    fn from(error: E) -> DownloadError<E> {
        DownloadError::Medium(error)
    }
}

/// A download on its way: where its chunks go. Which ones are held is told once, by [`Download::open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Download {
    header: JournalHeader,
}

impl Download {
    /// Goes on with the download that `header` names, or begins it where the journal speaks of another one.
    /// `held` hears of every chunk that the slot holds already.
    pub fn open<M: Medium>(
        medium: &mut M,
        header: JournalHeader,
        mut held: impl FnMut(u32),
    ) -> Result<Download, DownloadError<M::Error>> {
        if header.chunks() == 0 {
            return Err(DownloadError::Empty);
        }
        let mut found = [0; JOURNAL_HEADER_BYTES];
        medium.read_journal(&mut found)?;
        let mut marks = 0;
        if header.is_at(&found) {
            for chunk in 0..header.chunks() {
                if medium.is_marked(chunk)? {
                    marks += 1;
                    held(chunk);
                }
            }
        } else {
            // The old journal must be gone before the slot changes, or its marks would vouch for other bytes.
            medium.start_journal(&header.encode(), header.chunks())?;
        }
        if marks == 0 {
            // Also where the journal was found without a mark: power may have failed right after it was begun.
            medium.prepare(header.slot, header.size)?;
        }
        Ok(Download { header })
    }

    /// What is being downloaded.
    pub const fn header(&self) -> &JournalHeader {
        &self.header
    }

    /// Stores a chunk and then marks it, both durable on return. A chunk that is stored again changes nothing
    /// that counts.
    pub fn put<M: Medium>(
        &self,
        medium: &mut M,
        chunk: u32,
        bytes: &[u8],
    ) -> Result<(), DownloadError<M::Error>> {
        let (offset, length) = self.header.place(chunk).ok_or(DownloadError::NoSuchChunk)?;
        if bytes.len() != length as usize {
            return Err(DownloadError::WrongLength);
        }
        medium.write(self.header.slot, offset, bytes)?;
        self.finish(medium, chunk)
    }

    /// Stores a part of a chunk whose first byte is the chunk's `at`th. Parts come in order and begin with the chunk's
    /// first byte, again after every failure: on flash what was begun is erased with the first part. The chunk
    /// counts once [`Download::finish`] was called.
    pub fn part<M: Medium>(
        &self,
        medium: &mut M,
        chunk: u32,
        at: u32,
        bytes: &[u8],
    ) -> Result<(), DownloadError<M::Error>> {
        let (offset, length) = self.header.place(chunk).ok_or(DownloadError::NoSuchChunk)?;
        let end = u32::try_from(bytes.len())
            .ok()
            .and_then(|n| n.checked_add(at));
        if end.is_none_or(|end| end > length) {
            return Err(DownloadError::WrongLength);
        }
        medium.write(self.header.slot, offset + at, bytes)?;
        Ok(())
    }

    /// Marks a chunk all of whose parts were stored.
    pub fn finish<M: Medium>(
        &self,
        medium: &mut M,
        chunk: u32,
    ) -> Result<(), DownloadError<M::Error>> {
        if chunk >= self.header.chunks() {
            return Err(DownloadError::NoSuchChunk);
        }
        medium.set_mark(chunk)?;
        Ok(())
    }
}
