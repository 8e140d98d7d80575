//! The transition function: pure, total, and the only place where a [`State`] changes.

use std::fmt;

use crate::arms::{Version, arms};
use crate::audit::{Act, Audit, MACHINE};
use crate::device::{Key, Report};
use crate::gate::{Finding, When, ask};
use crate::policy::OnTrip;
use crate::state::{State, Status, Why};
use crate::strategy::bandit::{Turn, turn};
use crate::strategy::{BanditMemory, Stage, StageKind};
use crate::tally::Tally;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A person begins it.
    Start {
        /// Who.
        by: String,
    },
    /// A person stops it where it stands.
    Pause {
        /// Who.
        by: String,
        /// Why, in a line.
        why: String,
    },
    /// A person lets it go on; what a gate measured is accepted. A comparison is decided for the new version.
    Resume {
        /// Who.
        by: String,
    },
    /// A person ends it.
    Abort {
        /// Who.
        by: String,
        /// Whether the old version is put back.
        revert: bool,
    },
    /// A robot said something.
    Report(Box<Report>),
    /// A robot's connection with this number stands.
    Here {
        /// Who.
        device: Key,
        /// See [`Report::order`].
        order: u64,
    },
    /// A robot's connection with this number ended.
    Gone {
        /// Who.
        device: Key,
        /// See [`Report::order`].
        order: u64,
    },
    /// A person took a robot out of the fleet.
    Forgotten(Key),
    /// Time passed. Said as often as you like, every few seconds.
    Tick,
}

/// What to do after the new state and the audit lines are written down in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The arms changed: publish those of the state. Done once for each revision, whoever restarts in between.
    Publish {
        /// [`crate::Head::revision`].
        revision: u32,
    },
    /// It is over.
    Ended {
        /// What the group has from now on; none where it was stopped half-way.
        keeps: Option<Version>,
    },
}

/// What was asked for cannot be done in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has not begun.
    Draft,
    /// It is over.
    Over,
    /// The old version is being put back already.
    Reverting,
    /// There is no old version to put back.
    NothingBefore,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Draft => "the rollout has not begun; start it",
            Refusal::Over => "the rollout is over; start another one",
            Refusal::Reverting => "the old version is being put back; wait for it to end",
            Refusal::NothingBefore => {
                "the group had no version before this one; abort without reverting, and roll out another version"
            }
        })
    }
}

impl std::error::Error for Refusal {}

/// What a step gives.
#[derive(Clone, Debug)]
pub struct Step {
    /// The new state.
    pub state: State,
    /// What to do after it is written down.
    pub actions: Vec<Action>,
    /// What to write down beside it.
    pub audit: Vec<Audit>,
    /// True where more than a robot's record changed.
    pub head_changed: bool,
    /// The robot whose record changed or went, if one did.
    pub changed: Option<Key>,
    /// Why a person's event did nothing, if so.
    pub refused: Option<Refusal>,
}

/// The transition function. `now` is in ms since 1970; a clock that goes back only lengthens a soak time.
pub fn step(state: State, event: Event, now: u64) -> Step {
    let mut next = Step {
        state,
        actions: Vec::new(),
        audit: Vec::new(),
        head_changed: false,
        changed: None,
        refused: None,
    };
    match event {
        Event::Report(report) => {
            let head = &next.state.head;
            let known = next.state.devices.get(&report.device);
            let mut device = known.cloned().unwrap_or_default();
            device.hear(head, &report);
            if known != Some(&device) {
                next.changed = Some(report.device);
                next.state.devices.insert(report.device, device);
            }
            return next;
        }
        Event::Here { device, order } => {
            return next.hear_of(device, |d| {
                if order >= d.order {
                    d.order = order;
                    d.online = true;
                }
            });
        }
        Event::Gone { device, order } => return next.hear_of(device, |d| d.gone(order)),
        Event::Forgotten(device) => {
            next.changed = next.state.devices.remove(&device).map(|_| device);
            return next;
        }
        _ => {}
    }
    let before = next.state.head.clone();
    let told = arms(&next.state);
    match event {
        Event::Start { by } => next.start(by, now),
        Event::Pause { by, why } => next.pause(by, why, now),
        Event::Resume { by } => next.resume(by, now),
        Event::Abort { by, revert } => next.abort(by, revert, now),
        _ => next.tick(now),
    }
    if arms(&next.state) != told {
        next.state.head.revision = next.state.head.revision.saturating_add(1);
        let revision = next.state.head.revision;
        next.actions.insert(0, Action::Publish { revision });
    }
    next.head_changed = next.state.head != before;
    next
}

impl Step {
    fn hear_of(mut self, key: Key, what: impl FnOnce(&mut crate::device::Device)) -> Step {
        let known = self.state.devices.get(&key);
        let mut device = known.cloned().unwrap_or_default();
        what(&mut device);
        if known != Some(&device) {
            self.changed = Some(key);
            self.state.devices.insert(key, device);
        }
        self
    }

    fn note(&mut self, at_ms: u64, by: &str, act: Act, text: impl Into<String>) {
        self.audit.push(Audit {
            at_ms,
            by: by.to_owned(),
            act,
            text: text.into(),
        });
    }

    fn start(&mut self, by: String, now: u64) {
        match self.state.head.status {
            Status::Draft => {}
            // Said again: it has begun.
            Status::Soaking => return,
            _ if self.state.head.status.is_over() => return self.refused = Some(Refusal::Over),
            _ => return,
        }
        let head = &self.state.head;
        let text = format!(
            "{} v{} by {}",
            head.candidate.model,
            head.candidate.version,
            head.policy.strategy.word()
        );
        self.note(now, &by, Act::Started, text);
        self.state.head.status = Status::Soaking;
        self.enter(0, now);
    }

    /// Begins a stage, or ends the rollout when there is none left.
    fn enter(&mut self, mut stage: u32, now: u64) {
        let stages = self.state.head.policy.stages();
        let places = self.state.places();
        loop {
            let Some(next) = usize::try_from(stage).ok().and_then(|at| stages.get(at)) else {
                return self.finish(now);
            };
            let last = usize::try_from(stage).is_ok_and(|at| at + 1 >= stages.len());
            let mut size = next.size;
            let before = self.state.head.done_upto;
            let natural = size.upto(&places);
            let drawn = match next.kind {
                StageKind::Shadow => self.state.at_least_one(None, natural),
                _ => self.state.at_least_one(before, natural.max(before)),
            };
            let head = &mut self.state.head;
            head.skip_upto = None;
            head.away_from_ms = None;
            match next.kind {
                StageKind::Shadow => (head.skip_upto, head.shadow_upto) = drawn,
                StageKind::Bandit => {
                    let memory = BanditMemory::begin(&head.policy.bandit(), now);
                    size = memory.share();
                    head.upto = size.upto(&places);
                    head.bandit = Some(memory);
                }
                StageKind::Run | StageKind::Compare => {
                    // A canary may be as large as the first wave: that one adds nobody.
                    if natural.max(before) == before && before.is_some() && !last {
                        stage += 1;
                        continue;
                    }
                    (head.skip_upto, head.upto) = drawn;
                }
            }
            head.stage = stage;
            head.begun_ms = now;
            head.soak_from_ms = None;
            let text = format!(
                "stage {} of {}: {} {}",
                stage + 1,
                stages.len(),
                size,
                match next.kind {
                    StageKind::Run => "run the new version",
                    StageKind::Shadow => "run the new version in the shadow",
                    StageKind::Compare => "run the new version, to be compared",
                    StageKind::Bandit => "run the new version at first",
                }
            );
            return self.note(now, MACHINE, Act::Stage, text);
        }
    }

    fn finish(&mut self, now: u64) {
        self.state.head.status = Status::Finished;
        let candidate = &self.state.head.candidate;
        let text = format!(
            "{} v{} is the group's version",
            candidate.model, candidate.version
        );
        self.note(now, MACHINE, Act::Finished, text);
        self.actions.push(Action::Ended {
            keeps: Some(Version::Candidate),
        });
    }

    fn pause(&mut self, by: String, why: String, now: u64) {
        match self.state.head.status {
            Status::Soaking | Status::Holding => {
                self.note(now, &by, Act::Paused, why.clone());
                self.state.head.status = Status::Paused(Why {
                    by,
                    text: why,
                    gate: None,
                });
            }
            Status::Paused(_) => {}
            Status::Draft => self.refused = Some(Refusal::Draft),
            Status::Reverting(_) => self.refused = Some(Refusal::Reverting),
            Status::Finished | Status::Aborted { .. } => self.refused = Some(Refusal::Over),
        }
    }

    fn resume(&mut self, by: String, now: u64) {
        match self.state.head.status.clone() {
            Status::Paused(why) => {
                let mut text = "goes on".to_owned();
                if let Some((gate, value)) = why.gate {
                    // What it measured, and a quarter more.
                    let accepted = value.saturating_add(value / 4);
                    let shown = accepted as f64 / 1e6;
                    text = format!("goes on; {} of {shown:.4} is accepted", gate.word());
                    self.state.head.accepted.insert(gate, accepted);
                }
                self.note(now, &by, Act::Resumed, text);
                let head = &mut self.state.head;
                head.status = Status::Soaking;
                head.begun_ms = now;
                head.soak_from_ms = None;
                head.away_from_ms = None;
                if let Some(memory) = &mut head.bandit {
                    memory.moved_ms = now;
                }
            }
            Status::Holding => {
                self.note(now, &by, Act::Resumed, "the new version is chosen");
                self.state.head.status = Status::Soaking;
                self.advance(now);
            }
            Status::Soaking => {}
            Status::Draft => self.refused = Some(Refusal::Draft),
            Status::Reverting(_) => self.refused = Some(Refusal::Reverting),
            Status::Finished | Status::Aborted { .. } => self.refused = Some(Refusal::Over),
        }
    }

    fn abort(&mut self, by: String, revert: bool, now: u64) {
        match (&self.state.head.status, revert) {
            (Status::Finished | Status::Aborted { .. }, _) => self.refused = Some(Refusal::Over),
            (Status::Reverting(_), true) => {}
            (Status::Reverting(_), false) => self.refused = Some(Refusal::Reverting),
            (Status::Draft, _) => self.aborted(&by, true, "before it began", now),
            (_, true) if self.state.head.base.is_none() => {
                self.refused = Some(Refusal::NothingBefore)
            }
            (_, true) => self.revert(
                Why {
                    by,
                    text: "aborted".to_owned(),
                    gate: None,
                },
                now,
            ),
            (_, false) => self.aborted(&by, false, "as it stood", now),
        }
    }

    fn aborted(&mut self, by: &str, reverted: bool, text: &str, now: u64) {
        self.state.head.status = Status::Aborted { reverted };
        self.note(now, by, Act::Aborted, text);
        let keeps = reverted.then_some(Version::Base);
        self.actions.push(Action::Ended { keeps });
    }

    fn revert(&mut self, why: Why, now: u64) {
        let base = self.state.head.base.as_ref();
        let text = base.map_or_else(String::new, |b| {
            format!("{} v{} is put back: {}", b.model, b.version, why.text)
        });
        self.note(now, &why.by, Act::Reverting, text);
        self.state.head.status = Status::Reverting(why);
    }

    fn tick(&mut self, now: u64) {
        match self.state.head.status {
            Status::Soaking => self.soak(now),
            Status::Reverting(_) => {
                // Robots that are away come back to the old version by what is retained for them.
                let tally = Tally::of(&self.state);
                if tally.still_candidate == 0 {
                    let away = tally.known - tally.online;
                    let text =
                        format!("no robot that is there runs the new version; {away} are away");
                    self.aborted(MACHINE, true, &text, now);
                }
            }
            _ => {}
        }
    }

    fn soak(&mut self, now: u64) {
        let tally = Tally::of(&self.state);
        if let Some(finding) = tripped(&self.state, &tally, When::Running) {
            return self.trip(&finding, now);
        }
        let Some(stage) = self.state.head.current_stage() else {
            return self.finish(now);
        };
        if stage.kind == StageKind::Bandit {
            return self.play(now);
        }
        if tally.stage.settled < needed(self.state.head.policy.min_reports, &tally) {
            return self.draw(&stage, &tally, now);
        }
        self.state.head.away_from_ms = None;
        let from = *self.state.head.soak_from_ms.get_or_insert(now);
        if now < from.saturating_add(stage.soak_ms) {
            return;
        }
        if let Some(finding) = tripped(&self.state, &tally, When::Between) {
            return self.trip(&finding, now);
        }
        if stage.kind == StageKind::Compare {
            self.state.head.status = Status::Holding;
            return self.note(
                now,
                MACHINE,
                Act::Held,
                "the comparison is complete: resume gives the new version to all",
            );
        }
        self.advance(now);
    }

    /// Draws other robots where none of the stage's is there. Not where one of them had begun: a version that takes
    /// robots down must not be given to more of them for that.
    fn draw(&mut self, stage: &Stage, tally: &Tally, now: u64) {
        if tally.stage.online > 0 || tally.stage.touched > 0 {
            self.state.head.away_from_ms = None;
            return;
        }
        let from = *self.state.head.away_from_ms.get_or_insert(now);
        let patience = self.state.head.policy.redraw_ms(stage);
        if now < from.saturating_add(patience) {
            return;
        }
        let last = self.state.head.stage_upto();
        let Some(first) = self.state.next_online(last) else {
            return;
        };
        // As many as the stage had, in the order of their places, from the first one on that is there.
        let size = usize::try_from(tally.stage.members).unwrap_or(usize::MAX);
        let places = self.state.places();
        let new = places.iter().copied().filter(|&place| place >= first);
        let upto = new.take(size.max(1)).last();
        let head = &mut self.state.head;
        head.skip_upto = Some(first.saturating_sub(1));
        head.away_from_ms = None;
        match stage.kind {
            StageKind::Shadow => head.shadow_upto = upto,
            _ => head.upto = upto,
        }
        let text = format!(
            "stage {}: none of its {} robots was there for {} s; as many others are drawn",
            head.stage.saturating_add(1),
            tally.stage.members,
            patience / 1000
        );
        self.note(now, MACHINE, Act::Drawn, text);
    }

    fn advance(&mut self, now: u64) {
        let head = &mut self.state.head;
        if head.stage_kind() != Some(StageKind::Shadow) {
            head.done_upto = head.upto;
        }
        let next = head.stage.saturating_add(1);
        self.enter(next, now);
    }

    fn trip(&mut self, finding: &Finding, now: u64) {
        let text = format!(
            "{} is {:.4} over {} samples, and {:.4} is allowed",
            finding.gate.word(),
            finding.value,
            finding.samples,
            finding.limit
        );
        self.note(now, MACHINE, Act::Tripped, text.clone());
        let why = Why {
            by: MACHINE.to_owned(),
            text,
            gate: Some((finding.gate, millionths(finding.value))),
        };
        let head = &mut self.state.head;
        if head.policy.on_trip == OnTrip::Revert && head.base.is_some() {
            self.revert(why, now);
        } else {
            head.status = Status::Paused(why);
        }
    }

    fn play(&mut self, now: u64) {
        let percent = |memory: &BanditMemory| f64::from(memory.share_ppm) / 1e4;
        match turn(&self.state, now) {
            Turn::Wait => {}
            Turn::Look(memory) => {
                let moved = self
                    .state
                    .head
                    .bandit
                    .is_some_and(|m| m.share_ppm != memory.share_ppm);
                self.state.head.bandit = Some(memory);
                if moved {
                    let better = f64::from(memory.better_ppm.unwrap_or(500_000)) / 1e6;
                    let text = format!(
                        "to {:.1}%: better with probability {better:.3}",
                        percent(&memory)
                    );
                    self.state.head.upto = memory.share().upto(&[]);
                    self.note(now, MACHINE, Act::Moved, text);
                }
            }
            Turn::Decided(version, memory) => {
                self.state.head.bandit = Some(memory);
                let better = f64::from(memory.better_ppm.unwrap_or(500_000)) / 1e6;
                let text = format!("the new version earns more with probability {better:.4}");
                match version {
                    Version::Candidate => {
                        self.note(now, MACHINE, Act::Moved, text);
                        self.advance(now);
                    }
                    Version::Base => self.revert(
                        Why {
                            by: MACHINE.to_owned(),
                            text,
                            gate: None,
                        },
                        now,
                    ),
                }
            }
        }
    }
}

fn millionths(value: f64) -> u64 {
    // The conversion saturates; no measure that trips is negative.
    (value * 1e6).ceil() as u64
}

fn tripped(state: &State, tally: &Tally, when: When) -> Option<Finding> {
    ask(&state.head, tally, when)
        .into_iter()
        .find(|finding| finding.tripped)
}

/// How many of a stage's robots must have settled. Those that are away are not waited for, but of a stage whose robots
/// are all away nothing is known: one of them must come, unless the policy waits for nobody.
pub(crate) fn needed(min_reports: Option<u32>, tally: &Tally) -> u64 {
    let stage = &tally.stage;
    if stage.members == 0 || min_reports == Some(0) {
        return 0;
    }
    // Robots that settled and left count as reports, so the bound is on those that can still be heard.
    let reachable = stage.online + (stage.settled - stage.settled_online);
    let wanted = min_reports.map_or_else(|| reachable.div_ceil(2), u64::from);
    wanted.min(reachable).max(1)
}
