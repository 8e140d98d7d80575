//! The time that a robot goes by: its own clock, and never earlier than the newest signed statement.

use serde::{Deserialize, Serialize};

/// The newest time that the fleet key has vouched for, within one epoch: a robot whose clock was set
/// back, or that has none, cannot be shown what expired before that. A new epoch begins anew, so that
/// a stolen fleet key cannot have moved the clock for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The epoch of the root that the time was signed under.
    pub epoch: u32,
    /// Seconds since 1970.
    pub issued_s: u64,
}

impl Clock {
    /// The time to go by, in seconds since 1970, under a root of this epoch. `own_s`: the robot's
    /// clock, 0 where it has none.
    pub fn now_s(&self, epoch: u32, own_s: u64) -> u64 {
        if self.epoch == epoch {
            own_s.max(self.issued_s)
        } else {
            own_s
        }
    }

    /// Takes note of a statement that was signed at this time; true where that moved the clock.
    pub fn note(&mut self, epoch: u32, issued_s: u64) -> bool {
        let next = Clock { epoch, issued_s };
        let moved = epoch > self.epoch || (epoch == self.epoch && issued_s > self.issued_s);
        if moved {
            *self = next;
        }
        moved
    }
}
