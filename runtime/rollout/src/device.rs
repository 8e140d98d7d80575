//! What is kept of each robot: the newest that it reported, in a few dozen bytes plus its evidence.

use serde::{Deserialize, Serialize};

use crate::arms::Version;
use crate::state::Head;

/// SHA-256 of a plan file.
pub type Digest = [u8; 32];

/// Bins of a class histogram; the last one takes all further classes.
pub const HISTOGRAM_BINS: usize = 16;

/// A robot, by the first eight bytes, little-endian, of SHA-256(salt ‖ device name). No names are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub u64);

impl Key {
    /// The robot's place, which decides its arm: the first four bytes of the same hash.
    pub const fn place(self) -> u32 {
        self.0 as u32
    }
}

/// How far an update has come, as far as a rollout asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing is on its way.
    #[default]
    Resting,
    /// Something is downloaded, checked, or tested.
    Updating,
    /// What runs can still be taken back.
    Trial,
}

/// Why a robot does not run the new version although it tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It never served: transfer, digest, fit, signature, storage, self-test.
    Install,
    /// It served on trial and was taken back.
    Trial,
}

/// Which release runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runs {
    /// Nothing, or nothing was said yet.
    #[default]
    Nothing,
    /// The old version.
    Base,
    /// The new version.
    Candidate,
    /// A release that is neither.
    Other,
}

/// What was seen of the new version beside the active one. Counters are cumulative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    /// Inputs on which both answered.
    pub compared: u64,
    /// Of these, answers that differ.
    pub disagreed: u64,
    /// Inputs on which the new version failed.
    pub failures: u64,
    /// Its 99th percentile in µs, 0 where unknown.
    pub p99_us: u32,
}

/// What a robot saw of one release since it began to run. Counters are cumulative, so a lost report costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Inferences.
    pub inferences: u64,
    /// Of these, failed.
    pub failures: u64,
    /// 99th percentile of the latency in µs, 0 where unknown.
    pub p99_us: u32,
    /// Answers below the robot's confidence limit.
    pub low_confidence: u64,
    /// Answers by class.
    pub classes: [u32; HISTOGRAM_BINS],
    /// Rewards that were given.
    pub rewards: u64,
    /// Their sum, in thousandths.
    pub reward_milli: i64,
}

/// What a robot said.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Who.
    pub device: Key,
    /// Grows with each connection of the robot (the wire's session). A report of an older connection came too late.
    pub order: u64,
    /// What runs. None: this report does not say.
    pub running: Option<Option<Digest>>,
    /// How far an update has come. None: this report does not say.
    pub phase: Option<Phase>,
    /// The release that failed last here, and how; none where the report names no failure.
    pub failure: Option<(Digest, Fault)>,
    /// What was seen of which release.
    pub evidence: Option<(Digest, Evidence)>,
    /// What was seen of a release in the shadow.
    pub shadow: Option<(Digest, Shadow)>,
}

impl Report {
    /// A report that says nothing yet.
    pub fn of(device: Key, order: u64) -> Report {
        Report {
            device,
            order,
            running: None,
            phase: None,
            failure: None,
            evidence: None,
            shadow: None,
        }
    }
}

/// Evidence and the connection that it came over: of two, the one with more of both is the newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen<T> {
    order: u64,
    pub(crate) value: T,
}

impl<T> Seen<T> {
    fn take(slot: &mut Option<Box<Seen<T>>>, order: u64, value: T, count: impl Fn(&T) -> u64) {
        let newer = slot
            .as_ref()
            .is_none_or(|seen| (seen.order, count(&seen.value)) < (order, count(&value)));
        if newer {
            *slot = Some(Box::new(Seen { order, value }));
        }
    }
}

/// One robot. Of reports in any order and number, the newest of each kind stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The newest connection heard of.
    #[serde(default)]
    pub order: u64,
    /// Whether it stands.
    pub online: bool,
    /// What runs.
    pub runs: Runs,
    /// How far an update has come.
    pub phase: Phase,
    /// True once the new version was seen to run, to come, or to fail here.
    pub tried: bool,
    /// Why the new version does not run here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<Box<Seen<Evidence>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    candidate: Option<Box<Seen<Evidence>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shadow: Option<Box<Seen<Shadow>>>,
}

impl Device {
    /// What it saw of a release.
    pub fn evidence(&self, version: Version) -> Option<&Evidence> {
        let slot = match version {
            Version::Base => &self.base,
            Version::Candidate => &self.candidate,
        };
        slot.as_ref().map(|seen| &seen.value)
    }

    /// What it saw of the new version in the shadow.
    pub fn shadow(&self) -> Option<&Shadow> {
        self.shadow.as_ref().map(|seen| &seen.value)
    }

    /// The new version runs here for good.
    pub fn updated(&self) -> bool {
        self.runs == Runs::Candidate && self.phase != Phase::Trial
    }

    /// Nothing more is to be expected of its update: it runs, or it failed.
    pub fn settled(&self) -> bool {
        self.updated() || self.fault.is_some()
    }

    pub(crate) fn hear(&mut self, head: &Head, report: &Report) {
        if let Some((digest, evidence)) = report.evidence {
            let slot = match head.version_of(&digest) {
                Some(Version::Base) => Some(&mut self.base),
                Some(Version::Candidate) => Some(&mut self.candidate),
                None => None,
            };
            if let Some(slot) = slot {
                Seen::take(slot, report.order, evidence, |e| e.inferences);
            }
        }
        if let Some((digest, shadow)) = report.shadow
            && head.version_of(&digest) == Some(Version::Candidate)
        {
            Seen::take(&mut self.shadow, report.order, shadow, |s| {
                s.compared.saturating_add(s.failures)
            });
        }
        if report.order < self.order {
            return;
        }
        self.order = report.order;
        self.online = true;
        if let Some(phase) = report.phase {
            self.phase = phase;
        }
        if let Some(running) = report.running {
            self.runs = match running.map(|digest| head.version_of(&digest)) {
                None => Runs::Nothing,
                Some(None) => Runs::Other,
                Some(Some(Version::Base)) => Runs::Base,
                Some(Some(Version::Candidate)) => Runs::Candidate,
            };
        }
        if self.runs == Runs::Candidate {
            self.tried = true;
            // What stood in the way of the installation is out of the way; a failed trial stays on record.
            if self.updated() && self.fault == Some(Fault::Install) {
                self.fault = None;
            }
        }
        if let Some((digest, fault)) = report.failure
            && head.version_of(&digest) == Some(Version::Candidate)
            && self.runs != Runs::Candidate
        {
            self.tried = true;
            if self.fault != Some(Fault::Trial) {
                self.fault = Some(fault);
            }
        }
    }

    pub(crate) fn gone(&mut self, order: u64) {
        if order >= self.order {
            self.order = order;
            self.online = false;
        }
    }
}
