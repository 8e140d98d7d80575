//! What the fleet hears about an update: the machine's state as a message.

use sanderling_slots::{Fault, Image, Phase, State};
use sanderling_wire::{self as wire, Digest, FailureCode, Name, Session, Text};

/// Why the last update failed, until another begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The release.
    pub release: Option<[u8; 32]>,
    /// The class of the failure.
    pub code: FailureCode,
    /// One line.
    pub text: String,
}

/// The message for a state of the machine. `serving` is what the inference thread really runs,
/// `root` the root that is believed.
pub fn message(
    session: Session,
    state: &State,
    serving: Option<&Image>,
    progress: Option<(u64, u64)>,
    failure: Option<&Failure>,
    root: Option<wire::Anchor>,
) -> wire::State {
    let progress = match (state.update, progress) {
        (Some(update), Some((held, size))) => Some(wire::Progress {
            release: Digest(update.image.digest),
            held,
            size,
        }),
        _ => None,
    };
    wire::State {
        session,
        running: serving.map(running),
        phase: phase(state, serving.is_some(), failure.is_some()),
        serial: state.serial,
        root,
        progress,
        failure: failure.map(|failure| wire::Failure {
            release: failure.release.map(Digest),
            code: failure.code,
            text: Text::cut(&failure.text),
        }),
    }
}

/// An image as the fleet names what runs.
pub fn running(image: &Image) -> wire::Running {
    let name = Name::new(image.name.as_str()).or_else(|_| Name::new("model"));
    wire::Running {
        model: name.unwrap_or_else(|_| unreachable!("\"model\" is a name")),
        version: u32::try_from(image.version).unwrap_or(u32::MAX),
        digest: Digest(image.digest),
    }
}

fn phase(state: &State, serves: bool, failed: bool) -> wire::Phase {
    match state.update.map(|update| update.phase) {
        Some(Phase::Downloading) => wire::Phase::Downloading,
        Some(Phase::Verifying) => wire::Phase::Verifying,
        Some(Phase::SelfTesting) => wire::Phase::SelfTest,
        Some(Phase::Trial) => wire::Phase::Trial,
        // Beside the active model nothing is under way that anybody waits for.
        None | Some(Phase::Beside) if failed => wire::Phase::FellBack,
        None | Some(Phase::Beside) if serves => wire::Phase::Active,
        None | Some(Phase::Beside) => wire::Phase::Empty,
    }
}

/// The class of a fault in the fleet's words.
pub fn code(fault: Fault) -> FailureCode {
    match fault {
        Fault::WrongDigest => FailureCode::Digest,
        Fault::Unloadable => FailureCode::Plan,
        Fault::SelfTest => FailureCode::SelfTest,
        Fault::Trial | Fault::Crashed | Fault::TimedOut => FailureCode::Trial,
    }
}

/// A fault in words, for where nothing more is known.
pub fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::WrongDigest => "its bytes do not have the promised digest",
        Fault::Unloadable => "it cannot be loaded here",
        Fault::SelfTest => "its self-test gave other bits here",
        Fault::Trial => "it failed on real input",
        Fault::Crashed => "the agent was started too often while it was tested or tried",
        Fault::TimedOut => "it took too long",
    }
}
