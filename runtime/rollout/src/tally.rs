//! One pass over the robots: everything that gates and people are told is counted here.

use crate::arms::Version;
use crate::device::{Device, Evidence, Fault, HISTOGRAM_BINS, Phase, Runs, Shadow};
use crate::state::State;
use crate::strategy::StageKind;

/// Some of the robots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cohort {
    pub members: u64,
    pub online: u64,
    /// Those that were ever seen to run the new version, to try it, or to be on their way to it.
    pub touched: u64,
    /// On their way, or settled. Failures come sooner than successes, so that while a stage runs a rate among the
    /// settled ones would be too high.
    pub begun: u64,
    /// Nothing more is to be expected of them in this stage.
    pub settled: u64,
    /// Of these, those that are there.
    pub settled_online: u64,
    pub failed: u64,
    pub fell_back: u64,
}

/// Inferences of a robot whose 99th percentile counts: of fewer it is the slowest one, and a cold cache's.
const P99_OF: u64 = 100;

/// The evidence of one version.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    pub inferences: u64,
    pub failures: u64,
    pub low_confidence: u64,
    pub classes: [u64; HISTOGRAM_BINS],
    pub rewards: u64,
    pub reward_milli: i64,
}

impl Totals {
    fn add(&mut self, evidence: &Evidence) {
        self.inferences = self.inferences.saturating_add(evidence.inferences);
        self.failures = self.failures.saturating_add(evidence.failures);
        self.low_confidence = self.low_confidence.saturating_add(evidence.low_confidence);
        self.rewards = self.rewards.saturating_add(evidence.rewards);
        self.reward_milli = self.reward_milli.saturating_add(evidence.reward_milli);
        for (sum, bin) in self.classes.iter_mut().zip(&evidence.classes) {
            *sum = sum.saturating_add(u64::from(*bin));
        }
    }
}

/// What one pass finds.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub known: u64,
    pub online: u64,
    pub updated: u64,
    pub on_base: u64,
    pub updating: u64,
    pub failed: u64,
    pub fell_back: u64,
    pub tried: u64,
    /// Robots that are there and run the new version, on trial or for good.
    pub still_candidate: u64,
    /// Those whom the running stage added.
    pub stage: Cohort,
    /// All who are to run the new version.
    pub zone: Cohort,
    pub old: Totals,
    /// The old version on robots that reported the new one as well.
    pub old_paired: Totals,
    pub new: Totals,
    pub shadow: Shadow,
    pub p99_ratios: Vec<f64>,
    pub p99_old: Vec<f64>,
    pub p99_new: Vec<f64>,
}

impl Tally {
    pub fn of(state: &State) -> Tally {
        let head = &state.head;
        let shadowing = head.stage_kind() == Some(StageKind::Shadow);
        let mut tally = Tally::default();
        for (key, device) in &state.devices {
            let place = key.place();
            tally.count(device);
            tally.weigh(device);
            // In a shadow stage a robot has done its part once it compared something.
            let compared = device
                .shadow()
                .is_some_and(|s| s.compared > 0 || s.failures > 0);
            let settled = if shadowing {
                compared || device.fault.is_some()
            } else {
                device.settled()
            };
            if head.is_new(place) {
                tally.stage.count(device, settled);
            }
            if head.is_told(place) {
                tally.zone.count(device, settled);
            }
        }
        tally
    }

    /// The old version's side of a comparison: the same robots where they reported enough of it, else all.
    pub fn old_side(&self, enough: u64) -> &Totals {
        if self.old_paired.inferences >= enough.max(1) {
            &self.old_paired
        } else {
            &self.old
        }
    }

    fn count(&mut self, device: &Device) {
        self.known += 1;
        self.online += u64::from(device.online);
        self.updated += u64::from(device.updated());
        self.on_base += u64::from(device.runs == Runs::Base);
        self.updating += u64::from(device.phase != Phase::Resting);
        self.failed += u64::from(device.fault == Some(Fault::Install));
        self.fell_back += u64::from(device.fault == Some(Fault::Trial));
        self.tried += u64::from(device.tried);
        self.still_candidate += u64::from(device.online && device.runs == Runs::Candidate);
    }

    fn weigh(&mut self, device: &Device) {
        let old = device.evidence(Version::Base);
        let new = device.evidence(Version::Candidate);
        let known = |p99: u32, of: u64| (p99 > 0 && of >= P99_OF).then_some(f64::from(p99));
        let old_p99 = old.and_then(|e| known(e.p99_us, e.inferences));
        let mut new_p99 = new.and_then(|e| known(e.p99_us, e.inferences));
        if let Some(old) = old {
            self.old.add(old);
            if new.is_some() {
                self.old_paired.add(old);
            }
        }
        if let Some(new) = new {
            self.new.add(new);
        }
        if let Some(shadow) = device.shadow() {
            let sum = &mut self.shadow;
            sum.compared = sum.compared.saturating_add(shadow.compared);
            sum.disagreed = sum.disagreed.saturating_add(shadow.disagreed);
            sum.failures = sum.failures.saturating_add(shadow.failures);
            new_p99 = new_p99.or_else(|| known(shadow.p99_us, shadow.compared));
        }
        if let (Some(old), Some(new)) = (old_p99, new_p99) {
            self.p99_ratios.push(new / old);
        }
        self.p99_old.extend(old_p99);
        self.p99_new.extend(new_p99);
    }
}

impl Cohort {
    fn count(&mut self, device: &Device, settled: bool) {
        self.members += 1;
        self.online += u64::from(device.online);
        self.touched += u64::from(settled || device.tried || device.phase != Phase::Resting);
        self.begun += u64::from(settled || device.phase != Phase::Resting);
        self.settled += u64::from(settled);
        self.settled_online += u64::from(settled && device.online);
        self.failed += u64::from(settled && device.fault == Some(Fault::Install));
        self.fell_back += u64::from(settled && device.fault == Some(Fault::Trial));
    }
}
