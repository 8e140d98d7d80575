//! The envelope: one version byte, then the message in postcard, then nothing.
//!
//! ```text
//! byte 0        1 ...                      end
//!      +--------+---------------------------+
//!      | 0x02   | postcard of the message   |
//!      +--------+---------------------------+
//! ```
//!
//! A change of any message's format takes a new version byte, so an old reader says "version 3,
//! I read 2" instead of misreading. Bytes left over are an error: nothing may hide behind a message.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::layout::MAX_CHUNK;

/// The version of the format that this crate writes and reads.
pub const VERSION: u8 = 2;

/// No message is longer than this many bytes, envelope included; brokers and buffers can be sized by it.
pub const MAX_MESSAGE: usize = MAX_CHUNK as usize + 64;

/// No message but a chunk or a raw result is longer than this many bytes, envelope included.
pub const MAX_SMALL_MESSAGE: usize = 4096;

/// A message that travels in an envelope. `'a` is the life of the received bytes that it may borrow.
pub trait Message<'a>: Serialize + Deserialize<'a> {
    /// The longest encoding of a valid message of this type, in bytes, envelope included.
    const MAX_LEN: usize;

    /// Checks what the types cannot say (sums, products, order). Called on both sides.
    fn is_sound(&self) -> bool {
        true
    }
}

/// Why a message could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The buffer is too small; [`Message::MAX_LEN`] bytes always suffice.
    BufferTooSmall,
    /// The message contradicts itself, and a reader would refuse it.
    Unsound,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EncodeError::BufferTooSmall => {
                "the buffer is too small for this message; give it the message's MAX_LEN bytes"
            }
            EncodeError::Unsound => {
                "the message breaks its own bounds; check sizes, ranges and shapes before sending"
            }
        })
    }
}

impl core::error::Error for EncodeError {}

/// Why received bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// There is no byte at all.
    Empty,
    /// The first byte names a version that this program does not read.
    Version(u8),
    /// More bytes than any message of this type has.
    TooLong,
    /// The bytes after the version are not this message.
    Malformed,
    /// A whole message, and then more bytes.
    Trailing,
    /// Readable, but its parts contradict each other or leave their bounds.
    Unsound,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Empty => f.write_str("the message is empty; the sender must send an envelope"),
            DecodeError::Version(v) => write!(
                f,
                "message format version {v} is not readable here (this program reads {VERSION}); update the older side"
            ),
            DecodeError::TooLong => f.write_str("the message is longer than its kind may be; it was dropped"),
            DecodeError::Malformed => {
                f.write_str("the bytes are not a message of this kind; check which program publishes on this topic")
            }
            DecodeError::Trailing => f.write_str("bytes follow after the message; it was dropped"),
            DecodeError::Unsound => f.write_str("the message contradicts itself; it was dropped"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Writes `message` into `buffer` and returns the bytes to send.
pub fn encode<'b, 'a, M: Message<'a>>(
    message: &M,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], EncodeError> {
    if !message.is_sound() {
        return Err(EncodeError::Unsound);
    }
    let (first, rest) = buffer
        .split_first_mut()
        .ok_or(EncodeError::BufferTooSmall)?;
    *first = VERSION;
    // The only way in which postcard fails on these types is a full buffer.
    let body = postcard::to_slice(message, rest)
        .map_err(|_| EncodeError::BufferTooSmall)?
        .len();
    buffer.get(..1 + body).ok_or(EncodeError::BufferTooSmall)
}

/// Reads one message from `bytes`. Returns for every input; what it returns borrows from `bytes`.
pub fn decode<'a, M: Message<'a>>(bytes: &'a [u8]) -> Result<M, DecodeError> {
    let (&version, body) = bytes.split_first().ok_or(DecodeError::Empty)?;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    if bytes.len() > M::MAX_LEN {
        return Err(DecodeError::TooLong);
    }
    let (message, rest) =
        postcard::take_from_bytes::<M>(body).map_err(|_| DecodeError::Malformed)?;
    if !rest.is_empty() {
        return Err(DecodeError::Trailing);
    }
    if !message.is_sound() {
        return Err(DecodeError::Unsound);
    }
    Ok(message)
}
