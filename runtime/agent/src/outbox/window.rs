//! The part of the outbox that is in memory: results that were read and wait for their confirmation, in order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sanderling_wire::FrameId;

use super::store::Position;

/// The most results in memory.
const MAX_RESULTS: usize = 4096;
/// The most payload bytes in memory.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A result that waits.
#[derive(Debug)]
pub struct Waiting {
    frame: FrameId,
    payload: Vec<u8>,
    /// Where the record behind it begins; none where the disk would not take it.
    end: Option<Position>,
    sent: Option<Instant>,
    confirmed: bool,
}

impl Waiting {
    /// A result that is in a segment, which goes on at `end`.
    pub fn stored(frame: FrameId, payload: Vec<u8>, end: Position) -> Waiting {
        Waiting {
            frame,
            payload,
            end: Some(end),
            sent: None,
            confirmed: false,
        }
    }
}

/// Results in memory, oldest first.
#[derive(Debug, Default)]
pub struct Window {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    confirmed: u64,
    /// Everything before this place in `waiting` was sent on this connection, and nothing needs to be looked at again.
    unsent_from: usize,
}

impl Window {
    pub fn has_room(&self, payload: usize) -> bool {
        self.waiting.len() < MAX_RESULTS && self.bytes + payload <= MAX_BYTES
    }

    pub fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.payload.len();
        self.waiting.push_back(waiting);
    }

    /// Takes a result that the disk refused; false where there is no room.
    pub fn push_unstored(&mut self, frame: FrameId, payload: Vec<u8>) -> bool {
        let room = self.has_room(payload.len());
        if room {
            self.push(Waiting {
                frame,
                payload,
                end: None,
                sent: None,
                confirmed: false,
            });
        }
        room
    }

    pub fn unconfirmed(&self) -> u64 {
        self.waiting.len() as u64 - self.confirmed
    }

    pub fn next_to_send(
        &mut self,
        now: Instant,
        resend_after: Duration,
    ) -> Option<(FrameId, Vec<u8>)> {
        let late = |waiting: &Waiting| {
            waiting
                .sent
                .is_some_and(|sent| now.saturating_duration_since(sent) >= resend_after)
        };
        // The oldest result is the one that waits longest: when it is late, so are those sent along with it.
        if self
            .waiting
            .iter()
            .find(|waiting| !waiting.confirmed)
            .is_some_and(late)
        {
            self.waiting
                .iter_mut()
                .filter(|waiting| late(waiting))
                .for_each(|waiting| waiting.sent = None);
            self.unsent_from = 0;
        }
        let unsent = |index: &usize| {
            let waiting = &self.waiting[*index];
            !waiting.confirmed && waiting.sent.is_none()
        };
        let index = (self.unsent_from..self.waiting.len()).find(unsent);
        self.unsent_from = index.map_or(self.waiting.len(), |index| index + 1);
        let index = index?;
        let waiting = self.waiting.get_mut(index)?;
        waiting.sent = Some(now);
        Some((waiting.frame, waiting.payload.clone()))
    }

    pub fn forget_sent(&mut self) {
        self.unsent_from = 0;
        self.waiting
            .iter_mut()
            .for_each(|waiting| waiting.sent = None);
    }

    /// Marks the frames `first..=last` of a boot as confirmed; returns how many had not been.
    pub fn confirm(&mut self, boot: u32, first: u64, last: u64) -> usize {
        let mut count = 0;
        for waiting in &mut self.waiting {
            let covered = waiting.frame.boot == boot && (first..=last).contains(&waiting.frame.seq);
            if covered && !waiting.confirmed {
                waiting.confirmed = true;
                count += 1;
            }
        }
        self.confirmed += count as u64;
        count
    }

    /// Lets go of the confirmed results at the front; returns where the first record still needed begins, if any left.
    pub fn pop_confirmed(&mut self) -> Option<Position> {
        let mut end = None;
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.confirmed) {
            self.bytes -= waiting.payload.len();
            self.confirmed -= 1;
            self.unsent_from = self.unsent_from.saturating_sub(1);
            end = waiting.end.or(end);
        }
        end
    }

    /// Lets go of every result of a segment that is deleted; returns how many were not confirmed.
    pub fn forget_segment(&mut self, segment: u64) -> u64 {
        let mut lost = 0;
        let mut index = 0;
        while let Some(waiting) = self.waiting.get(index) {
            // A record whose end is the next segment's beginning cannot be: ends lie in the record's own segment.
            if waiting.end.is_some_and(|end| end.segment == segment) {
                self.bytes -= waiting.payload.len();
                match waiting.confirmed {
                    true => self.confirmed -= 1,
                    false => lost += 1,
                }
                self.waiting.remove(index);
                if index < self.unsent_from {
                    self.unsent_from -= 1;
                }
            } else {
                index += 1;
            }
        }
        lost
    }
}
