//! A fleet in simulated time: the real messages, slots, signatures and rollouts, and a network that fails.
//!
//! ```text
//!           ┌────────── coordinator ──────────┐   network: latency, loss,    ┌───────── robot × n ─────────┐
//!  person ─▶│ sanderling-rollout ─▶ Desired, ─┼─▶ time without a connection ─▶│ sanderling-trust, -slots,   │
//!           │ states, health ◀── signed       │◀── bytes by kind of topic ◀───│ its own silicon and weather │
//!           └─────────────────────────────────┘                              └─────────────────────────────┘
//! ```
//!
//! Every message is encoded by its sender and decoded by its receiver. Nothing here reads a clock: the same options
//! give the same figures, byte by byte.
#![forbid(unsafe_code)]

mod chance;
mod coordinator;
mod figures;
mod keys;
mod network;
mod options;
mod picture;
mod robot;
mod shelf;
mod world;

pub use figures::{Figures, Moment, Sent};
pub use options::{Options, Part};
pub use picture::picture;
pub use world::run;
