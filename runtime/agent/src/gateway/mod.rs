//! The gateway: an agent that speaks for a microcontroller on a serial line, which the fleet sees as a robot of its own.
//!
//! ```text
//!  broker ◀── birth, state, need ──┐                ┌── hello, want, state ──◀ microcontroller
//!         ─── desired, chunk, cmd ─▶ Gateway, Files ─▶ greeting, part, desired ──▶ (UART)
//!                                  (this crate)
//! ```
//!
//! [`Gateway`] decides and does nothing: bytes of the line and messages of the fleet go in, [`Out`] says what is to be
//! sent where. [`edge`] has the connection and the device. Neither of the two believes anything on the microcontroller's
//! behalf: what it is sent is signed, or refused there.

pub mod edge;
mod files;
pub mod port;
mod speaker;

pub use speaker::{Gateway, Out};
