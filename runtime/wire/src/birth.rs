//! Birth and death of a connection: who a robot is, what it can hold, and when it is gone.
//!
//! ```text
//! connect(will = Gone{7}) -> publish Born{7} -> ... -> broker publishes Gone{7}
//!        late Gone{6} of an older connection: 6 < 7, ignored
//! ```

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::envelope::{MAX_SMALL_MESSAGE, Message};
use crate::name::Name;
use crate::state::Running;
use crate::text::Text;

/// The most packing targets that a robot can list.
pub const MAX_TARGETS: usize = 8;

/// The number of one connection of one robot; it grows, unless the robot's storage is replaced.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Session(pub u64);

impl Session {
    /// The number made of a boot counter that is stored, and a count of connections since that boot.
    pub const fn new(boot: u32, connection: u32) -> Session {
        Session((boot as u64) << 32 | connection as u64)
    }

    /// The boot counter in it.
    pub const fn boot(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// What a robot says first on each connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    /// This connection; the will of the same connection carries the same number.
    pub session: Session,
    /// The group whose desired state the robot follows.
    pub group: Name,
    /// The robot's software and its version, for people: `sanderling-agent 0.1.0`.
    pub software: Text<48>,
    /// The board, for people: `linux-x86_64`, `mps2-an386`.
    pub board: Text<48>,
    /// The packing targets that the robot can run, the preferred one first.
    pub targets: Vec<Name, MAX_TARGETS>,
    /// The largest arena that the robot can give a model, in bytes.
    pub arena_limit: u64,
    /// The largest plan file that a slot of the robot can hold, in bytes.
    pub flash_limit: u64,
    /// The largest chunk that the robot takes, in bytes.
    pub chunk_limit: u32,
    /// What runs at this moment, if anything does.
    pub running: Option<Running>,
}

/// What stands on a robot's `birth` topic.
// Births are few and short-lived, and there is no heap to box one on.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// The robot is there.
    Born(Birth),
    /// The connection with this number ended; published by the broker as the will, or by a robot
    /// that leaves in peace.
    Gone(Session),
}

impl Presence {
    /// The connection that is spoken of.
    pub fn session(&self) -> Session {
        match self {
            Presence::Born(birth) => birth.session,
            Presence::Gone(session) => *session,
        }
    }
}

impl Message<'_> for Presence {
    const MAX_LEN: usize = MAX_SMALL_MESSAGE;

    fn is_sound(&self) -> bool {
        match self {
            Presence::Born(birth) => birth.chunk_limit > 0 && !birth.targets.is_empty(),
            Presence::Gone(_) => true,
        }
    }
}
