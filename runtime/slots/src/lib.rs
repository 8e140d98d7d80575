//! Two model slots on flash or files, and the state machine that decides which one runs, whatever is cut off when.
//!
//! One slot holds the model that worked and is never written; the other takes the next model. The machine is a pure
//! function, [`step`]: a state and an event in, a new state and a few actions out. Whoever drives it saves the new
//! state first ([`save`]) and acts afterwards, so that a power cut between any two writes finds a record that is true.
//!
//! | phase       | the spare slot holds            | what runs       | event, and what follows                                                    |
//! |-------------|---------------------------------|-----------------|----------------------------------------------------------------------------|
//! | idle        | nothing, or the model before    | the active slot | wanted: downloading; wanted and already in the spare slot: verifying       |
//! | downloading | the chunks the journal marks    | the active slot | all here: verifying; gave up: idle; something else is wanted: start over   |
//! | verifying   | all bytes, not yet trusted      | the active slot | digest right: self-testing; wrong once: downloading again; twice: idle, bad |
//! | self-testing| the right bytes                 | the active slot | golden vectors right: trial; wrong, or started too often: idle, bad        |
//! | trial       | a proved model                  | the spare slot  | passed: the slots change roles, idle; failed or started too often: idle, bad |
//! | beside      | a proved model                  | the active slot | wanted to run: trial; no longer wanted beside it: idle; started too often: idle, bad |
//!
//! Each phase has a time limit: the table is in `limits.rs`, [`Watch`] gives the event that ends a phase.
//! An update that is only wanted *beside* the active model (its answers are compared and not acted on) goes the same
//! way and waits in the phase of that name instead of beginning its trial.
//!
//! "Bad" means that the digest is remembered in the record and refused until a newer version names it again or
//! somebody says [`Event::Retry`]: a model that failed here is not tried again in a loop.
//!
//! What the crate does not know: time, threads, paths, the network, SHA-256. A driver measures a trial with
//! [`Trial`], fills the spare slot through [`Download`], and reports what it saw as events. The only thing asked of
//! the medium is [`Medium`], which a folder of files and a NOR flash can both be; for flash there is [`nor`], behind
//! the feature `nor-flash`.
//!
//! Invariant, held by `tests/cut_points.rs`, `tests/flash` and `tests/properties.rs`: once a slot became active, every interleaving
//! of events, torn writes and restarts leaves one slot whose bytes are whole and which [`State::runs`] names.

#![no_std]
#![forbid(unsafe_code)]

mod beside;
mod crc;
mod download;
mod image;
mod journal;
mod limits;
mod medium;
#[cfg(feature = "nor-flash")]
pub mod nor;
mod record;
mod state;
mod step;
mod trial;

pub use crc::{crc32, crc32_continue};
pub use download::{Download, DownloadError};
pub use image::{Digest, Image, LABEL_BYTES, Label, Slot};
pub use journal::{JOURNAL_HEADER_BYTES, JournalHeader, MARK, MARK_BYTES};
pub use limits::{Limits, Overdue, Seen, Stretch, Watch};
pub use medium::{Medium, Place, Stored, load, save};
pub use record::{RECORD_BYTES, RecordError, decode, encode};
pub use state::{Active, BadDigest, BadList, Fault, MAX_BAD, Phase, State, Update};
pub use step::{Action, Actions, Event, MAX_ACTIONS, Note, Policy, Step, step};
pub use trial::{LatencyLimit, Reason, Trial, TrialLimits, Verdict};
