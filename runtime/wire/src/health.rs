//! Counters of a robot, published at a slow beat.

use serde::{Deserialize, Serialize};

use crate::birth::Session;
use crate::envelope::{MAX_SMALL_MESSAGE, Message};
use crate::evidence::Evidence;

/// How a robot fares. Counters count since the boot that `session` names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The connection it is said on.
    pub session: Session,
    /// Seconds since the program started.
    pub uptime_s: u32,
    /// Frames that the source gave.
    pub frames_in: u64,
    /// Frames that were answered.
    pub frames_out: u64,
    /// Frames that the queue's policy dropped.
    pub frames_dropped: u64,
    /// Median time from queue to output over the last period, in µs.
    pub latency_p50_us: u32,
    /// 99th percentile of the same, in µs.
    pub latency_p99_us: u32,
    /// The arena that the running model takes, in bytes.
    pub arena_bytes: u64,
    /// Calls to the allocator on the inference path since the model was loaded.
    pub allocations: u64,
    /// Results that wait for a receipt.
    pub outbox_depth: u32,
    /// Results that the outbox dropped at its bound.
    pub outbox_dropped: u64,
    /// The board's temperature in thousandths of a degree Celsius, where it has a sensor.
    pub temperature_mc: Option<i32>,
    /// Bytes of models and deltas that were pulled.
    pub pulled_bytes: u64,
    /// What was seen of the running release.
    pub evidence: Option<Evidence>,
}

impl Message<'_> for Health {
    const MAX_LEN: usize = MAX_SMALL_MESSAGE;

    fn is_sound(&self) -> bool {
        let shadow = self.evidence.as_ref().and_then(|e| e.shadow.as_ref());
        shadow.is_none_or(|shadow| shadow.disagreed <= shadow.compared)
    }
}
