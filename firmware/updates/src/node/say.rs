//! What the node says: who it is until it is greeted, then its state, and what it wants.

use embedded_storage::nor_flash::NorFlash;
use sanderling_wire::serial::{Carried, Hello, Link, MAX_PIECE, Piece, encode_frame};
use sanderling_wire::{Session, Text, encode};

use super::{Job, Node};
use crate::report;

/// How long a download that goes on after a start waits to hear of a delta, in milliseconds.
const PATIENCE: u64 = 3_000;
/// How often the state is said where nothing changes, in milliseconds.
const HEARTBEAT: u64 = 10_000;

/// A message on its way out, in pieces.
pub(super) struct Outgoing {
    bytes: [u8; 768],
    length: usize,
    sent: usize,
    number: u16,
}

impl Outgoing {
    /// Nothing.
    pub(super) const fn new() -> Outgoing {
        Outgoing {
            bytes: [0; 768],
            length: 0,
            sent: 0,
            number: 0,
        }
    }
}

impl<F: NorFlash> Node<F> {
    /// The next frame to send, if there is one; `buffer` holds any frame with 1,200 bytes.
    pub fn say<'b>(&mut self, now_ms: u64, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let Some((session, _, _)) = self.greeted else {
            if !self.hello.is_due(now_ms) {
                return None;
            }
            let hello = self.introduction();
            return encode_frame(&Link::Hello(hello), buffer).ok();
        };
        if self.outgoing.sent == self.outgoing.length {
            self.compose(session, now_ms);
        }
        if self.outgoing.sent < self.outgoing.length {
            return self.next_piece(buffer);
        }
        let heard_of_wish =
            self.wish.is_some() || now_ms.saturating_sub(self.started_ms) > PATIENCE;
        match &mut self.job {
            Job::Fetch(fetch) if heard_of_wish => {
                let want = fetch.ask(now_ms)?;
                encode_frame(&Link::Want(want), buffer).ok()
            }
            _ => None,
        }
    }

    fn introduction(&self) -> Hello {
        let identity = &self.identity;
        Hello {
            device: identity.device.clone(),
            group: identity.group.clone(),
            board: Text::cut(identity.board),
            software: Text::cut(identity.software),
            targets: identity.targets.clone(),
            slot_bytes: self.slot_bytes(),
            arena_bytes: identity.arena_bytes,
            part_bytes: identity.part_bytes,
            boot: identity.boot,
        }
    }

    fn compose(&mut self, session: Session, now_ms: u64) {
        let (held, chunks) = match &self.job {
            Job::Fetch(fetch) => (fetch.held_bytes(), fetch.held_chunks()),
            _ => (0, 0),
        };
        let further = chunks >= self.said_chunks + 8;
        if !self.state_due && !further && now_ms.saturating_sub(self.said_ms) < HEARTBEAT {
            return;
        }
        let state = report::state(
            &self.stored.state,
            session,
            held,
            self.failure.as_ref(),
            self.belief.anchor(),
        );
        self.state_due = false;
        self.said_ms = now_ms;
        self.said_chunks = chunks;
        let outgoing = &mut self.outgoing;
        outgoing.sent = 0;
        outgoing.number = outgoing.number.wrapping_add(1);
        outgoing.length = encode(&state, &mut outgoing.bytes).map_or(0, <[u8]>::len);
    }

    fn next_piece<'b>(&mut self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let outgoing = &mut self.outgoing;
        let end = outgoing.length.min(outgoing.sent + MAX_PIECE);
        let piece = Piece {
            carried: Carried::State,
            number: outgoing.number,
            total: outgoing.length as u32,
            offset: outgoing.sent as u32,
            data: outgoing.bytes.get(outgoing.sent..end)?,
        };
        outgoing.sent = end;
        encode_frame(&Link::Piece(piece), buffer).ok()
    }
}
