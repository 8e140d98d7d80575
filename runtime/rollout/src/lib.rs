//! How a release reaches a fleet: strategies, gates, and the state machine between them.
//!
//! ```text
//!  a person: start, pause, resume, abort ─┐        ┌─▶ state   written down first, in one transaction with
//!  robots: what they report ──────────────┼▶ step ─┼─▶ audit   who did what when, and only then
//!  the clock: tick ───────────────────────┘        └─▶ actions publish what `arms` says of the state
//! ```
//!
//! | status    | what robots are told ([`arms`])                              | what ends it                                    |
//! |-----------|--------------------------------------------------------------|-------------------------------------------------|
//! | draft     | the old version                                              | start                                           |
//! | soaking   | the new version up to the stage's place, the old one beyond  | enough reports, then the soak time; or a gate   |
//! | holding   | the same: an A/B comparison is complete                      | resume: new version for all; abort              |
//! | paused    | keep what you have up to that place, the old one beyond      | resume: the stage's soak time begins anew; abort |
//! | reverting | the old version                                              | no robot that is there runs the new one         |
//! | finished  | the new version                                              |                                                 |
//! | aborted   | as it stood, or after a revert the old version               |                                                 |
//!
//! A device's place is a hash of the rollout's salt and the device's name, so an arm is one number in one message,
//! and a robot that joins late, or comes back after a month, finds its own.
//!
//! Everything is decided from what robots report, above all the digest that they run; never from what was sent.
//! [`step`] is pure: no clock, no network, no storage. A report that is repeated or late changes nothing, and a
//! coordinator that is killed between the commit and the publishing derives the same arms from the state it finds.

#![forbid(unsafe_code)]

mod arms;
mod audit;
mod device;
mod gate;
mod policy;
mod random;
mod share;
mod state;
mod step;
mod strategy;
mod summary;
mod tally;

pub use arms::{Arm, MAX_ARMS, Version, arms};
pub use audit::{Act, Audit, MACHINE};
pub use device::{
    Device, Digest, Evidence, Fault, HISTOGRAM_BINS, Key, Phase, Report, Runs, Shadow,
};
pub use gate::{Finding, GateName, Gates, Limit, psi};
pub use policy::{OnTrip, Policy, PolicyError};
pub use share::{Share, ShareError};
pub use state::{Head, Release, State, Status, Why};
pub use step::{Action, Event, Refusal, Step, step};
pub use strategy::{BanditPolicy, Reward, Stage, StageKind, StrategyName};
pub use summary::{GateLine, Side, Summary, summary};
