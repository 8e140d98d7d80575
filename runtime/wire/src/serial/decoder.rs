//! Frames out of a stream of bytes, and into one.

use core::fmt;

use super::cobs::{Unstuff, longest, stuff};
use super::crc::crc32;
use super::message::Link;
use crate::envelope::{DecodeError, EncodeError, decode, encode};

/// The bytes of a frame's checksum.
const CRC: usize = 4;

/// Why bytes between two zeros were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// More bytes than the buffer holds.
    TooLong,
    /// The frame ended in the middle: bytes were lost.
    Cut,
    /// The checksum is wrong: bytes were changed.
    Checksum,
    /// Whole, and not a message.
    Message(DecodeError),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLong => {
                f.write_str("a frame was longer than the buffer; it was dropped")
            }
            FrameError::Cut => f.write_str("a frame lost bytes on the line; it was dropped"),
            FrameError::Checksum => f.write_str("a frame was damaged on the line; it was dropped"),
            FrameError::Message(e) => write!(f, "a frame is not a message: {e}"),
        }
    }
}

impl core::error::Error for FrameError {}

/// Collects a frame from bytes as they arrive, in `N` bytes: [`super::MAX_FRAME`] for any frame, fewer where the
/// other side was told to send less.
#[derive(Clone, Debug)]
pub struct Decoder<const N: usize> {
    buffer: [u8; N],
    length: usize,
    unstuff: Unstuff,
    too_long: bool,
    /// Something but a zero came since the last frame.
    begun: bool,
    /// The buffer's frame was given out.
    done: bool,
}

impl<const N: usize> Default for Decoder<N> {
    fn default() -> Decoder<N> {
        Decoder::new()
    }
}

impl<const N: usize> Decoder<N> {
    /// Nothing received.
    pub const fn new() -> Decoder<N> {
        Decoder {
            buffer: [0; N],
            length: 0,
            unstuff: Unstuff::new(),
            too_long: false,
            begun: false,
            done: false,
        }
    }

    /// Takes the next byte. Where it ends a frame, gives what the frame says, or why it was dropped; what is given
    /// borrows the buffer until the next byte.
    pub fn push(&mut self, byte: u8) -> Option<Result<Link<'_>, FrameError>> {
        if self.done {
            self.length = 0;
            self.unstuff = Unstuff::new();
            self.too_long = false;
            self.begun = false;
            self.done = false;
        }
        if byte != 0 {
            self.begun = true;
            if let Some(plain) = self.unstuff.push(byte) {
                match self.buffer.get_mut(self.length) {
                    Some(place) => {
                        *place = plain;
                        self.length += 1;
                    }
                    None => self.too_long = true,
                }
            }
            return None;
        }
        // Zeros in a row are the end of one frame and the start of the next.
        if !self.begun {
            return None;
        }
        self.done = true;
        Some(self.read())
    }

    fn read(&self) -> Result<Link<'_>, FrameError> {
        if self.too_long {
            return Err(FrameError::TooLong);
        }
        if !self.unstuff.is_whole() {
            return Err(FrameError::Cut);
        }
        let frame = self.buffer.get(..self.length).unwrap_or_default();
        let (message, sum) = frame.split_last_chunk::<CRC>().ok_or(FrameError::Cut)?;
        if crc32(message) != u32::from_le_bytes(*sum) {
            return Err(FrameError::Checksum);
        }
        decode(message).map_err(FrameError::Message)
    }
}

/// Writes `message` as a frame into `buffer` and gives the bytes to send. [`super::MAX_WIRE`] bytes always suffice;
/// a frame without a part takes far fewer.
pub fn encode_frame<'b>(message: &Link<'_>, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
    let plain = encode(message, buffer)?.len();
    let sum = crc32(buffer.get(..plain).unwrap_or_default()).to_le_bytes();
    let length = plain + CRC;
    // The stuffed bytes overtake the plain ones by no more than what is between them.
    let from = 1 + longest(length) - length;
    let end = from + length;
    if end >= buffer.len() {
        return Err(EncodeError::BufferTooSmall);
    }
    buffer.copy_within(..plain, from);
    buffer
        .get_mut(from + plain..end)
        .ok_or(EncodeError::BufferTooSmall)?
        .copy_from_slice(&sum);
    let stuffed = stuff(buffer, from, length, 1).ok_or(EncodeError::BufferTooSmall)?;
    for end in [0, 1 + stuffed] {
        *buffer.get_mut(end).ok_or(EncodeError::BufferTooSmall)? = 0;
    }
    buffer.get(..stuffed + 2).ok_or(EncodeError::BufferTooSmall)
}
