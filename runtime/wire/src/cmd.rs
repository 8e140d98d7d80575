//! What the fleet tells one robot.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::{MAX_SMALL_MESSAGE, Message};

/// The most ranges in one receipt.
pub const MAX_RECEIPT_RANGES: usize = 16;

/// Frames `first..=last` of one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRange {
    /// The boot counter.
    pub boot: u32,
    /// The first frame.
    pub first: u64,
    /// The last frame, included.
    pub last: u64,
}

impl FrameRange {
    /// True when the range covers this frame.
    pub fn covers(&self, frame: crate::FrameId) -> bool {
        self.boot == frame.boot && (self.first..=self.last).contains(&frame.seq)
    }
}

/// Why chunks are not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The fleet has no file with this digest; wait for another desired state.
    Unknown,
    /// The ranges or the chunk size do not fit the file.
    BadRange,
    /// The fleet's own storage failed; ask again later.
    Storage,
}

/// What a robot is told to do.
// One order lives at a time, and there is no heap to box one on.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Make yourself known to a person: blink, beep, or log a line.
    Identify,
    /// Stop answering frames until told to go on.
    Stop,
    /// Go on.
    Resume,
    /// Try the desired release again, though it failed before.
    Retry,
    /// Publish birth and state again; the fleet lacks them.
    Rebirth,
    /// These results are stored for good: remove them from the outbox.
    Receipt(Vec<FrameRange, MAX_RECEIPT_RANGES>),
    /// The request for this release is not served.
    Refused(Digest, Refusal),
}

/// An order with a number, so that a robot can tell a repeated delivery from a new order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cmd {
    /// Grows for each robot; a delivery with a number that was carried out already is ignored.
    /// 0 marks orders that may be carried out any number of times ([`Order::Receipt`], [`Order::Refused`]).
    pub id: u64,
    /// What to do.
    pub order: Order,
}

impl Message<'_> for Cmd {
    const MAX_LEN: usize = MAX_SMALL_MESSAGE;

    fn is_sound(&self) -> bool {
        match &self.order {
            Order::Receipt(ranges) => ranges.iter().all(|r| r.first <= r.last),
            _ => true,
        }
    }
}
