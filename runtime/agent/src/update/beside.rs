//! The driver's part of a model that runs beside the active one, to be compared and not to act.

use sanderling_slots::{Event, Image, Phase, Slot};

use super::driver::{AREA, Driver, show};
use super::jobs;
use super::report;
use crate::info;

/// Frames after which a candidate has shown that it takes nothing down.
const SETTLED: u64 = 100;

impl Driver {
    /// Wants what the fleet wants beside the active model, and nothing where it wants nothing there.
    pub(super) fn want_beside(&mut self) {
        let beside = self.stored.state.update.filter(|update| update.beside);
        let Some(wish) = self.shadow.clone() else {
            if beside.is_some() {
                self.event(Event::Alone);
            }
            return;
        };
        if let Some(fault) = self.stored.state.bad.refuses(&wish.image) {
            return self.hush.warn(
                AREA,
                "beside",
                format_args!(
                    "{} failed here before ({}) and does not run beside the active model",
                    show(&wish.image),
                    report::words(fault)
                ),
            );
        }
        let is_there = beside.is_some_and(|update| update.image.digest == wish.image.digest);
        if is_there || self.may_begin(&wish) {
            self.event(Event::Beside {
                image: wish.image,
                serial: wish.serial,
            });
            self.fetch_if_known();
        }
    }

    /// Whether this model is what runs beside the active one.
    pub(super) fn is_beside(&self, digest: [u8; 32]) -> bool {
        self.is_to_be_beside(digest)
            && self
                .stored
                .state
                .update
                .is_some_and(|update| update.phase == Phase::Beside)
    }

    /// Whether this model is to run beside the active one.
    pub(super) fn is_to_be_beside(&self, digest: [u8; 32]) -> bool {
        self.stored
            .state
            .update
            .is_some_and(|update| update.beside && update.image.digest == digest)
    }

    /// Lets a model run beside the active one: one that is loaded already, or after loading it.
    pub(super) fn run_beside(&mut self, slot: Slot, image: Image) {
        if self.setup.shared.shadow.candidate() == Some(image.digest) {
            return;
        }
        let loaded = self
            .hand
            .iter()
            .position(|candidate| candidate.image.digest == image.digest);
        match loaded {
            Some(index) => {
                let mut candidate = self.hand.swap_remove(index);
                candidate.image = image;
                info!(AREA, "{} runs beside the active model", show(&image));
                self.setup.shared.shadow.set(Some(Box::new(candidate)));
            }
            None => self.start_job(jobs::Kind::Load, slot, image),
        }
    }

    /// Ends what runs beside the active model and is no longer to.
    pub(super) fn end_beside(&mut self) {
        let shadow = &self.setup.shared.shadow;
        if shadow
            .candidate()
            .is_some_and(|digest| !self.is_beside(digest))
        {
            shadow.set(None);
        }
    }

    /// Forgets the starts of a candidate that has run for a while.
    pub(super) fn watch_beside(&mut self) {
        let Some(update) = self
            .stored
            .state
            .update
            .filter(|update| update.phase == Phase::Beside && update.starts > 0)
        else {
            return;
        };
        let seen = self.setup.shared.shadow.summary();
        if seen.is_some_and(|seen| {
            seen.candidate == update.image.digest && seen.compared + seen.failures >= SETTLED
        }) {
            self.event(Event::Settled(update.image.digest));
        }
    }
}
