//! The way between broker and robots: latency, loss, and the bytes that were sent.
//!
//! A message that is sent at least once and lost is sent again after some seconds, as MQTT does; one that is sent at
//! most once is gone. Messages of one robot stay in order. A connection that breaks is somebody else's: see the world.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::chance::Chance;

/// Milliseconds until a lost message is sent again.
const AGAIN_MS: u64 = 5_000;
/// Bytes in a second over a robot's own link.
const ROBOT_RATE: u64 = 1_000_000;

/// Counted messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// How many, with those that were sent again.
    pub messages: u64,
    /// How long they were together.
    pub bytes: u64,
}

pub struct Network {
    loss: f64,
    chance: Chance,
    pub sent: BTreeMap<&'static str, Sent>,
}

impl Network {
    pub fn new(seed: u64, loss: f64) -> Network {
        Network {
            loss,
            chance: Chance::new(seed, 1 << 60),
            sent: BTreeMap::new(),
        }
    }

    /// Counts a message, and says when it arrives. None: it is lost.
    pub fn send(
        &mut self,
        kind: &'static str,
        bytes: usize,
        at_least_once: bool,
        now: u64,
    ) -> Option<u64> {
        let bytes = bytes as u64;
        let mut arrives = now + 20 + self.chance.wait(40.0) + bytes * 1000 / ROBOT_RATE;
        loop {
            let sent = self.sent.entry(kind).or_default();
            sent.messages += 1;
            sent.bytes += bytes;
            if !self.chance.happens(self.loss) {
                return Some(arrives);
            }
            if !at_least_once {
                return None;
            }
            arrives += AGAIN_MS;
        }
    }
}
