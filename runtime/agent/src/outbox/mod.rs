//! Results on disk until the fleet has them: a broker that is gone, a robot out of reach, and a killed agent cost none.
//!
//! ```text
//! FOLDER/0000000000000001.seg ... append-only segments (see `segment`), the last one is written to
//! FOLDER/cursor               segment u64, offset u64, CRC-32: everything before it is confirmed
//! ```
//!
//! A result is appended first and published from there. It leaves when it is confirmed, and its segment is deleted
//! once everything in it is. The cursor is a hint and is not synced: an old one makes the agent publish again what
//! the fleet already counted, and the fleet counts each frame once.
//!
//! At the bound the stated policy decides: `drop-oldest` deletes the oldest segment, `drop-newest` refuses the new
//! result. Both are counted. When the disk fails or is full, results wait in memory, up to a bound, and inference goes on.

pub mod segment;
mod store;
mod window;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sanderling_wire::FrameId;

pub use store::Repair;
use store::Store;
use window::{Waiting, Window};

/// What happens to results when the outbox is at its bound.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The oldest segment is deleted: what happened last is what people ask about.
    #[default]
    DropOldest,
    /// The new result is refused: the beginning of an outage is kept.
    DropNewest,
}

/// The bounds of an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all segments together.
    pub bytes: u64,
    /// What happens beyond.
    pub policy: Policy,
}

/// What became of a result that was handed to [`Outbox::append`].
#[derive(Debug)]
pub enum Kept {
    /// It is in a segment.
    OnDisk,
    /// The disk refused it; it is in memory and will be published, unless the agent ends before.
    InMemory(io::Error),
    /// There was no room for it in memory either, or the policy refused it. It was counted as dropped.
    Dropped,
}

/// The outbox of one agent.
#[derive(Debug)]
pub struct Outbox {
    store: Store,
    window: Window,
    limits: Limits,
    dropped: u64,
}

impl Outbox {
    /// Opens the outbox in `folder` and goes on where the last process stopped. A torn tail is cut off.
    pub fn open(folder: &Path, limits: Limits) -> io::Result<(Outbox, Repair)> {
        let (store, repair) = Store::open(folder, limits.bytes)?;
        Ok((
            Outbox {
                store,
                window: Window::default(),
                limits,
                dropped: 0,
            },
            repair,
        ))
    }

    /// Takes a result: `payload` is what will be published.
    pub fn append(&mut self, frame: FrameId, payload: &[u8]) -> Kept {
        let size = (segment::RECORD_HEADER_BYTES + payload.len()) as u64;
        if payload.len() > segment::MAX_PAYLOAD || size > self.limits.bytes {
            self.dropped += 1;
            return Kept::Dropped;
        }
        while self.store.bytes() + size > self.limits.bytes {
            match self.limits.policy {
                Policy::DropNewest => {
                    self.dropped += 1;
                    return Kept::Dropped;
                }
                Policy::DropOldest => match self.store.drop_oldest() {
                    Some((segment, unread)) => {
                        self.dropped += unread + self.window.forget_segment(segment);
                    }
                    None => break,
                },
            }
        }
        let next_to_read = self.store.everything_is_read();
        match self.store.append(frame, payload) {
            Ok(end) => {
                // The usual case, a fleet that keeps up: what was just written need not be read back.
                if next_to_read && self.window.has_room(payload.len()) {
                    self.window
                        .push(Waiting::stored(frame, payload.to_vec(), end));
                    self.store.skip_to(end);
                }
                Kept::OnDisk
            }
            Err(error) => match self.window.push_unstored(frame, payload.to_vec()) {
                true => Kept::InMemory(error),
                false => {
                    self.dropped += 1;
                    Kept::Dropped
                }
            },
        }
    }

    /// The next result to publish, if there is one: not sent on this connection yet, or sent longer than
    /// `resend_after` ago without a confirmation. It is marked as sent.
    pub fn next_to_send(
        &mut self,
        now: Instant,
        resend_after: Duration,
    ) -> Option<(FrameId, Vec<u8>)> {
        self.fill_window();
        self.window.next_to_send(now, resend_after)
    }

    /// Forgets what was sent: the connection is new, and what an old one carried may be lost.
    pub fn connection_lost(&mut self) {
        self.window.forget_sent();
    }

    /// Confirms the frames `first..=last` of one boot: the fleet has them for good. Returns how many left.
    pub fn confirm(&mut self, boot: u32, first: u64, last: u64) -> usize {
        let confirmed = self.window.confirm(boot, first, last);
        if let Some(end) = self.window.pop_confirmed() {
            self.store.advance(end);
        }
        confirmed
    }

    /// Reads ahead from the segments while there is room in memory.
    fn fill_window(&mut self) {
        while self.window.has_room(0) {
            match self.store.read_next() {
                Some((frame, payload, end)) => {
                    self.window.push(Waiting::stored(frame, payload, end))
                }
                None => return,
            }
        }
    }

    /// Results that wait for a confirmation.
    pub fn depth(&self) -> u64 {
        self.store.unread() + self.window.unconfirmed()
    }

    /// Results that were lost at the bound.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.store.bytes()
    }

    /// The file whose `sync_data` puts everything that was appended on the medium; none where there is nothing to
    /// do. The caller syncs it without holding the outbox.
    pub fn begin_sync(&mut self) -> io::Result<Option<File>> {
        self.store.begin_sync()
    }

    /// Notes how far results are confirmed, without waiting for the medium.
    pub fn note_cursor(&mut self) -> io::Result<()> {
        self.store.note_cursor()
    }

    /// The folder it lives in.
    pub fn folder(&self) -> PathBuf {
        self.store.folder().to_path_buf()
    }
}

#[cfg(test)]
mod tests;
