//! The node's state as the fleet reads it.

use sanderling_slots::{self as slots, Fault, Image};
use sanderling_wire::{
    Anchor, Digest, Failure, FailureCode, Name, Phase, Progress, Running, Session, State, Text,
};

use crate::believe::Refused;

/// What stands in the slots, and what went wrong last.
pub(crate) fn state(
    state: &slots::State,
    session: Session,
    held: u64,
    failure: Option<&Failure>,
    root: Option<Anchor>,
) -> State {
    let phase = match (state.update, state.active) {
        (Some(update), _) => match update.phase {
            slots::Phase::Downloading => Phase::Downloading,
            slots::Phase::Verifying => Phase::Verifying,
            slots::Phase::SelfTesting => Phase::SelfTest,
            slots::Phase::Trial => Phase::Trial,
            slots::Phase::Beside => Phase::Active,
        },
        (None, _) if failure.is_some() => Phase::FellBack,
        (None, Some(_)) => Phase::Active,
        (None, None) => Phase::Empty,
    };
    let progress = state
        .update
        .filter(|update| update.phase == slots::Phase::Downloading)
        .map(|update| Progress {
            release: Digest(update.image.digest),
            held: held.min(u64::from(update.image.size)),
            size: u64::from(update.image.size),
        });
    State {
        session,
        running: state.runs().and_then(|(_, image)| running(&image)),
        phase,
        serial: state.serial,
        progress,
        failure: failure.cloned(),
        root,
    }
}

fn running(image: &Image) -> Option<Running> {
    Some(Running {
        model: Name::new(image.name.as_str()).ok()?,
        version: u32::try_from(image.version).ok()?,
        digest: Digest(image.digest),
    })
}

/// A fault as the fleet counts it.
pub(crate) fn failure(digest: slots::Digest, fault: Fault) -> Failure {
    let (code, text) = match fault {
        Fault::WrongDigest => (
            FailureCode::Digest,
            "the bytes were wrong twice; check the line and what the agent holds",
        ),
        Fault::Unloadable => (
            FailureCode::Plan,
            "this firmware cannot load the plan; compile it for this board",
        ),
        Fault::SelfTest => (
            FailureCode::SelfTest,
            "the golden vectors came out differently on this silicon",
        ),
        Fault::Trial => (
            FailureCode::Trial,
            "the model failed while it served; see what it was given",
        ),
        Fault::Crashed => (
            FailureCode::Trial,
            "the board started too often while the model was tried",
        ),
        Fault::TimedOut => (FailureCode::Trial, "a step took longer than it may"),
    };
    Failure {
        release: Some(Digest(digest)),
        code,
        text: Text::cut(text),
    }
}

pub(crate) fn refusal(refused: Refused) -> Failure {
    Failure {
        release: refused.release,
        code: refused.code,
        text: refused.text,
    }
}
