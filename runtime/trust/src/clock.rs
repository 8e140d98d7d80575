//! The time that a robot goes by: its own clock, and never earlier than the newest signed statement.

use serde::{Deserialize, Serialize};

/// A clock that shows less, 2020-01-01, was never set: then only signed statements say what time it is.
pub const NEVER_SET_S: u64 = 1_577_836_800;
/// How far signed time may run ahead of a robot's own clock, in seconds. Clocks that are set differ by less; more than
/// that, one of the two is wrong, and a fleet whose clock was once in the future must not take its robots along.
pub const MAX_AHEAD_S: u64 = 3600;

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

/// What time it is for a robot, and by which clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// The time to go by, in seconds since 1970.
    pub now_s: u64,
    /// What the robot's own clock shows; 0 where it has none.
    pub own_s: u64,
}

impl From<u64> for Time {
    /// By the robot's own clock alone.
    fn from(own_s: u64) -> Time {
        Time {
            now_s: own_s,
            own_s,
        }
    }
}

impl Clock {
    /// The same as [`Clock::now_s`], with the robot's own clock beside it.
    pub fn time(&self, epoch: u32, own_s: u64) -> Time {
        Time {
            now_s: self.now_s(epoch, own_s),
            own_s,
        }
    }

    /// The time to go by, in seconds since 1970, under a root of this epoch. `own_s`: the robot's
    /// clock, 0 where it has none. Signed time that is too far ahead of it does not count, also where an older program
    /// took note of it.
    pub fn now_s(&self, epoch: u32, own_s: u64) -> u64 {
        if self.epoch == epoch && !is_too_far(self.issued_s, own_s) {
            own_s.max(self.issued_s)
        } else {
            own_s
        }
    }

    /// Takes note of a statement that was signed at this time; true where that moved the clock. Time that is too far
    /// ahead of the robot's own is not taken.
    pub fn note(&mut self, epoch: u32, issued_s: u64, own_s: u64) -> bool {
        let next = Clock { epoch, issued_s };
        let known = self.epoch == epoch && !is_too_far(self.issued_s, own_s);
        let newer =
            epoch > self.epoch || (epoch == self.epoch && (issued_s > self.issued_s || !known));
        let moved = newer && !is_too_far(issued_s, own_s) && next != *self;
        if moved {
            *self = next;
        }
        moved
    }

    /// Goes by the time of a statement that stands above everything that was accepted under this epoch: what the fleet
    /// key signed before was signed earlier, whatever its time says. So a robot without a clock comes back from a
    /// future that the fleet's clock once showed.
    pub(crate) fn follow(&mut self, epoch: u32, issued_s: u64, own_s: u64) {
        if !is_too_far(issued_s, own_s) {
            *self = Clock { epoch, issued_s };
        }
    }
}

/// Whether a signed time is further ahead of the robot's own clock than it may be.
pub fn is_too_far(issued_s: u64, own_s: u64) -> bool {
    own_s > NEVER_SET_S && issued_s > own_s.saturating_add(MAX_AHEAD_S)
}
