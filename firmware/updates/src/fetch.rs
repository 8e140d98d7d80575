//! Pulling a plan into the spare slot: chunk by chunk as it is, or made of the active one and a delta's blocks.
//!
//! A chunk and a delta's block are the same part of the plan, and the journal does not ask which way it came: a
//! download goes on by delta or without as it likes.

use core::cell::RefCell;

use embedded_storage::nor_flash::NorFlash;
use sanderling_delta::{Applier, ApplyError, Base, Block, Delta, HEADER_BYTES};
use sanderling_slots::nor::{Flash, FlashError};
use sanderling_slots::{Download, DownloadError, JournalHeader, Slot, Update};
use sanderling_wire::serial::{Part, Want};
use sanderling_wire::{Digest, Held, Layout};

use crate::node::CHUNK;
use crate::retry::Retry;

/// The most chunks of a plan: 4 MiB of them.
const MAX_CHUNKS: usize = 1024;
/// How often the same bytes are asked for in vain before the download is given up; with its waits, about a minute.
const MAX_ASKED: u32 = 14;

type Broken<F> = DownloadError<FlashError<<F as embedded_storage::nor_flash::ErrorType>::Error>>;

/// Working memory of a delta: its probabilities and one block's bytes.
pub(crate) struct Workshop {
    applier: Applier,
    input: [u8; CHUNK as usize],
}

impl Workshop {
    pub(crate) const fn new() -> Workshop {
        Workshop {
            applier: Applier::new(),
            input: [0; CHUNK as usize],
        }
    }
}

/// A download on its way.
pub(crate) struct Fetch {
    download: Download,
    layout: Layout,
    held: Held<[u8; MAX_CHUNKS / 8]>,
    /// Bytes of the next chunk that are written already.
    at: u32,
    delta: Option<Pull>,
    retry: Retry,
    part_bytes: u16,
}

/// How far a delta has come: its head, then for each block its entries and its bytes.
struct Pull {
    file: Digest,
    base: Slot,
    head: Option<Delta>,
    block: Option<Block>,
    got: u32,
}

/// What a part did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing: it was not asked for.
    Other,
    /// It was what is wanted next.
    Taken,
    /// The delta is of no use; what is missing is pulled as it is.
    NoDelta,
}

impl Fetch {
    /// Opens or goes on with the download of `update`. None where the plan has too many chunks.
    pub(crate) fn open<F: NorFlash>(
        flash: &mut Flash<F>,
        update: &Update,
        part_bytes: u16,
    ) -> Result<Option<Fetch>, Broken<F>> {
        let Ok(layout) = Layout::new(u64::from(update.image.size), CHUNK) else {
            return Err(DownloadError::Empty);
        };
        let Ok(mut held) = Held::new([0; MAX_CHUNKS / 8], &layout) else {
            return Ok(None);
        };
        let header = JournalHeader {
            slot: update.slot,
            digest: update.image.digest,
            size: update.image.size,
            chunk_size: CHUNK,
            round: update.round,
        };
        let download = Download::open(flash, header, |chunk| {
            held.insert(chunk);
        })?;
        Ok(Some(Fetch {
            download,
            layout,
            held,
            at: 0,
            delta: None,
            retry: Retry::default(),
            part_bytes,
        }))
    }

    /// Goes on by this delta from the plan in `base`.
    pub(crate) fn by_delta(&mut self, file: Digest, base: Slot) {
        if self.delta.is_none() {
            self.delta = Some(Pull {
                file,
                base,
                head: None,
                block: None,
                got: 0,
            });
            self.at = 0;
            self.retry = Retry::default();
        }
    }

    /// Bytes that are there for good.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held.held_bytes(&self.layout)
    }

    /// Chunks that are there for good.
    pub(crate) fn held_chunks(&self) -> u32 {
        self.held.held()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.held.is_complete()
    }

    /// True where nobody answers.
    pub(crate) fn is_in_vain(&self) -> bool {
        self.retry.asked() > MAX_ASKED
    }

    /// The wish to say now, if it is time.
    pub(crate) fn ask(&mut self, now_ms: u64) -> Option<Want> {
        let want = self.next()?;
        self.retry.is_due(now_ms).then_some(want)
    }

    fn chunk(&self) -> Option<u32> {
        self.held
            .next_ranges::<1>(1)
            .first()
            .map(|range| range.first)
    }

    /// What is missing next.
    fn next(&self) -> Option<Want> {
        let chunk = self.chunk()?;
        let want = |file, offset, left: u32| Want {
            file,
            offset,
            length: left.min(u32::from(self.part_bytes)) as u16,
        };
        let Some(pull) = &self.delta else {
            let (offset, length) = self.download.header().place(chunk)?;
            let file = Digest(self.download.header().digest);
            return Some(want(file, offset + self.at, length - self.at));
        };
        let (offset, left) = match (&pull.head, &pull.block) {
            (None, _) => (0, HEADER_BYTES as u32),
            (Some(head), None) => {
                let place = head.entry_place(chunk)?;
                (place.start, place.end - place.start)
            }
            (Some(_), Some(block)) => {
                let from = block.bytes.start + pull.got;
                (from, block.bytes.end - from)
            }
        };
        Some(want(pull.file, offset, left))
    }

    /// Takes bytes that arrived.
    pub(crate) fn part<F: NorFlash>(
        &mut self,
        flash: &mut Flash<F>,
        workshop: &mut Workshop,
        part: &Part<'_>,
    ) -> Result<Heard, Broken<F>> {
        let (Some(chunk), Some(next)) = (self.chunk(), self.next()) else {
            return Ok(Heard::Other);
        };
        if part.file != next.file
            || part.offset != next.offset
            || part.data.len() != usize::from(next.length)
        {
            return Ok(Heard::Other);
        }
        self.retry = Retry::default();
        if self.delta.is_some() {
            return self.delta_part(flash, workshop, chunk, part.data);
        }
        self.download.part(flash, chunk, self.at, part.data)?;
        self.at += part.data.len() as u32;
        if self
            .download
            .header()
            .place(chunk)
            .is_some_and(|(_, length)| self.at >= length)
        {
            self.finish(flash, chunk)?;
        }
        Ok(Heard::Taken)
    }

    /// A file that was asked for is not to be had.
    pub(crate) fn absent(&mut self, file: &Digest) -> Heard {
        match &self.delta {
            Some(pull) if pull.file == *file => self.without_delta(),
            _ => Heard::Other,
        }
    }

    fn without_delta(&mut self) -> Heard {
        self.delta = None;
        self.at = 0;
        self.retry = Retry::default();
        Heard::NoDelta
    }

    fn finish<F: NorFlash>(&mut self, flash: &mut Flash<F>, chunk: u32) -> Result<(), Broken<F>> {
        self.download.finish(flash, chunk)?;
        self.held.insert(chunk);
        self.at = 0;
        Ok(())
    }

    fn delta_part<F: NorFlash>(
        &mut self,
        flash: &mut Flash<F>,
        workshop: &mut Workshop,
        chunk: u32,
        data: &[u8],
    ) -> Result<Heard, Broken<F>> {
        let header = *self.download.header();
        let Some(pull) = &mut self.delta else {
            return Ok(Heard::Other);
        };
        let Some(head) = pull.head else {
            let head = data.first_chunk().and_then(|bytes| Delta::open(bytes).ok());
            let fits = |head: &Delta| {
                head.block() == CHUNK
                    && head.new_size() == header.size
                    && *head.new_digest() == header.digest
            };
            pull.head = head.filter(fits);
            return Ok(if pull.head.is_some() {
                Heard::Taken
            } else {
                self.without_delta()
            });
        };
        let block = match pull.block.take() {
            Some(block) => {
                let to = workshop
                    .input
                    .get_mut(pull.got as usize..)
                    .unwrap_or_default();
                for (to, from) in to.iter_mut().zip(data) {
                    *to = *from;
                }
                pull.got += data.len() as u32;
                block
            }
            None => {
                pull.got = 0;
                match head.block_at(chunk, data) {
                    Some(block) => block,
                    None => return Ok(self.without_delta()),
                }
            }
        };
        if pull.got < block.bytes.end - block.bytes.start {
            pull.block = Some(block);
            return Ok(Heard::Taken);
        }
        let input = workshop.input.get(..pull.got as usize).unwrap_or_default();
        let base = pull.base;
        let shared = RefCell::new(&mut *flash);
        let sink = |at: u32, piece: &[u8]| {
            self.download
                .part(*shared.borrow_mut(), chunk, at - block.offset, piece)
        };
        let applied =
            workshop
                .applier
                .block(&head, &block, input, &mut Active(&shared, base), sink);
        match applied {
            Ok(()) => {
                self.finish(flash, chunk)?;
                Ok(Heard::Taken)
            }
            Err(ApplyError::Sink(error)) => Err(error),
            Err(ApplyError::Base(error)) => Err(DownloadError::Medium(error)),
            // What was written of the chunk is erased when it is pulled as it is.
            Err(_) => Ok(self.without_delta()),
        }
    }
}

/// The active slot as a delta's base, while the spare one is written.
struct Active<'a, 'f, F>(&'a RefCell<&'f mut Flash<F>>, Slot);

impl<F: NorFlash> Base for Active<'_, '_, F> {
    type Error = FlashError<F::Error>;

    fn read(&mut self, offset: u32, into: &mut [u8]) -> Result<(), Self::Error> {
        self.0.borrow_mut().read_slot(self.1, offset, into)
    }
}
