//! What came of a run: figures that depend on nothing but the options.

use std::collections::BTreeMap;

use serde::Serialize;

pub use crate::network::Sent;

/// The figures, in the order in which they are written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// How many robots.
    pub devices: u32,
    /// The strategy.
    pub rollout: String,
    /// Chance.
    pub seed: u64,
    /// The rollout's status at the end, in a word.
    pub status: String,
    /// The gate's line where one tripped.
    pub why: Option<String>,
    /// The stage at the end, from 1.
    pub stage: u32,
    /// How many there are.
    pub stages: u32,
    /// Robots that run the new version, by their own word and not by what they reported.
    pub updated: u32,
    /// Robots that run the old one.
    pub on_old: u32,
    /// The new version failed its self-test here.
    pub failed: u64,
    /// The new version was taken back from its trial here.
    pub fell_back: u64,
    /// Robots without a connection at the end.
    pub offline: u32,
    /// Robots on which the new version failed.
    pub blast_radius: u32,
    /// The robots of the largest stage that began.
    pub largest_wave: u64,
    /// The one is at most the other.
    pub blast_within_one_wave: bool,
    /// The coordinator's count of updated robots is the true one, but for those that it cannot hear.
    pub agree_with_coordinator: bool,
    /// Simulated time, in seconds.
    pub simulated_s: u64,
    /// From the start of the rollout to its end, in seconds.
    pub rollout_s: u64,
    /// How often the coordinator was killed.
    pub coordinator_kills: u32,
    /// Desired states that it published, not counting those that it published once more.
    pub publishes: u32,
    /// Messages and bytes by kind of topic, topics included.
    pub bytes: BTreeMap<&'static str, Sent>,
    /// All of them.
    pub bytes_total: u64,
    /// What the coordinator keeps of the rollout, as JSON.
    pub rollout_state_bytes: u64,
    /// The audit log.
    pub audit: Vec<String>,
}

/// A moment of the course.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// Minutes since the beginning.
    pub minute: u64,
    /// Robots that run the new version, as the coordinator sees it.
    pub updated: u64,
    /// Robots on which it failed.
    pub failed: u64,
    /// Robots without a connection.
    pub offline: u64,
    /// Robots that are known.
    pub known: u64,
    /// The part of all places that is told to run it.
    pub share: f64,
}
