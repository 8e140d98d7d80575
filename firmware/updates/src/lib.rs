//! How a microcontroller gets its models: over a serial line, through two slots in flash, proved before they answer.
//!
//! ```text
//!   UART ─▶ Decoder ─▶ Node::hear ─▶ believe (signatures) ─▶ slots::step ─▶ record in flash
//!                          │                                     │
//!                          └─▶ fetch (full or delta) ─▶ spare slot in flash
//!   UART ◀─ Node::say ◀── hello, wants, state                    │
//!                                                                ▼
//!   board's loop ◀─ Node::work: run this slot, or test that one; Node::tested, Node::ran
//! ```
//!
//! [`Node`] has no hardware in it: the board brings a flash, the time, and an engine. It never waits; each call does
//! a bounded piece of work, so the board's loop can run its model between any two. What is pulled goes to the spare
//! slot alone, block by block, each marked in the journal once it is there, so power may fail at any moment.
//!
//! Nothing is believed because it arrived. With a root built in, a desired state must be signed by the fleet's key
//! and the release by the release keys; without one the node says in its state that nobody is asked.
#![no_std]
#![forbid(unsafe_code)]

mod believe;
mod fetch;
mod node;
mod report;
mod retry;
mod verify;

pub use believe::Belief;
pub use node::{CHUNK, Identity, Node, Task, TrialLength};
