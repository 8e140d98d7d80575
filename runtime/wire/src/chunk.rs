//! A piece of a plan file, sent because a robot asked for it.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::{MAX_MESSAGE, Message};
use crate::inference::as_bytes;
use crate::layout::MAX_CHUNK;

/// Bytes of a release. The receiver checks place and length with [`crate::Layout::place`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk<'a> {
    /// SHA-256 of the whole plan file.
    pub release: Digest,
    /// Where the bytes stand in the file.
    pub offset: u64,
    /// The bytes, at most [`MAX_CHUNK`].
    #[serde(borrow, serialize_with = "as_bytes")]
    pub data: &'a [u8],
}

impl<'a> Message<'a> for Chunk<'a> {
    const MAX_LEN: usize = MAX_MESSAGE;

    fn is_sound(&self) -> bool {
        !self.data.is_empty()
            && self.data.len() <= MAX_CHUNK as usize
            && self.offset.checked_add(self.data.len() as u64).is_some()
    }
}
