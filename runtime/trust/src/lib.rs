//! Whom a robot believes: signed roots, releases and desired states, checked without a heap.
//!
//! ```text
//! configured root ──▶ Trust ◀── newer roots (topic `root`), each signed by the one before
//!                       │
//!   topic `desired` ──▶ desired(): fleet key, group, expiry, serial ──▶ Accepted ──▶ arm of this robot
//!                                                                          │
//!                       release(): release keys, expiry, floor ◀───────────┘ ──▶ Manifest
//! ```
//!
//! | threat | what stops it |
//! |---|---|
//! | arbitrary install | a manifest needs the threshold of release keys, a desired state the fleet key |
//! | rollback | the effective serial only grows ([`serial`]); a version below the [`Floors`] is refused |
//! | fast-forward | a new root with a higher epoch stands above every serial of the old one |
//! | freeze | statements expire, and the [`Clock`] is never behind the newest signed one, within [`MAX_AHEAD_S`] of a clock that is set |
//! | endless data | a signed size bounds what is pulled |
//! | mix-and-match | the group is signed, each kind of statement has a domain of its own |
//! | wrong board | the artifact is chosen by packing target, arena and flash ([`fit`]) |
//! | a stolen key | the root replaces it; thresholds count different keys |
//!
//! What is signed is `domain || SHA-256(statement)` by ed25519, so that a microcontroller checks a
//! statement where it lies, without a second buffer for the domain and the bytes in one piece.
#![no_std]
#![forbid(unsafe_code)]

mod clock;
mod desired;
mod fit;
mod floor;
mod key;
#[cfg(feature = "sign")]
mod key_file;
mod memory;
mod place;
mod refusal;
mod release;
mod role;
mod root;
pub mod serial;
#[cfg(feature = "sign")]
mod sign;

pub use clock::{Clock, MAX_AHEAD_S, NEVER_SET_S, Time, is_too_far};
pub use desired::Accepted;
pub use fit::{Limits, Misfit, fit};
pub use floor::{Floors, MAX_FLOORS};
pub use key::id;
#[cfg(feature = "sign")]
pub use key_file::{KeyFile, KeyFileError};
pub use memory::{MAX_MEMORY, Memory};
pub use place::place;
pub use refusal::{Refusal, Statement};
pub use release::unsigned_release;
pub use role::{Role, check};
pub use root::Trust;
#[cfg(feature = "sign")]
pub use sign::SigningKey;
