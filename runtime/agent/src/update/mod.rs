//! Updating: drives the state machine of `sanderling_slots` with files, jobs and messages.
//!
//! One thread owns everything here and sees one input after another. It saves the machine's state before it acts on
//! it, and it never waits for anything: slow work runs in [`jobs`], chunks are asked for by [`pull`], and each has a
//! time limit. Inference does not notice any of it until a tested model is put on the stage.

pub mod backoff;
mod beside;
mod bulk;
mod delta;
mod download;
mod driver;
mod fetch;
pub mod fit;
pub mod folder;
pub mod guard;
pub mod jobs;
mod limits;
mod notes;
pub mod pull;
pub mod report;
mod serving;
mod wanting;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use sanderling_wire::{Digest, Kind, Refusal, Session};

use crate::infer::Swapped;
pub use driver::{Driver, Setup};
pub use fetch::Pulled;

/// What the updating thread hears.
#[derive(Debug)]
pub enum Input {
    /// A connection is up; everything said on it carries this number.
    Up(Session),
    /// The largest chunks that the broker passes on, in bytes.
    ChunkLimit(u32),
    /// The connection is gone.
    Down,
    /// A retained desired state, as received; empty where it was withdrawn.
    Desired(Vec<u8>),
    /// The fleet's roots, as received.
    Roots(Vec<u8>),
    /// A chunk, as received.
    Chunk(Vec<u8>),
    /// A release cannot be had by HTTP, in words.
    NoBulk(Digest, String),
    /// The fleet does not serve the last request.
    Refused(Digest, Refusal),
    /// An operator wants failed models tried again.
    Retry,
    /// The robot said something about itself: what waited for a condition may begin.
    Conditions,
    /// The fleet lacks this robot's state.
    Report,
    /// The inference thread changed its model.
    Swapped(Swapped),
    /// A job is done.
    Job(u64, jobs::Done),
    /// The agent ends.
    Quit,
}

/// A message for the fleet, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its topic's kind.
    pub kind: Kind,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// A line to the updating thread.
pub type Line = Sender<Input>;

/// Runs the updating thread until [`Input::Quit`].
pub fn run(mut driver: Driver, inputs: &Receiver<Input>) {
    driver.started();
    loop {
        match inputs.recv_timeout(driver.patience()) {
            Ok(Input::Quit) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(input) => driver.handle(input, Instant::now()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        driver.tick(Instant::now());
    }
}

/// How long the thread waits for an input: briefly while something is watched.
const WATCHING: Duration = Duration::from_millis(20);
const RESTING: Duration = Duration::from_millis(250);
