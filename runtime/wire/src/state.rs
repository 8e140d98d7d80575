//! What a robot runs and how far an update has come; the only word that the fleet believes.

use serde::{Deserialize, Serialize};

use crate::birth::Session;
use crate::digest::Digest;
use crate::envelope::{MAX_SMALL_MESSAGE, Message};
use crate::name::Name;
use crate::text::Text;

/// A model that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The model's name.
    pub model: Name,
    /// The model's version.
    pub version: u32,
    /// SHA-256 of the plan file whose steps run.
    pub digest: Digest,
}

/// Where an update stands. Only `Active` and `Empty` are places to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// No model runs, and none is on its way.
    Empty,
    /// `running` runs, and nothing is on its way.
    Active,
    /// Chunks are being pulled into the spare slot.
    Downloading,
    /// The digest and the plan in the spare slot are being checked.
    Verifying,
    /// The golden vectors of the new plan are being run.
    SelfTest,
    /// The new model answers, and can still be taken back.
    Trial,
    /// The last update failed and `running` (if any) runs on; `failure` says why.
    FellBack,
}

/// How much of a release a robot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The plan file that is pulled.
    pub release: Digest,
    /// Bytes held, on storage that survives power loss.
    pub held: u64,
    /// Bytes in all.
    pub size: u64,
}

/// The class of a failure, so that a program can count and decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureCode {
    /// The whole file does not have the digest that the manifest names.
    Digest,
    /// The plan is damaged, or of a version that the robot does not read.
    Plan,
    /// No artifact of the manifest is for a target of this robot.
    Target,
    /// The arena or the file is larger than the robot can hold.
    TooLarge,
    /// The golden vectors gave other bits.
    SelfTest,
    /// The trial went wrong: latency, failed inferences, a watchdog.
    Trial,
    /// The robot could not write or read its storage.
    Storage,
    /// The fleet stopped sending, or says that it has no such release.
    Transfer,
    /// The manifest is older than one that the robot has seen, expired, or not trusted.
    Refused,
    /// Nothing failed: the robot's own conditions for an update do not hold yet, and it waits for them.
    Held,
}

/// Why the last update failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The release that failed, where it was known.
    pub release: Option<Digest>,
    /// What kind of failure it was.
    pub code: FailureCode,
    /// One line that says what happened and what to do.
    pub text: Text<160>,
}

/// Which root a robot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The root's version.
    pub version: u32,
    /// The root's epoch.
    pub epoch: u32,
}

/// The state of one robot, published whole and retained, whenever it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The connection it is said on.
    pub session: Session,
    /// What answers now.
    pub running: Option<Running>,
    /// Where the update stands.
    pub phase: Phase,
    /// The effective serial of the newest desired state that the robot has accepted, 0 when none: the
    /// root's epoch above the lowest 40 bits, the desired state's serial in them.
    pub serial: u64,
    /// The root that the robot believes; none: it has no root, and takes unsigned statements.
    pub root: Option<Anchor>,
    /// How far the download is, while one goes on.
    pub progress: Option<Progress>,
    /// Why the last update failed; cleared when another begins.
    pub failure: Option<Failure>,
}

impl Message<'_> for State {
    const MAX_LEN: usize = MAX_SMALL_MESSAGE;

    fn is_sound(&self) -> bool {
        self.progress.is_none_or(|p| p.held <= p.size)
    }
}
