//! A robot asks for chunks that it lacks; nothing is sent unasked.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::birth::Session;
use crate::digest::Digest;
use crate::envelope::{MAX_SMALL_MESSAGE, Message};
use crate::layout::{ChunkRange, MAX_CHUNK, MIN_CHUNK};

/// The most ranges in one request.
pub const MAX_NEED_RANGES: usize = 16;

/// A request for chunks. It replaces every earlier request of the same robot: what an earlier one
/// still had coming is forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The connection it is said on.
    pub session: Session,
    /// SHA-256 of the plan file that is wanted.
    pub release: Digest,
    /// The size of a chunk that the robot counts in, in bytes.
    pub chunk_size: u32,
    /// The most chunks that may be sent for this request.
    pub credit: u16,
    /// What is lacking, in the order wanted.
    pub ranges: Vec<ChunkRange, MAX_NEED_RANGES>,
}

impl Message<'_> for Need {
    const MAX_LEN: usize = MAX_SMALL_MESSAGE;

    fn is_sound(&self) -> bool {
        (MIN_CHUNK..=MAX_CHUNK).contains(&self.chunk_size)
            && self
                .ranges
                .iter()
                .all(|r| r.count > 0 && r.first.checked_add(r.count).is_some())
    }
}
