//! What came of a run: figures that depend on nothing but the options.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::network::Sent;

/// The figures, in the order in which they are written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    pub devices: u32,
    pub rollout: String,
    pub seed: u64,
    /// The rollout's status at the end, and the gate's line where one tripped.
    pub status: String,
    pub why: Option<String>,
    pub stage: u32,
    pub stages: u32,
    /// By what the robots themselves run, not by what they reported.
    pub updated: u32,
    pub on_old: u32,
    /// The new version failed its self-test here.
    pub failed: u64,
    /// The new version was taken back from its trial here.
    pub fell_back: u64,
    pub offline: u32,
    /// Robots on which the new version failed.
    pub blast_radius: u32,
    /// The robots of the largest stage that began.
    pub largest_wave: u64,
    pub blast_within_one_wave: bool,
    /// Robots that run what the coordinator believes that they run.
    pub agree_with_coordinator: bool,
    pub simulated_s: u64,
    pub rollout_s: u64,
    pub coordinator_kills: u32,
    pub publishes: u32,
    pub bytes: BTreeMap<&'static str, Sent>,
    pub bytes_total: u64,
    /// What the coordinator keeps of the rollout, as JSON.
    pub rollout_state_bytes: u64,
    pub audit: Vec<String>,
}

/// A moment of the course.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    pub minute: u64,
    pub updated: u64,
    pub failed: u64,
    pub offline: u64,
    pub known: u64,
    pub share: f64,
}
