//! The driver's limits: how long each state of an update may last, and the robot's own conditions.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sanderling_slots::{Event, Limits, Overdue, Phase, Seen, Stretch};
use sanderling_trust::NEVER_SET_S;
use sanderling_wire::FailureCode;

use super::driver::{AREA, Driver};
use super::fetch::Fetch;
use super::fit::Wish;
use crate::info;
use crate::policy;

/// How often conditions are looked at: a window of time opens without anybody saying so.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Driver {
    /// Ends a state of an update that has lasted too long. The table of limits is in `sanderling_slots`.
    pub(super) fn watch_limits(&mut self, now: Instant) {
        let config = &self.setup.config;
        let (check, trial) = (millis(config.check_limit), config.trial.millis);
        let limits = Limits {
            progress: millis(config.progress_limit),
            download: millis(config.download_limit),
            verify: check,
            self_test: check,
            staged: check,
            // Twice what a trial needs that is judged by time, for it is judged a little later.
            trial: trial.saturating_mul(2).max(check),
        };
        let state = self.stored.state;
        let update = state.update.map(|update| update.image.digest);
        let seen = Seen {
            reachable: self.session.is_some(),
            progress: self.fetch.as_ref().map_or(0, Fetch::moved),
            serving: update.is_some() && self.serving.map(|image| image.digest) == update,
            held: self.held.is_some(),
        };
        let clock = millis(now.saturating_duration_since(self.began));
        let Some(overdue) = self.watch.overdue(&state, seen, clock, &limits) else {
            return;
        };
        self.end_overdue(overdue);
    }

    fn end_overdue(&mut self, overdue: Overdue) {
        let Overdue {
            event,
            stretch,
            limit,
        } = overdue;
        let seconds = limit as f64 / 1000.0;
        match event {
            Event::GaveUp(digest) => {
                let why = match limit == millis(self.setup.config.progress_limit) {
                    true => format!("no chunk came for {seconds} s"),
                    false => format!("it took longer than {seconds} s"),
                };
                self.put_off(FailureCode::Transfer, digest, why);
            }
            event => {
                if let Event::Failed(digest, _) = event {
                    self.jobs.retain(|job| job.image.digest != digest);
                }
                if stretch == Stretch::Staged {
                    // The model before is stuck in a frame; the one that was to follow is not at fault, but the
                    // robot goes on with what worked.
                    self.staged = None;
                    self.setup.stage.restart(&self.setup.shared);
                }
                self.detail = Some(format!(
                    "it was {} for more than {seconds} s",
                    stretch.name()
                ));
                self.event(event);
            }
        }
    }

    /// The time in seconds since 1970, by the system's clock, as far ahead of it as the driver's own clock is.
    pub(super) fn now_s(&self) -> u64 {
        let ahead = self.now.saturating_duration_since(Instant::now());
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| (since + ahead).as_secs())
    }

    fn why_held(&self) -> Option<String> {
        let now_s = Some(self.now_s()).filter(|&now_s| now_s > NEVER_SET_S);
        let conditions = &self.setup.config.conditions;
        policy::held(conditions, &self.setup.shared.facts(), now_s)
    }

    /// Whether a wish may be taken up now: it changes nothing, or it is under way and in its trial, or the conditions
    /// hold. What waits is told to the fleet with its reason.
    pub(super) fn may_begin(&mut self, wish: &Wish) -> bool {
        let state = &self.stored.state;
        let digest = Some(wish.image.digest);
        let is_active = state.active.map(|active| active.image.digest) == digest;
        let on_trial = state
            .update
            .is_some_and(|update| update.phase == Phase::Trial);
        if is_active || (on_trial && state.update.map(|u| u.image.digest) == digest) {
            return true;
        }
        let held = self.why_held();
        let may = held.is_none();
        self.hold(held);
        may
    }

    /// Looks whether the conditions hold by now, where something waits for them or may have to.
    pub(super) fn look_at_conditions(&mut self) {
        self.look_again = self.now + LOOK_EVERY;
        if self.setup.config.conditions.is_empty() {
            return;
        }
        let under_way = self.stored.state.update.is_some_and(|update| {
            matches!(
                update.phase,
                Phase::Downloading | Phase::Verifying | Phase::SelfTesting
            )
        });
        if self.held.is_none() && !under_way {
            return;
        }
        let held = self.why_held();
        let released = held.is_none() && self.held.is_some();
        self.hold(held);
        if released {
            info!(AREA, "the conditions for an update hold now");
            self.begin_trial();
            self.want();
        }
    }

    /// Begins the trial of a model that passed its self-test, where the conditions hold. A trial that has begun goes on
    /// whatever becomes of them.
    pub(super) fn begin_trial(&mut self) {
        let Some(digest) = self.proved else { return };
        let beside = self.is_to_be_beside(digest);
        let held = self.why_held().filter(|_| !beside);
        if held.is_none() {
            self.proved = None;
            self.event(Event::SelfTested(digest));
        }
        self.hold(held);
    }

    fn hold(&mut self, held: Option<String>) {
        if self.held == held {
            return;
        }
        // A battery that fills is not worth a line each time.
        if let (None, Some(why)) = (&self.held, &held) {
            info!(AREA, "an update is {why}");
        }
        self.held = held;
        self.tell_fleet(self.now);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
