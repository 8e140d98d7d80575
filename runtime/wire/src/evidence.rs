//! What a robot has seen of a release, as sums since the release began to run: a message that is lost
//! costs nothing, and one that comes twice counts once.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The most bins of the histogram of classes; classes beyond share the last one.
pub const MAX_CLASSES: usize = 16;

/// How the release that acts has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// SHA-256 of the plan file.
    pub release: Digest,
    /// Inferences.
    pub inferences: u64,
    /// Inferences that failed.
    pub failures: u64,
    /// Median time of one inference, in µs: without the time that a frame waits in the queue.
    pub p50_us: u32,
    /// 99th percentile of the same, in µs.
    pub p99_us: u32,
    /// Answers below the robot's threshold of confidence.
    pub low_confidence: u64,
    /// How often each class was the answer; empty where answers are no classes.
    pub classes: Vec<u64, MAX_CLASSES>,
    /// Rewards that the robot reported.
    pub rewards: u64,
    /// Their sum, in thousandths.
    pub reward_milli: i64,
    /// The candidate that runs beside it, if one does.
    pub shadow: Option<Shadow>,
}

/// How a candidate would have done on the same input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    /// SHA-256 of the candidate's plan file.
    pub candidate: Digest,
    /// Inputs that both answered.
    pub compared: u64,
    /// Of these, how often the answers differed: another class, or any output off by more than the
    /// robot's tolerance.
    pub disagreed: u64,
    /// Inferences of the candidate that failed.
    pub failures: u64,
    /// 99th percentile of the candidate's time, in µs.
    pub p99_us: u32,
}
