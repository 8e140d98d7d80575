//! The serial link between a microcontroller and the agent that speaks for it: frames, and what is said in them.
//!
//! ```text
//!        ┌──────┬────────────────────────────────────────────┬──────┐
//!  wire  │ 0x00 │ COBS of everything below: no zero byte     │ 0x00 │
//!        └──────┴────────────────────────────────────────────┴──────┘
//!        ┌──────────────┬───────────────────────┬────────────────┐
//!  frame │ version 0x01 │ postcard of a [`Link`]│ CRC-32, little │
//!        └──────────────┴───────────────────────┴────────────────┘
//! ```
//!
//! A zero byte ends a frame wherever it stands, so after noise, a lost byte, or a start in the middle the next frame
//! is read again. Frames that were damaged are dropped and counted; nothing is acknowledged here, for everything that
//! matters is asked for again by who wants it: the microcontroller repeats [`Link::Hello`] until it is greeted and
//! [`Link::Need`] until it has the bytes, the agent repeats what is retained after each `Hello`.
//!
//! | frame | from → to | |
//! |---|---|---|
//! | [`Hello`] | microcontroller → agent | who it is, and what it can hold; at its start, and until greeted |
//! | [`Greeting`] | agent → microcontroller | the time, and how large chunks may be |
//! | [`Piece`] | both ways | a message of the fleet's, in pieces where it is larger than a frame |
//! | [`Want`] | microcontroller → agent | bytes of a plan or a delta, by digest |
//! | [`Part`] | agent → microcontroller | these bytes |
//! | [`Link::Absent`] | agent → microcontroller | there is no such file here; want another one |

mod assembly;
mod cobs;
mod crc;
mod decoder;
mod message;

pub use assembly::{Assembly, pieces};
pub use decoder::{Decoder, FrameError, encode_frame};
pub use message::{Carried, Greeting, Hello, Link, MAX_PART, MAX_PIECE, Part, Piece, Want};

/// The longest frame before COBS, checksum included, in bytes.
pub const MAX_FRAME: usize = MAX_PART + 64;

/// The most bytes that a frame takes on the wire, both ends' zeros included.
pub const MAX_WIRE: usize = cobs::longest(MAX_FRAME) + 2;
