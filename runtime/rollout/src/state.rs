//! The whole memory of a rollout: a small head, and one record for each robot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::arms::Version;
use crate::device::{Device, Digest, Key};
use crate::gate::GateName;
use crate::policy::Policy;
use crate::strategy::{BanditMemory, Stage, StageKind};

/// A release: every plan file of one version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The model's name.
    pub model: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of each plan file, one for each packing target.
    pub digests: Vec<Digest>,
}

/// Why it does not go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// A person, or the machine itself.
    pub by: String,
    /// One line.
    pub text: String,
    /// The gate that tripped, and what it measured, in millionths: the state holds no computed float, because text
    /// formats do not all give one back to the last bit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<(GateName, u64)>,
}

/// Where it stands. The crate's first page has the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not begun.
    Draft,
    /// A stage runs.
    Soaking,
    /// A comparison is complete and waits for a person.
    Holding,
    /// Nothing moves.
    Paused(Why),
    /// The old version is being put back.
    Reverting(Why),
    /// The new version is the group's.
    Finished,
    /// It ended otherwise.
    Aborted {
        /// The old version is the group's again.
        reverted: bool,
    },
}

impl Status {
    /// True where nothing will change any more.
    pub fn is_over(&self) -> bool {
        matches!(self, Status::Finished | Status::Aborted { .. })
    }

    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Status::Draft => "draft",
            Status::Soaking => "soaking",
            Status::Holding => "holding",
            Status::Paused(_) => "paused",
            Status::Reverting(_) => "reverting",
            Status::Finished => "finished",
            Status::Aborted { .. } => "aborted",
        }
    }
}

/// All but the robots' records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// What was asked for, checked.
    pub policy: Policy,
    /// What the group had, if anything.
    pub base: Option<Release>,
    /// What it is to have.
    pub candidate: Release,
    /// Where it stands.
    pub status: Status,
    /// The stage that runs, or ran last, from 0.
    pub stage: u32,
    /// When that stage began, in ms since 1970.
    pub begun_ms: u64,
    /// Since when enough of its robots have settled, so that the soak time counts.
    pub soak_from_ms: Option<u64>,
    /// Places that run the new version since a stage that is complete.
    pub done_upto: Option<u32>,
    /// Places that run the new version in the stage.
    pub upto: Option<u32>,
    /// Places that run it in the shadow.
    pub shadow_upto: Option<u32>,
    /// Places of the stage up to here are passed over: their robots were away, and others were drawn instead. They are
    /// told the old version until the stage is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_upto: Option<u32>,
    /// Since when none of the stage's robots is there and none of them has begun, in ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_from_ms: Option<u64>,
    /// Grows by one whenever the arms change. What was published under it need not be published anew.
    pub revision: u32,
    /// Values, in millionths, that a person accepted by resuming after a gate tripped: that gate's limit from then on.
    #[serde(default)]
    pub accepted: BTreeMap<GateName, u64>,
    /// What the bandit remembers.
    #[serde(default)]
    pub bandit: Option<BanditMemory>,
}

/// A rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// All but the robots' records.
    pub head: Head,
    /// The robots that were heard of.
    pub devices: BTreeMap<Key, Device>,
}

impl State {
    /// A draft. The policy must have been checked ([`Policy::check`]).
    pub fn draft(policy: Policy, base: Option<Release>, candidate: Release) -> State {
        State {
            head: Head {
                policy,
                base,
                candidate,
                status: Status::Draft,
                stage: 0,
                begun_ms: 0,
                soak_from_ms: None,
                done_upto: None,
                upto: None,
                shadow_upto: None,
                skip_upto: None,
                away_from_ms: None,
                revision: 0,
                accepted: BTreeMap::new(),
                bandit: None,
            },
            devices: BTreeMap::new(),
        }
    }

    /// The places of all known robots, sorted.
    pub(crate) fn places(&self) -> Vec<u32> {
        let mut places: Vec<u32> = self.devices.keys().map(|key| key.place()).collect();
        places.sort_unstable();
        places
    }

    /// The first robot that is there with a place behind this one; none: from the first place on.
    pub(crate) fn next_online(&self, after: Option<u32>) -> Option<u32> {
        let there = self.devices.iter().filter(|(_, device)| device.online);
        let places = there.map(|(key, _)| key.place());
        places.filter(|&place| Some(place) > after).min()
    }

    /// Which robots a stage takes that was to reach from behind `before` up to `upto`: the places that are passed over,
    /// and the last one. A few per cent of a small fleet may hold no robot at all, and a stage without a robot says
    /// nothing: it takes the next one, of those that are there if possible.
    pub(crate) fn at_least_one(
        &self,
        before: Option<u32>,
        upto: Option<u32>,
    ) -> (Option<u32>, Option<u32>) {
        let places = self.places();
        let mut behind = places.iter().copied().filter(|&place| Some(place) > before);
        match behind.next() {
            Some(first) if Some(first) > upto => {
                let drawn = self.next_online(before).unwrap_or(first);
                (self.passed_over(before, drawn), Some(drawn))
            }
            _ => (None, upto),
        }
    }

    /// What is passed over where the robot at `drawn` is the first that a stage takes behind `before`.
    pub(crate) fn passed_over(&self, before: Option<u32>, drawn: u32) -> Option<u32> {
        let between = |&place: &u32| Some(place) > before && place < drawn;
        let any = self.places().iter().any(between);
        any.then(|| drawn.saturating_sub(1))
    }
}

impl Head {
    /// Which release a digest belongs to. Where both hold it, robots have the new version already.
    pub fn version_of(&self, digest: &Digest) -> Option<Version> {
        if self.candidate.digests.contains(digest) {
            Some(Version::Candidate)
        } else if self
            .base
            .as_ref()
            .is_some_and(|base| base.digests.contains(digest))
        {
            Some(Version::Base)
        } else {
            None
        }
    }

    /// The stage that runs, or ran last.
    pub fn current_stage(&self) -> Option<Stage> {
        let stages = self.policy.stages();
        stages.get(usize::try_from(self.stage).ok()?).copied()
    }

    pub(crate) fn stage_kind(&self) -> Option<StageKind> {
        self.current_stage().map(|stage| stage.kind)
    }

    /// True where a place belongs to the stage that runs and to none before it.
    pub fn is_new(&self, place: u32) -> bool {
        let reaches = |upto: Option<u32>| upto.is_some_and(|upto| place <= upto);
        !reaches(self.skip_upto)
            && match self.stage_kind() {
                Some(StageKind::Shadow) => reaches(self.shadow_upto),
                _ => reaches(self.upto) && !reaches(self.done_upto),
            }
    }

    /// True where a place is to run the new version.
    pub(crate) fn is_told(&self, place: u32) -> bool {
        let reaches = |upto: Option<u32>| upto.is_some_and(|upto| place <= upto);
        reaches(self.upto) && (reaches(self.done_upto) || !reaches(self.skip_upto))
    }

    /// The last place of the stage that runs.
    pub(crate) fn stage_upto(&self) -> Option<u32> {
        match self.stage_kind() {
            Some(StageKind::Shadow) => self.shadow_upto,
            _ => self.upto,
        }
    }
}
