//! A time limit on each state of an update, so that nothing wedges: pure, and the same for a Linux robot and a
//! microcontroller.
//!
//! | the update is | for at most                                         | and then                                    |
//! |---------------|-----------------------------------------------------|---------------------------------------------|
//! | downloading   | [`Limits::progress`] without a new chunk while the fleet can be reached | [`Event::GaveUp`]: put off, what is here stays |
//! | downloading   | [`Limits::download`] in all while the fleet can be reached | the same                             |
//! | verifying     | [`Limits::verify`]                                  | [`Event::Failed`] with [`Fault::TimedOut`]  |
//! | self-testing  | [`Limits::self_test`]                               | the same                                    |
//! | staged        | [`Limits::staged`]: in trial, and not serving yet   | the same                                    |
//! | in trial      | [`Limits::trial`] in all                            | the same                                    |
//! | beside the active model | without a limit: nothing waits for it, and nothing acts on its answers | |
//!
//! A trial that goes well ends long before its limit by [`crate::TrialLimits`]; the limit here is for a driver that
//! cannot judge. A robot without a network downloads nothing and is not in a hurry: that time does not count, and neither does time in
//! which the robot's own conditions hold an update up.
//!
//! A driver asks [`Watch::overdue`] as often as it likes; the event it gives is to be taken like any other.

use crate::image::Digest;
use crate::state::{Fault, Phase, State};
use crate::step::Event;

/// How long each state of an update may last, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A download without a new chunk.
    pub progress: u64,
    /// A download in all.
    pub download: u64,
    /// The digest of the spare slot.
    pub verify: u64,
    /// Loading the model and its golden vectors.
    pub self_test: u64,
    /// From the proof to the first moment in which the model serves.
    pub staged: u64,
    /// A trial, from the moment in which the model serves.
    pub trial: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            progress: 600_000,
            download: 3_600_000,
            verify: 60_000,
            self_test: 60_000,
            staged: 60_000,
            trial: 3_600_000,
        }
    }
}

/// The states that have a limit: the phases, with the trial in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// Chunks are being pulled.
    Downloading,
    /// The digest is being computed.
    Verifying,
    /// The golden vectors run.
    SelfTesting,
    /// Proved, and not serving yet.
    Staged,
    /// Serving on approval.
    Trial,
    /// Beside the active model, for as long as the fleet wants.
    Beside,
}

impl Stretch {
    /// The state's name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Stretch::Downloading => "downloading",
            Stretch::Verifying => "verifying",
            Stretch::SelfTesting => "self-testing",
            Stretch::Staged => "staged",
            Stretch::Trial => "in trial",
            Stretch::Beside => "beside the active model",
        }
    }
}

/// What a driver sees besides the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether the fleet can be reached: only then does a download's time count.
    pub reachable: bool,
    /// Anything that grows with each new chunk, such as bytes held.
    pub progress: u64,
    /// Whether the update's model is what serves input.
    pub serving: bool,
    /// Whether the update waits for the robot's own conditions (docked, charged): that time does not count.
    pub held: bool,
}

/// A state that lasted too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// What is to happen now.
    pub event: Event,
    /// Which state it was.
    pub stretch: Stretch,
    /// The limit that it reached, in milliseconds.
    pub limit: u64,
}

/// Watches one update after another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Which update, in which state.
    subject: Option<(Digest, u8, Stretch)>,
    /// Milliseconds in this state that count.
    spent: u64,
    /// Milliseconds that count since the last progress.
    idle: u64,
    progress: u64,
    last: u64,
}

impl Watch {
    /// Looks at the machine at `now`, in milliseconds of any clock that never goes back. Gives the event that ends a
    /// state which lasted too long; the watch begins anew with it, so that an event which cannot be taken now (a full
    /// disk) comes again a limit later.
    pub fn overdue(
        &mut self,
        state: &State,
        seen: Seen,
        now: u64,
        limits: &Limits,
    ) -> Option<Overdue> {
        let passed = now.saturating_sub(self.last);
        self.last = now;
        let subject = state
            .update
            .map(|update| (update.image.digest, update.round, stretch(state, seen)));
        if subject != self.subject {
            self.subject = subject;
            (self.spent, self.idle, self.progress) = (0, 0, seen.progress);
            return None;
        }
        let (digest, _, stretch) = subject?;
        if !seen.held && (stretch != Stretch::Downloading || seen.reachable) {
            self.spent = self.spent.saturating_add(passed);
            self.idle = self.idle.saturating_add(passed);
        }
        if seen.progress != self.progress {
            (self.idle, self.progress) = (0, seen.progress);
        }
        let limit = match stretch {
            Stretch::Downloading if self.idle >= limits.progress => limits.progress,
            Stretch::Downloading => limits.download,
            Stretch::Verifying => limits.verify,
            Stretch::SelfTesting => limits.self_test,
            Stretch::Staged => limits.staged,
            Stretch::Trial => limits.trial,
            // Nothing waits for it and nothing acts on it.
            Stretch::Beside => return None,
        };
        if self.spent < limit {
            return None;
        }
        (self.spent, self.idle) = (0, 0);
        let event = match stretch {
            Stretch::Downloading => Event::GaveUp(digest),
            _ => Event::Failed(digest, Fault::TimedOut),
        };
        Some(Overdue {
            event,
            stretch,
            limit,
        })
    }
}

fn stretch(state: &State, seen: Seen) -> Stretch {
    match state.update.map(|update| update.phase) {
        None | Some(Phase::Downloading) => Stretch::Downloading,
        Some(Phase::Verifying) => Stretch::Verifying,
        Some(Phase::SelfTesting) => Stretch::SelfTesting,
        Some(Phase::Trial) if seen.serving => Stretch::Trial,
        Some(Phase::Trial) => Stretch::Staged,
        Some(Phase::Beside) => Stretch::Beside,
    }
}
