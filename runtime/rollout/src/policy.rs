//! What a person asks for: strategy, stages, gates; one flat table that reads from TOML and JSON alike.

use serde::{Deserialize, Serialize};

use crate::gate::Gates;
use crate::share::Share;
use crate::strategy::{self, BanditPolicy, Stage, StrategyName};

/// Ten minutes.
const DEFAULT_SOAK_S: u64 = 600;

/// What follows when a gate trips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnTrip {
    /// Robots keep what they have, and a person decides.
    #[default]
    Pause,
    /// The old version is put back.
    Revert,
}

/// A rollout's policy. Absent fields have the defaults that are named here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// How the new version spreads.
    pub strategy: StrategyName,
    /// waves, canary, shadow: the sizes, growing. Default 1%, 10%, 50%, 100%; 100% is added where it lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waves: Option<Vec<Share>>,
    /// How long a stage is watched once enough of its robots have settled, in seconds. Default 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak_s: Option<u64>,
    /// How many robots of a stage must have settled before the soak time counts; never more than are there. Default:
    /// half of those that are there. 0 waits for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_reports: Option<u32>,
    /// After how many seconds in which none of a stage's robots is there others are drawn instead. Default: the stage's
    /// soak time, but 10 to 600. Where one of them had begun, nothing is drawn: it may be gone because of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redraw_s: Option<u64>,
    /// canary: its size. Default 1%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Share>,
    /// canary: its own soak time in seconds. Default `soak_s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_soak_s: Option<u64>,
    /// shadow: on how many the new version runs without acting. Default 10%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Share>,
    /// shadow: its own soak time in seconds. Default `soak_s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow_soak_s: Option<u64>,
    /// ab: the new version's share. Default 50%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Share>,
    /// bandit: its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandit: Option<BanditPolicy>,
    /// What the new version may be worse in, and by how much.
    #[serde(default)]
    pub gates: Gates,
    /// What follows when a gate trips. Default pause.
    #[serde(default)]
    pub on_trip: OnTrip,
}

/// A field of a policy says what cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rollout's field `{field}` {why}")]
pub struct PolicyError {
    /// Which field.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl PolicyError {
    pub(crate) fn new(field: &'static str, why: impl Into<String>) -> PolicyError {
        PolicyError {
            field,
            why: why.into(),
        }
    }
}

impl Policy {
    /// A policy of defaults.
    pub fn new(strategy: StrategyName) -> Policy {
        Policy {
            strategy,
            waves: None,
            soak_s: None,
            min_reports: None,
            redraw_s: None,
            canary: None,
            canary_soak_s: None,
            shadow: None,
            shadow_soak_s: None,
            split: None,
            bandit: None,
            gates: Gates::default(),
            on_trip: OnTrip::default(),
        }
    }

    /// Refuses what no rollout can follow, and fields of another strategy.
    pub fn check(&self) -> Result<(), PolicyError> {
        use StrategyName::{Ab, Bandit, Canary, Shadow, Waves};
        let owners: [(&'static str, bool, &[StrategyName]); 7] = [
            ("waves", self.waves.is_some(), &[Waves, Canary, Shadow]),
            ("canary", self.canary.is_some(), &[Canary]),
            ("canary_soak_s", self.canary_soak_s.is_some(), &[Canary]),
            ("shadow", self.shadow.is_some(), &[Shadow]),
            ("shadow_soak_s", self.shadow_soak_s.is_some(), &[Shadow]),
            ("split", self.split.is_some(), &[Ab]),
            ("bandit", self.bandit.is_some(), &[Bandit]),
        ];
        for (field, given, strategies) in owners {
            if given && !strategies.contains(&self.strategy) {
                let words: Vec<&str> = strategies.iter().map(|s| s.word()).collect();
                let why = format!(
                    "belongs to the strategy {}, and this one is {}; leave it out",
                    words.join(" or "),
                    self.strategy.word()
                );
                return Err(PolicyError::new(field, why));
            }
        }
        self.gates.check()?;
        strategy::check(self)
    }

    /// The stages, in order; at least one.
    pub fn stages(&self) -> Vec<Stage> {
        strategy::stages(self)
    }

    pub(crate) fn soak_s(&self) -> u64 {
        self.soak_s.unwrap_or(DEFAULT_SOAK_S)
    }

    /// How long a stage waits for robots that are away before others are drawn.
    pub(crate) fn redraw_ms(&self, stage: &Stage) -> u64 {
        let default = (stage.soak_ms / 1000).clamp(10, DEFAULT_SOAK_S);
        self.redraw_s.unwrap_or(default).saturating_mul(1000)
    }

    pub(crate) fn bandit(&self) -> BanditPolicy {
        self.bandit.unwrap_or_default()
    }
}
