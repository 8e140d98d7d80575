//! From a group's desired state to what this robot wants: believed, of its arm, and fit for it.

use sanderling_slots::{self as slots, Event};
use sanderling_trust::Refusal;
use sanderling_wire::FailureCode;

use super::driver::{AREA, Driver};
use super::fit::{Unfit, Wish, fit};
use super::guard::Task;
use super::report::Failure;
use crate::{error, warn};

impl Driver {
    /// A serial that no desired state can reach is no serial: the next one counts.
    pub(super) fn forget_foreign_serial(&mut self) -> std::io::Result<()> {
        let foreign = self.guard.is_foreign(self.stored.state.serial);
        if !foreign && !self.guard.is_of_another_group() {
            self.guard.note_group();
            return Ok(());
        }
        warn!(
            AREA,
            "the serial that was accepted last is of another {}; the next one counts",
            if foreign {
                "root, or of an older program"
            } else {
                "group"
            }
        );
        let state = slots::State {
            serial: 0,
            ..self.stored.state
        };
        slots::save(&mut self.folder, &mut self.stored, &state)?;
        self.guard.note_group();
        Ok(())
    }

    /// The fleet's roots, as they stand on the group's topic.
    pub(super) fn roots(&mut self, chain: &[u8]) {
        if chain.is_empty() {
            return;
        }
        match self.guard.follow(chain) {
            Ok(false) => {}
            Ok(true) => {
                // What a new fleet key signed may have come before the root that names it.
                // Under a new fleet key the old word counts no more; the fleet says it again, signed anew.
                if let Some(bytes) = self.heard.clone()
                    && let Ok(task) = self.ask(&bytes)
                {
                    self.take(&task);
                }
                self.tell_fleet(self.now);
            }
            Err(text) => self.disbelieve(text),
        }
    }

    /// What stands on the group's `desired` topic.
    pub(super) fn desired(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            if self.guard.anchor().is_some() {
                warn!(
                    AREA,
                    "the group's desired state was taken away without a signature; nothing changes here"
                );
                return;
            }
            self.wish = None;
            self.shadow = None;
            self.event(Event::Unwanted);
            return;
        }
        match self.ask(&bytes) {
            Ok(task) => self.take(&task),
            Err(refusal @ Refusal::Stale { .. }) => {
                self.hush.warn(AREA, "stale", format_args!("{refusal}"));
            }
            Err(refusal) => self.disbelieve(refusal.to_string()),
        }
        self.heard = Some(bytes);
    }

    fn ask(&mut self, bytes: &[u8]) -> Result<Task, Refusal> {
        let now_s = self.now_s();
        self.guard.task(bytes, self.stored.state.serial, now_s)
    }

    fn take(&mut self, task: &Task) {
        if let Some(ahead_s) = task.ahead_s {
            self.hush.warn(
                AREA,
                "ahead",
                format_args!(
                    "the fleet signs with a clock that is {} h ahead of this robot's; what it signs counts, its time does \
                     not: set the clock that is wrong",
                    ahead_s / 3600
                ),
            );
        }
        let fits = |manifest| fit(manifest, task, &self.setup.config);
        let shadow = task.shadow.as_ref().map(fits).transpose();
        let run = task.run.as_ref().map(fits).transpose();
        self.shadow = shadow.unwrap_or_else(|unfit| {
            warn!(AREA, "the release to run in the shadow: {unfit}");
            None
        });
        match run {
            Ok(Some(wish)) => {
                if self.wish.as_ref() != Some(&wish) {
                    self.in_vain = 0;
                }
                self.wish = Some(wish);
                self.want();
                self.settle_floor();
            }
            Ok(None) => {
                self.keep(task.serial);
                self.want_beside();
            }
            Err(unfit) => self.unfit(unfit),
        }
    }

    /// What is there is what is wanted, and the serial counts all the same.
    fn keep(&mut self, serial: u64) {
        self.wish = None;
        match self.stored.state.active {
            Some(active) => self.event(Event::Wanted {
                image: active.image,
                serial,
            }),
            None => self.event(Event::Unwanted),
        }
    }

    fn unfit(&mut self, unfit: Unfit) {
        self.wish = None;
        error!(AREA, "{unfit}");
        // What was on its way before is not wanted any more either.
        self.event(Event::Unwanted);
        self.fail(unfit.code, unfit.text);
    }

    /// A statement that is not believed changes nothing that is under way; the fleet hears of it.
    fn disbelieve(&mut self, text: String) {
        self.hush.warn(AREA, &text, format_args!("{text}"));
        self.fail(FailureCode::Refused, text);
    }

    fn fail(&mut self, code: FailureCode, text: String) {
        let failure = Failure {
            release: None,
            code,
            text,
        };
        if self.failure.as_ref() != Some(&failure) {
            self.failure = Some(failure);
            self.tell_fleet(self.now);
        }
    }

    /// Once the wanted release is active, older ones than it allows are refused from then on.
    pub(super) fn settle_floor(&mut self) {
        let Some(Wish {
            image,
            floor: Some((model, floor)),
            ..
        }) = &self.wish
        else {
            return;
        };
        let active = self.stored.state.active;
        if active.is_some_and(|active| active.image.digest == image.digest) {
            self.guard.is_active(model, *floor);
        }
    }
}
