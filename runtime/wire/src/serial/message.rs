//! What is said over the serial link.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::MAX_FRAME;
use crate::birth::{MAX_TARGETS, Session};
use crate::digest::Digest;
use crate::envelope::Message;
use crate::inference::as_bytes;
use crate::name::Name;
use crate::text::Text;

/// The most bytes of a file in one frame.
pub const MAX_PART: usize = 4096;

/// The most bytes of a fleet's message in one frame.
pub const MAX_PIECE: usize = 1024;

/// Who a microcontroller is and what it can hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its name in the fleet.
    pub device: Name,
    /// The group whose desired state it follows.
    pub group: Name,
    /// The board, for people: `mps2-an386`.
    pub board: Text<48>,
    /// Its firmware and the version, for people.
    pub software: Text<48>,
    /// The packing targets that it can run, the preferred one first.
    pub targets: Vec<Name, MAX_TARGETS>,
    /// The largest plan file that a slot holds, in bytes.
    pub slot_bytes: u32,
    /// The largest arena that it can give a model, in bytes.
    pub arena_bytes: u32,
    /// The most bytes of a file that it takes in a frame, up to [`MAX_PART`].
    pub part_bytes: u16,
    /// How often it started.
    pub boot: u32,
}

/// The agent's answer to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The connection to the fleet that the agent holds for it: its messages carry this number.
    pub session: Session,
    /// Seconds since 1970, for a robot that has no clock.
    pub now_s: u64,
    /// The microcontroller's number of starts that is answered: an answer to an earlier one says nothing.
    pub boot: u32,
}

/// Which of the fleet's messages is carried. Its bytes are in their own envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Carried {
    /// A group's desired state, towards the microcontroller.
    Desired,
    /// The root of trust, towards the microcontroller.
    Root,
    /// A command, towards the microcontroller.
    Cmd,
    /// [`crate::State`], from the microcontroller.
    State,
    /// [`crate::Health`], from the microcontroller.
    Health,
    /// [`crate::Inference`], from the microcontroller.
    Result,
}

/// A fleet's message, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece<'a> {
    /// Which message it is.
    pub carried: Carried,
    /// Tells the pieces of one message from those of the next.
    pub number: u16,
    /// The message's length in bytes.
    pub total: u32,
    /// Where this piece begins in it.
    pub offset: u32,
    /// The piece, at most [`MAX_PIECE`] bytes.
    #[serde(borrow, serialize_with = "as_bytes")]
    pub data: &'a [u8],
}

/// A wish for bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// SHA-256 of the file: a plan, or a delta.
    pub file: Digest,
    /// The first byte wanted.
    pub offset: u32,
    /// How many, at most [`MAX_PART`].
    pub length: u16,
}

/// Bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part<'a> {
    /// SHA-256 of the file.
    pub file: Digest,
    /// Where the bytes begin.
    pub offset: u32,
    /// The bytes, at most [`MAX_PART`].
    #[serde(borrow, serialize_with = "as_bytes")]
    pub data: &'a [u8],
}

/// One frame's message.
// Frames are encoded and read in place, and there is no heap to box a large one on.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Link<'a> {
    /// Who is there.
    Hello(Hello),
    /// The answer to it.
    Greeting(Greeting),
    /// A message of the fleet's.
    #[serde(borrow)]
    Piece(Piece<'a>),
    /// Bytes are wanted.
    Want(Want),
    /// Bytes that were wanted.
    #[serde(borrow)]
    Part(Part<'a>),
    /// The file that was wanted is not to be had.
    Absent(Digest),
}

impl<'a> Message<'a> for Link<'a> {
    const MAX_LEN: usize = MAX_FRAME - 4;

    fn is_sound(&self) -> bool {
        match self {
            Link::Hello(hello) => {
                !hello.targets.is_empty() && (1..=MAX_PART).contains(&usize::from(hello.part_bytes))
            }
            Link::Piece(piece) => {
                let end = u32::try_from(piece.data.len())
                    .ok()
                    .and_then(|n| n.checked_add(piece.offset));
                (1..=MAX_PIECE).contains(&piece.data.len())
                    && end.is_some_and(|end| end <= piece.total)
            }
            Link::Want(want) => {
                (1..=MAX_PART).contains(&usize::from(want.length))
                    && want.offset.checked_add(u32::from(want.length)).is_some()
            }
            Link::Part(part) => {
                let length = u32::try_from(part.data.len()).ok();
                (1..=MAX_PART).contains(&part.data.len())
                    && length.is_some_and(|n| part.offset.checked_add(n).is_some())
            }
            Link::Greeting(_) | Link::Absent(_) => true,
        }
    }
}
