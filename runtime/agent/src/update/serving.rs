//! The driver's side of running models: loading and testing them, handing them to the inference thread, and judging
//! their trial.

use std::time::{Duration, Instant};

use sanderling_slots::{Event, Fault, Image, Phase, Reason, Slot, Trial, Verdict};

use super::Input;
use super::driver::{AREA, Driver, Running, TRY_AGAIN, show};
use super::jobs::{self, Done, Job};
use crate::infer::{Candidate, Next, Swapped};
use crate::{error, info};

impl Driver {
    pub(super) fn start_job(&mut self, kind: jobs::Kind, slot: Slot, image: Image) {
        if self
            .jobs
            .iter()
            .any(|job| job.kind == kind && job.image.digest == image.digest)
        {
            return;
        }
        self.last_job += 1;
        let id = self.last_job;
        let job = Job {
            kind,
            path: self.folder.path(slot).to_path_buf(),
            image,
            answer: self.setup.answer,
            arena_limit: self.setup.config.arena_limit,
        };
        let line = self.setup.line.clone();
        let started = jobs::start(job, move |done| {
            // The agent ends when nobody listens any more.
            let _ = line.send(Input::Job(id, done));
        });
        let until = self.now + self.setup.config.check_limit;
        self.jobs.push(Running {
            id,
            image,
            kind,
            until,
        });
        if let Err(error) = started {
            error!(
                AREA,
                "no thread can be started ({error}); trying again in {} s",
                TRY_AGAIN.as_secs()
            );
            self.jobs.pop();
            self.unsaved.push((Event::Started, self.now + TRY_AGAIN));
        }
    }

    pub(super) fn job_done(&mut self, id: u64, done: Done) {
        let Some(index) = self.jobs.iter().position(|job| job.id == id) else {
            return;
        };
        let job = self.jobs.swap_remove(index);
        let digest = job.image.digest;
        match (job.kind, done) {
            (jobs::Kind::Verify, Done::Right) => self.event(Event::Verified(digest)),
            (jobs::Kind::Verify, Done::Wrong(why)) => {
                self.detail = Some(why);
                self.event(Event::WrongDigest(digest));
            }
            (jobs::Kind::SelfTest, Done::Ready(candidate)) => {
                // Another model may be wanted by now.
                if self
                    .stored
                    .state
                    .update
                    .is_some_and(|update| update.image.digest == digest)
                {
                    self.hand.push(*candidate);
                    self.proved = Some(digest);
                    self.begin_trial();
                }
            }
            (jobs::Kind::Load, Done::Ready(candidate)) if self.is_beside(digest) => {
                self.setup.shared.shadow.set(Some(candidate));
            }
            (jobs::Kind::Load, Done::Ready(candidate)) => {
                // It may have been loaded for a state that is over.
                if self
                    .stored
                    .state
                    .runs()
                    .is_some_and(|(_, image)| image.digest == digest)
                {
                    self.put_on_stage(Some(candidate));
                }
            }
            (_, Done::Wrong(why)) => self.job_failed(&job, Fault::WrongDigest, why),
            (_, Done::Unfit(fault, why)) => self.job_failed(&job, fault, why),
            (_, Done::Right | Done::Ready(_)) => {}
        }
    }

    pub(super) fn job_failed(&mut self, job: &Running, fault: Fault, why: String) {
        let digest = job.image.digest;
        if self
            .stored
            .state
            .update
            .is_some_and(|update| update.image.digest == digest)
        {
            self.detail = Some(why);
            self.event(Event::Failed(digest, fault));
        } else {
            error!(AREA, "{} cannot be loaded again: {why}", show(&job.image));
            self.event(Event::ActiveLost(digest));
        }
    }

    /// A model that is loaded to serve and comes to no end. The states of an update have limits of their own.
    pub(super) fn watch_job(&mut self, now: Instant) {
        let update = self.stored.state.update.map(|update| update.image.digest);
        let late = |job: &Running| job.until <= now && Some(job.image.digest) != update;
        if let Some(index) = self.jobs.iter().position(late) {
            let job = self.jobs.swap_remove(index);
            let why = format!(
                "checking it took longer than {} s",
                self.setup.config.check_limit.as_secs()
            );
            self.job_failed(&job, Fault::TimedOut, why);
        }
    }

    /// Lets the inference thread serve with a model: one that is loaded already, or after loading it.
    pub(super) fn serve(&mut self, slot: Slot, image: Image) {
        let heading_there = match &self.staged {
            Some((staged, _)) => staged.is_some_and(|staged| staged.digest == image.digest),
            None => self
                .serving
                .is_some_and(|serving| serving.digest == image.digest),
        };
        if heading_there {
            return;
        }
        match self
            .hand
            .iter()
            .position(|candidate| candidate.image.digest == image.digest)
        {
            Some(index) => {
                let mut candidate = self.hand.swap_remove(index);
                candidate.image = image;
                self.put_on_stage(Some(Box::new(candidate)));
            }
            None => self.start_job(jobs::Kind::Load, slot, image),
        }
    }

    pub(super) fn put_on_stage(&mut self, candidate: Option<Box<Candidate>>) {
        let image = candidate.as_ref().map(|candidate| candidate.image);
        let next = candidate.map_or(Next::Nothing, Next::Serve);
        if let Some(Next::Serve(never_taken)) = self.setup.stage.put(next) {
            self.hand.push(*never_taken);
        }
        self.setup.queue.nudge();
        self.staged = Some((image, self.now + self.setup.config.check_limit));
    }

    pub(super) fn swapped(&mut self, swapped: Swapped, now: Instant) {
        let Swapped {
            serving,
            executor,
            retired,
        } = swapped;
        (self.serving, self.executor) = (serving, executor);
        if self
            .staged
            .as_ref()
            .is_some_and(|(image, _)| *image == serving)
        {
            self.staged = None;
        }
        let trial = self
            .stored
            .state
            .update
            .filter(|update| update.phase == Phase::Trial);
        if let (Some(retired), Some(input)) = (&retired, self.setup.shared.input()) {
            let before = retired.model.inputs().first();
            self.takes_others = before
                .is_none_or(|before| (before.dtype, &before.shape) != (input.dtype, &input.shape));
        }
        // The old model stays in memory while the new one can still be taken back.
        if trial.is_some() {
            self.hand.extend(retired.map(|candidate| *candidate));
        }
        if let Some(image) = serving {
            info!(
                AREA,
                "{} serves now, in the {}",
                show(&image),
                executor.unwrap_or("engine")
            );
        }
        let on_trial = serving
            .is_some_and(|image| trial.is_some_and(|update| update.image.digest == image.digest));
        self.trial_since = on_trial.then_some(now);
        self.tell_fleet(now);
    }

    /// A model that is to serve and is not taken up: the inference thread is stuck in the one before, and another
    /// thread takes its place. What is on trial has a limit of its own.
    pub(super) fn watch_stage(&mut self, now: Instant) {
        let Some((Some(image), until)) = self.staged else {
            return;
        };
        let update = self.stored.state.update.map(|update| update.image.digest);
        if until <= now && Some(image.digest) != update {
            error!(
                AREA,
                "the inference thread does not take up {}; another one takes its place",
                show(&image)
            );
            self.setup.stage.restart(&self.setup.shared);
            self.staged = Some((Some(image), now + self.setup.config.check_limit));
        }
    }

    pub(super) fn watch_trial(&mut self, now: Instant) {
        let (Some(since), Some(update)) = (self.trial_since, self.stored.state.update) else {
            return;
        };
        if update.phase != Phase::Trial {
            return;
        }
        let shared = &self.setup.shared;
        let active = self.stored.state.active.map(|active| active.image.digest);
        // One lock at a time: a guard lives to the end of its statement.
        let p99_us = shared.evidence().times().p99_us;
        let samples = self.setup.config.trial.latency.samples;
        let before = active.and_then(|digest| shared.evidence().times_before(digest, samples));
        let mut trial = Trial {
            inferences: shared.served_now.get(),
            failures: shared.failed_now.get(),
            millis: millis(now.saturating_duration_since(since)),
            p99_us,
            active_p99_us: before.map(|times| times.p99_us),
            busy_millis: millis(shared.busy_for(now)),
        };
        // Frames that do not fit are the new model's fault where the one before takes other frames, or where nothing
        // else came all the time. Without a model to go back to they are the source's.
        let limits = &self.setup.config.trial;
        let only_misfits = trial.inferences == 0 && trial.millis >= limits.millis;
        if self.stored.state.active.is_some() && (self.takes_others || only_misfits) {
            trial.failures += shared.misfits_now.get();
        }
        let digest = update.image.digest;
        match self.setup.config.trial.judge(&trial) {
            Verdict::Undecided => {}
            Verdict::Passed => {
                self.trial_since = None;
                self.event(Event::TrialPassed(digest));
            }
            Verdict::Failed(reason) => {
                self.trial_since = None;
                let (fault, detail) = match reason {
                    Reason::Failures => (Fault::Trial, shared.take_failure()),
                    Reason::Slow { p99_us, bound_us } => (
                        Fault::Trial,
                        Some(format!(
                            "99 of 100 inferences take up to {p99_us} µs, and {bound_us} µs are allowed; see --trial-p99-percent"
                        )),
                    ),
                    Reason::Stuck(millis) => {
                        self.setup.stage.restart(&self.setup.shared);
                        (
                            Fault::TimedOut,
                            Some(format!("an inference gave no result for {millis} ms")),
                        )
                    }
                };
                self.detail = detail;
                self.event(Event::Failed(digest, fault));
            }
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
