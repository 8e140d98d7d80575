//! What turns the plan that a robot has into the next one: made in blocks, applied in bounded memory.
//!
//! A delta names its base and its result by SHA-256. The result is cut into blocks, and each is made of the base and
//! of its own bytes in the delta alone: blocks are applied in any order, a power cut costs one of them, and what a
//! download's journal marks is blocks. See [`header`] for the file.
//!
//! A block is a row of operations: bytes of the base as they are, bytes of the base with a residual each, and bytes
//! that are told outright ([`operation`]). Residuals are what training moved: small steps of 8-bit weights. They go
//! through an adaptive range coder ([`residual`]) whose probabilities, 2.5 KB of them, start anew with each block.
//!
//! ```text
//!  robot: base in the active slot ──┐
//!         block's bytes ───────────▶ Applier ─▶ 256-byte pieces ─▶ spare slot
//!         (pulled, at most a block)  │
//!                                    └─ CRC-32 of the block; SHA-256 of the whole is the caller's
//! ```
//!
//! [`Applier`] has no heap and allocates nothing; with blocks of 4 KiB, input included, applying takes less than
//! 8 KiB. Bytes from outside never make it panic, read outside of the base, or give more than the block's length.
//!
//! The feature `make` adds [`make`], which is for the fleet's side.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "make")]
extern crate std;

mod apply;
mod chance;
mod crc;
pub mod header;
#[cfg(feature = "make")]
mod make;
mod operation;
mod range;
mod residual;
mod word;

pub use apply::{Applier, ApplyError, Base, PIECE};
pub use header::{Block, Delta, ENTRY_BYTES, HEADER_BYTES, HeaderError, MAX_BLOCK, MIN_BLOCK};
#[cfg(feature = "make")]
pub use make::{MakeError, WholeError, apply, block_for, make, make_while, pays};
