//! The transition function: pure, total, and the only place where a [`State`] changes.

use crate::beside::{alone, beside, drop_update, settled};
use crate::image::{Digest, Image, Slot};
use crate::state::{Active, BadDigest, Fault, Phase, State, Update};

/// The most actions one step asks for.
pub const MAX_ACTIONS: usize = 2;

/// What happened. Events about an update carry its digest: one that speaks of another update came too late and
/// changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The process has just started; the first event of each run.
    Started,
    /// The fleet wants this model here. Level-triggered: say it as often as you like.
    Wanted {
        /// The model.
        image: Image,
        /// The wish's number; it grows with every change of mind, also back to an older model.
        serial: u64,
    },
    /// The fleet wants this model to run beside the active one, without acting on its answers. Level-triggered.
    Beside {
        /// The model.
        image: Image,
        /// The wish's number, as in [`Event::Wanted`].
        serial: u64,
    },
    /// The fleet wants nothing beside the active model.
    Alone,
    /// The model beside the active one has run for a while and took nothing down: its starts are forgotten.
    Settled(Digest),
    /// The fleet wants nothing in particular: an update that has not reached its trial is given up.
    Unwanted,
    /// Every chunk is in the spare slot.
    Downloaded(Digest),
    /// The download cannot go on for now (no room, no progress). Not the model's fault: it may be wanted again.
    GaveUp(Digest),
    /// The spare slot's bytes have the promised digest.
    Verified(Digest),
    /// They do not.
    WrongDigest(Digest),
    /// The golden vectors came out bit for bit.
    SelfTested(Digest),
    /// The trial's limit was reached without a failure.
    TrialPassed(Digest),
    /// The update is no good here, at whatever phase it is.
    Failed(Digest, Fault),
    /// The active slot's bytes are no longer what they were (a worn flash, a lost file).
    ActiveLost(Digest),
    /// An operator wants failed models tried again: all bans are lifted.
    Retry,
}

/// What the driver does next, after the new state is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Serve input with the model in this slot from the next frame on.
    Run(Slot),
    /// Nothing is runnable: serve nothing.
    Stop,
    /// Pull the missing chunks of the update into this slot; a journal of another model or round is worthless.
    Fetch(Slot),
    /// Compute the SHA-256 of this slot's bytes.
    Verify(Slot),
    /// Load the model in this slot and run its golden vectors.
    SelfTest(Slot),
    /// Run the model in this slot beside the active one, without acting on its answers. Over as soon as the state
    /// holds no update in [`Phase::Beside`].
    Shadow(Slot),
}

/// What a person or the fleet should hear about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Nothing worth a line.
    Nothing,
    /// The wish is older than one that was accepted before.
    Stale,
    /// The wanted model is the active one.
    UpToDate,
    /// An update began.
    Began,
    /// An update that was on its way is no longer wanted and was given up.
    Dropped,
    /// The wanted model failed here before and is not tried again at this version.
    Refused(Fault),
    /// Another model is wanted, but the first model ever is still in its trial; say it again later.
    Deferred,
    /// The downloaded bytes were wrong; they are pulled once more.
    DownloadAgain,
    /// The model that ran beside the active one is on trial now.
    Promoted,
    /// The update is active now.
    Activated,
    /// The update failed; the model that worked runs.
    FellBack(Fault),
    /// The active slot was lost and the model before it runs.
    Recovered,
    /// The active slot was lost and there is no other.
    NothingLeft,
}

/// Up to [`MAX_ACTIONS`] actions, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    list: [Option<Action>; MAX_ACTIONS],
}

impl Actions {
    /// The actions in the order in which they are to be done.
    pub fn iter(&self) -> impl Iterator<Item = Action> + '_ {
        self.list.iter().flatten().copied()
    }

    const fn none() -> Actions {
        Actions { list: [None, None] }
    }

    pub(crate) const fn one(action: Action) -> Actions {
        Actions {
            list: [Some(action), None],
        }
    }

    pub(crate) const fn two(first: Action, second: Action) -> Actions {
        Actions {
            list: [Some(first), Some(second)],
        }
    }
}

/// What a step gives: save `state` where it differs from the old one, then do `actions`, then tell `note`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The new state.
    pub state: State,
    /// What to do once it is saved.
    pub actions: Actions,
    /// What to tell.
    pub note: Note,
}

/// The numbers that a robot's owner may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often the process may start during one self-test and trial before the model is taken to be the cause.
    pub max_starts: u8,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { max_starts: 8 }
    }
}

/// The transition function. Total: an event that makes no sense in a state leaves it as it is.
pub fn step(state: &State, event: Event, policy: Policy) -> Step {
    match event {
        Event::Started => started(state, policy),
        Event::Wanted { image, serial } => wanted(state, image, serial),
        Event::Beside { image, serial } => beside(state, image, serial),
        Event::Alone => alone(state),
        Event::Settled(digest) => settled(state, digest),
        Event::Unwanted => unwanted(state),
        Event::Retry => {
            let mut next = *state;
            next.bad.clear();
            quiet(next)
        }
        Event::ActiveLost(digest) => active_lost(state, digest),
        Event::Downloaded(digest) => advance(state, digest, Phase::Downloading, Phase::Verifying),
        Event::Verified(digest) => advance(state, digest, Phase::Verifying, Phase::SelfTesting),
        Event::SelfTested(digest) => {
            let beside = current(state, digest).is_some_and(|update| update.beside);
            let next = if beside { Phase::Beside } else { Phase::Trial };
            advance(state, digest, Phase::SelfTesting, next)
        }
        Event::TrialPassed(digest) => trial_passed(state, digest),
        Event::WrongDigest(digest) => wrong_digest(state, digest),
        Event::GaveUp(digest) => gave_up(state, digest),
        Event::Failed(digest, fault) => match current(state, digest) {
            Some(update) => fall_back(state, update, fault),
            None => quiet(*state),
        },
    }
}

pub(crate) fn quiet(state: State) -> Step {
    Step {
        state,
        actions: Actions::none(),
        note: Note::Nothing,
    }
}

/// The update on its way, if it is the one the event speaks of.
fn current(state: &State, digest: Digest) -> Option<Update> {
    state.update.filter(|update| update.image.digest == digest)
}

/// What serves input while no update is in its trial.
pub(crate) fn run_active(state: &State) -> Action {
    state
        .active
        .map_or(Action::Stop, |active| Action::Run(active.slot))
}

/// The work that a phase stands for.
pub(crate) fn work(update: &Update) -> Action {
    match update.phase {
        Phase::Downloading => Action::Fetch(update.slot),
        Phase::Verifying => Action::Verify(update.slot),
        Phase::SelfTesting => Action::SelfTest(update.slot),
        Phase::Trial => Action::Run(update.slot),
        Phase::Beside => Action::Shadow(update.slot),
    }
}

fn started(state: &State, policy: Policy) -> Step {
    let Some(mut update) = state.update else {
        return Step {
            state: *state,
            actions: Actions::one(run_active(state)),
            note: Note::Nothing,
        };
    };
    if matches!(
        update.phase,
        Phase::SelfTesting | Phase::Trial | Phase::Beside
    ) {
        update.starts = update.starts.saturating_add(1);
        if update.starts > policy.max_starts {
            return fall_back(state, update, Fault::Crashed);
        }
    }
    let next = State {
        update: Some(update),
        ..*state
    };
    // In a trial the update is what runs; before that the active model serves while the work goes on.
    let actions = match update.phase {
        Phase::Trial => Actions::one(work(&update)),
        _ => Actions::two(run_active(&next), work(&update)),
    };
    Step {
        state: next,
        actions,
        note: Note::Nothing,
    }
}

fn wanted(state: &State, image: Image, serial: u64) -> Step {
    if serial < state.serial {
        return Step {
            note: Note::Stale,
            ..quiet(*state)
        };
    }
    let mut next = State { serial, ..*state };
    let mut back = None;
    let mut note = Note::Nothing;
    if let Some(update) = next.update.as_mut() {
        if update.image.digest == image.digest {
            update.image.version = update.image.version.max(image.version);
            update.beside = false;
            if update.phase == Phase::Beside {
                // Proved long ago: what lacks is its trial.
                update.phase = Phase::Trial;
                update.starts = 0;
                let actions = Actions::one(work(update));
                return Step {
                    state: next,
                    actions,
                    note: Note::Promoted,
                };
            }
            return quiet(next);
        }
        if update.beside
            && let Some(active) = next
                .active
                .as_mut()
                .filter(|active| active.image.digest == image.digest)
        {
            // What should run does run; what is beside it is another matter.
            active.image.version = active.image.version.max(image.version);
            return Step {
                note: Note::UpToDate,
                ..quiet(next)
            };
        }
        if update.phase == Phase::Trial {
            if next.active.is_none() {
                // The only model there is serves input: let it prove itself before it is overwritten.
                return Step {
                    note: Note::Deferred,
                    ..quiet(*state)
                };
            }
            back = Some(run_active(&next));
        }
        next.update = None;
        note = Note::Dropped;
    }
    if let Some(active) = next
        .active
        .as_mut()
        .filter(|active| active.image.digest == image.digest)
    {
        active.image.version = active.image.version.max(image.version);
        let note = if note == Note::Dropped {
            note
        } else {
            Note::UpToDate
        };
        return Step {
            state: next,
            actions: back.map_or(Actions::none(), Actions::one),
            note,
        };
    }
    if let Some(fault) = next.bad.refuses(&image) {
        let actions = back.map_or(Actions::none(), Actions::one);
        return Step {
            state: next,
            actions,
            note: Note::Refused(fault),
        };
    }
    let here = next
        .spare
        .is_some_and(|spare| spare.digest == image.digest && spare.size == image.size);
    let update = Update {
        slot: next.spare_slot(),
        image,
        phase: if here {
            Phase::Verifying
        } else {
            Phase::Downloading
        },
        round: 0,
        starts: 0,
        beside: false,
    };
    next.spare = None;
    next.update = Some(update);
    let actions = match back {
        Some(back) => Actions::two(back, work(&update)),
        None => Actions::one(work(&update)),
    };
    Step {
        state: next,
        actions,
        note: Note::Began,
    }
}

fn unwanted(state: &State) -> Step {
    match state.update {
        Some(update) if update.phase != Phase::Trial => drop_update(state, update),
        _ => quiet(*state),
    }
}

fn advance(state: &State, digest: Digest, from: Phase, to: Phase) -> Step {
    match current(state, digest) {
        Some(mut update) if update.phase == from => {
            update.phase = to;
            let next = State {
                update: Some(update),
                ..*state
            };
            Step {
                state: next,
                actions: Actions::one(work(&update)),
                note: Note::Nothing,
            }
        }
        _ => quiet(*state),
    }
}

fn trial_passed(state: &State, digest: Digest) -> Step {
    match current(state, digest) {
        Some(update) if update.phase == Phase::Trial => {
            let mut next = State {
                serial: state.serial,
                active: Some(Active {
                    slot: update.slot,
                    image: update.image,
                }),
                // The model before stays whole in its slot, so that going back needs no download.
                spare: state
                    .active
                    .filter(|active| active.slot != update.slot)
                    .map(|active| active.image),
                update: None,
                bad: state.bad,
            };
            next.bad.forget(&digest);
            Step {
                note: Note::Activated,
                ..quiet(next)
            }
        }
        _ => quiet(*state),
    }
}

fn wrong_digest(state: &State, digest: Digest) -> Step {
    match current(state, digest) {
        Some(mut update) if update.phase == Phase::Verifying => {
            if update.round > 0 {
                return fall_back(state, update, Fault::WrongDigest);
            }
            // Perhaps this robot's disk lost a chunk: the bytes are pulled once more before the model is blamed.
            update.phase = Phase::Downloading;
            update.round = 1;
            let next = State {
                update: Some(update),
                ..*state
            };
            Step {
                state: next,
                actions: Actions::one(work(&update)),
                note: Note::DownloadAgain,
            }
        }
        _ => quiet(*state),
    }
}

fn gave_up(state: &State, digest: Digest) -> Step {
    match current(state, digest) {
        Some(update) if update.phase == Phase::Downloading => quiet(State {
            update: None,
            ..*state
        }),
        _ => quiet(*state),
    }
}

fn fall_back(state: &State, update: Update, fault: Fault) -> Step {
    let mut next = State {
        update: None,
        spare: None,
        ..*state
    };
    next.bad.remember(BadDigest {
        digest: update.image.digest,
        version: update.image.version,
        fault,
    });
    Step {
        state: next,
        actions: Actions::one(run_active(&next)),
        note: Note::FellBack(fault),
    }
}

fn active_lost(state: &State, digest: Digest) -> Step {
    let Some(lost) = state.active.filter(|active| active.image.digest == digest) else {
        return quiet(*state);
    };
    let mut next = State {
        active: None,
        spare: None,
        ..*state
    };
    match (state.spare, state.update) {
        (Some(image), None) => {
            next.active = Some(Active {
                slot: lost.slot.other(),
                image,
            });
            Step {
                state: next,
                actions: Actions::one(run_active(&next)),
                note: Note::Recovered,
            }
        }
        // In its trial the update serves input whatever became of the active slot.
        (_, Some(update)) if update.phase == Phase::Trial => Step {
            note: Note::NothingLeft,
            ..quiet(next)
        },
        _ => Step {
            state: next,
            actions: Actions::one(Action::Stop),
            note: Note::NothingLeft,
        },
    }
}
