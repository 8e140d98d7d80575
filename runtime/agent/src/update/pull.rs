//! Pulling a model's chunks: what to ask for, and when to ask again. Without a clock or a file of its own.

use std::time::{Duration, Instant};

use sanderling_wire::{ChunkRange, Digest, Held, Layout, LayoutError, MAX_NEED_RANGES, Misfit};

use super::backoff::{self, Dice};

/// The longest wait between two requests for the same chunks.
const MAX_STALL: Duration = Duration::from_secs(300);

/// A pull on its way.
#[derive(Debug)]
pub struct Pull {
    release: Digest,
    layout: Layout,
    held: Held<Vec<u8>>,
    credit: u16,
    stall: Duration,
    /// Chunks of the last request that have not come.
    outstanding: u32,
    /// When the next request is due although chunks are outstanding.
    due: Option<Instant>,
    /// Requests in a row that brought nothing.
    fruitless: u32,
}

/// What a received chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Store it under this number.
    New(u32),
    /// It is held already.
    Again,
    /// It belongs to another release.
    Foreign,
}

impl Pull {
    /// A pull of `size` bytes in chunks of `chunk`, of which nothing is held yet.
    pub fn new(
        release: Digest,
        size: u64,
        chunk: u32,
        credit: u16,
        stall: Duration,
    ) -> Result<Pull, LayoutError> {
        let layout = Layout::new(size, chunk)?;
        let bits = vec![0; Held::bytes_for(&layout)];
        let held = Held::new(bits, &layout).map_err(|_| LayoutError::TooManyChunks)?;
        Ok(Pull {
            release,
            layout,
            held,
            credit,
            stall,
            outstanding: 0,
            due: None,
            fruitless: 0,
        })
    }

    /// Says that a chunk is in the slot.
    pub fn hold(&mut self, chunk: u32) {
        self.held.insert(chunk);
    }

    /// Changes how many chunks may be sent for one request.
    pub fn widen(&mut self, credit: u16) {
        self.credit = credit;
    }

    /// True when nothing lacks.
    pub fn is_complete(&self) -> bool {
        self.held.is_complete()
    }

    /// Bytes held, and bytes in all.
    pub fn progress(&self) -> (u64, u64) {
        (self.held.held_bytes(&self.layout), self.layout.size())
    }

    /// What is being pulled.
    pub fn release(&self) -> Digest {
        self.release
    }

    /// The size of a chunk, in bytes.
    pub fn chunk_size(&self) -> u32 {
        self.layout.chunk_size()
    }

    /// How the release is cut.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Chunks that may be sent for one request.
    pub fn credit(&self) -> u16 {
        self.credit
    }

    /// Requests in a row that brought nothing.
    pub fn fruitless(&self) -> u32 {
        self.fruitless
    }

    /// Where a received piece belongs.
    pub fn place(&self, release: Digest, offset: u64, length: usize) -> Result<Arrival, Misfit> {
        if release != self.release {
            return Ok(Arrival::Foreign);
        }
        let chunk = self.layout.place(offset, length)?;
        Ok(if self.held.has(chunk) {
            Arrival::Again
        } else {
            Arrival::New(chunk)
        })
    }

    /// Says that a new chunk came and was stored.
    pub fn stored(&mut self, chunk: u32, now: Instant) {
        self.held.insert(chunk);
        self.outstanding = self.outstanding.saturating_sub(1);
        self.fruitless = 0;
        self.due = Some(now + self.stall);
    }

    /// Puts the next request off: the fleet said that it cannot serve now.
    pub fn put_off(&mut self, now: Instant, wait: Duration) {
        self.outstanding = self.outstanding.max(1);
        self.due = Some(now + wait);
    }

    /// Forgets what is outstanding: the connection is new.
    pub fn start_over(&mut self) {
        self.outstanding = 0;
        self.due = None;
    }

    /// The ranges to ask for at `now`, if it is time: nothing is outstanding, or nothing came for too long.
    pub fn ask(
        &mut self,
        now: Instant,
        dice: &mut Dice,
    ) -> Option<heapless::Vec<ChunkRange, MAX_NEED_RANGES>> {
        if self.is_complete() {
            return None;
        }
        if self.outstanding > 0 {
            if self.due.is_some_and(|due| now < due) {
                return None;
            }
            self.fruitless += 1;
        }
        let ranges = self
            .held
            .next_ranges::<MAX_NEED_RANGES>(u32::from(self.credit));
        self.outstanding = ranges.iter().map(|range| range.count).sum();
        // The first wait is the stall itself; only repeats are stretched and shaken.
        let wait = match self.fruitless {
            0 => self.stall,
            n => self
                .stall
                .max(backoff::wait(n, self.stall, MAX_STALL, dice.roll())),
        };
        self.due = Some(now + wait);
        Some(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(5);

    fn pull(chunks: u64) -> Pull {
        Pull::new(Digest([1; 32]), chunks * 256, 256, 4, STALL).expect("a sound layout")
    }

    fn asked(pull: &mut Pull, now: Instant) -> Vec<u32> {
        let ranges = pull.ask(now, &mut Dice::new(1)).unwrap_or_default();
        ranges
            .iter()
            .flat_map(|range| range.first..range.first + range.count)
            .collect()
    }

    #[test]
    fn asks_for_a_window_and_then_for_the_next() {
        let (mut pull, now) = (pull(6), Instant::now());
        pull.hold(1);
        assert_eq!(asked(&mut pull, now), [0, 2, 3, 4]);
        for chunk in [0, 2, 3] {
            pull.stored(chunk, now);
            assert_eq!(asked(&mut pull, now), [0; 0], "the window is not used up");
        }
        pull.stored(4, now);
        assert_eq!(asked(&mut pull, now), [5]);
        pull.stored(5, now);
        assert!(pull.is_complete());
        assert_eq!(asked(&mut pull, now + 10 * STALL), [0; 0]);
        assert_eq!(pull.progress(), (6 * 256, 6 * 256));
    }

    #[test]
    fn silence_is_answered_with_another_request_later_and_later() {
        let (mut pull, now) = (pull(2), Instant::now());
        assert_eq!(asked(&mut pull, now), [0, 1]);
        assert_eq!(asked(&mut pull, now + STALL / 2), [0; 0]);
        assert_eq!(asked(&mut pull, now + STALL), [0, 1]);
        assert_eq!(pull.fruitless(), 1);
        assert_eq!(asked(&mut pull, now + STALL + STALL / 2), [0; 0]);
        assert_eq!(asked(&mut pull, now + 4 * STALL), [0, 1]);
        pull.stored(0, now + 4 * STALL);
        assert_eq!(pull.fruitless(), 0);
    }

    #[test]
    fn a_new_connection_asks_at_once() {
        let (mut pull, now) = (pull(2), Instant::now());
        assert_eq!(asked(&mut pull, now), [0, 1]);
        pull.start_over();
        assert_eq!(asked(&mut pull, now), [0, 1]);
    }

    #[test]
    fn pieces_find_their_place_or_are_refused() {
        let mut pull = pull(2);
        assert_eq!(pull.place(Digest([1; 32]), 256, 256), Ok(Arrival::New(1)));
        assert_eq!(pull.place(Digest([2; 32]), 256, 256), Ok(Arrival::Foreign));
        assert_eq!(pull.place(Digest([1; 32]), 255, 256), Err(Misfit::Offset));
        assert_eq!(pull.place(Digest([1; 32]), 256, 255), Err(Misfit::Length));
        pull.hold(1);
        assert_eq!(pull.place(Digest([1; 32]), 256, 256), Ok(Arrival::Again));
    }
}
