//! Who did what when: values that are written down together with the state that they led to.

use serde::{Deserialize, Serialize};

/// The name under which the state machine itself acts.
pub const MACHINE: &str = "rollout";

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A person began it.
    Started,
    /// A stage began.
    Stage,
    /// Robots of the stage are away, and others were drawn instead.
    Drawn,
    /// The share of the new version was moved.
    Moved,
    /// A comparison is complete and waits for a person.
    Held,
    /// A gate found the new version worse than allowed.
    Tripped,
    /// It was stopped where it stands.
    Paused,
    /// It goes on.
    Resumed,
    /// The old version is put back.
    Reverting,
    /// It ended, and not with the new version everywhere.
    Aborted,
    /// The new version is the group's.
    Finished,
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// When, in ms since 1970, by the coordinator's clock.
    pub at_ms: u64,
    /// A person, a token's name, or [`MACHINE`].
    pub by: String,
    /// What.
    pub act: Act,
    /// One line for people.
    pub text: String,
}
