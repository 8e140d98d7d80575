//! The part of the transition function about a model that runs beside the active one, without acting.

use crate::image::{Digest, Image};
use crate::state::{Phase, State, Update};
use crate::step::{Actions, Note, Step, quiet, run_active, work};

pub(crate) fn beside(state: &State, image: Image, serial: u64) -> Step {
    if serial < state.serial {
        return Step {
            note: Note::Stale,
            ..quiet(*state)
        };
    }
    let mut next = State { serial, ..*state };
    if next
        .active
        .is_none_or(|active| active.image.digest == image.digest)
    {
        // There is nothing to run beside, or it is that very model.
        return quiet(next);
    }
    if let Some(update) = next.update.as_mut() {
        if update.image.digest == image.digest {
            update.image.version = update.image.version.max(image.version);
            update.beside = true;
            if update.phase != Phase::Trial {
                return quiet(next);
            }
            update.phase = Phase::Beside;
            let work = work(update);
            return Step {
                actions: Actions::two(run_active(&next), work),
                ..quiet(next)
            };
        }
        if !update.beside {
            // What is to run comes first; this wish is said again after it.
            return Step {
                note: Note::Deferred,
                ..quiet(*state)
            };
        }
        next.update = None;
    }
    if let Some(fault) = next.bad.refuses(&image) {
        return Step {
            note: Note::Refused(fault),
            ..quiet(next)
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
        beside: true,
    };
    next.spare = None;
    next.update = Some(update);
    Step {
        state: next,
        actions: Actions::one(work(&update)),
        note: Note::Began,
    }
}

pub(crate) fn alone(state: &State) -> Step {
    match state.update {
        Some(update) if update.beside => drop_update(state, update),
        _ => quiet(*state),
    }
}

/// Gives up an update that does not serve. What is whole stays in its slot, so that it need not be pulled again.
pub(crate) fn drop_update(state: &State, update: Update) -> Step {
    let whole = update.phase == Phase::Beside && state.active.is_some();
    Step {
        note: Note::Dropped,
        ..quiet(State {
            update: None,
            spare: whole.then_some(update.image),
            ..*state
        })
    }
}

pub(crate) fn settled(state: &State, digest: Digest) -> Step {
    let mut next = *state;
    if let Some(update) = next
        .update
        .as_mut()
        .filter(|update| update.image.digest == digest && update.phase == Phase::Beside)
    {
        update.starts = 0;
    }
    quiet(next)
}
