//! Strategies: each one is a list of stages, in a file of its own.

mod ab;
mod all_at_once;
pub(crate) mod bandit;
mod canary;
mod shadow;
mod waves;

use serde::{Deserialize, Serialize};

use crate::policy::{Policy, PolicyError};
use crate::share::Share;

pub use bandit::{BanditMemory, BanditPolicy, Reward};

/// How the new version spreads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StrategyName {
    /// Every robot in one stage.
    AllAtOnce,
    /// Growing shares, each with its soak time.
    Waves,
    /// A few robots first, then waves.
    Canary,
    /// Beside the old version without acting, then waves.
    Shadow,
    /// Two versions side by side until a person decides.
    Ab,
    /// Two versions side by side, the one with more reward growing.
    Bandit,
}

impl StrategyName {
    /// As it stands in a policy.
    pub fn word(self) -> &'static str {
        match self {
            StrategyName::AllAtOnce => "all-at-once",
            StrategyName::Waves => "waves",
            StrategyName::Canary => "canary",
            StrategyName::Shadow => "shadow",
            StrategyName::Ab => "ab",
            StrategyName::Bandit => "bandit",
        }
    }
}

/// What a stage does with the robots in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// They run the new version.
    Run,
    /// They run it beside the old one.
    Shadow,
    /// They run it, and at the end a person decides.
    Compare,
    /// They run it, and their number follows the reward.
    Bandit,
}

/// One stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// What it does.
    pub kind: StageKind,
    /// With how many, counted from the first place.
    pub size: Share,
    /// How long it is watched after enough of its robots have settled.
    pub soak_ms: u64,
}

impl Stage {
    fn new(kind: StageKind, size: Share, soak_s: u64) -> Stage {
        Stage {
            kind,
            size,
            soak_ms: soak_s.saturating_mul(1000),
        }
    }
}

/// The stages of a checked policy.
pub(crate) fn stages(policy: &Policy) -> Vec<Stage> {
    match policy.strategy {
        StrategyName::AllAtOnce => all_at_once::stages(policy),
        StrategyName::Waves => waves::stages(policy),
        StrategyName::Canary => canary::stages(policy),
        StrategyName::Shadow => shadow::stages(policy),
        StrategyName::Ab => ab::stages(policy),
        StrategyName::Bandit => bandit::stages(policy),
    }
}

/// Checks what a strategy needs beyond the types.
pub(crate) fn check(policy: &Policy) -> Result<(), PolicyError> {
    match policy.strategy {
        StrategyName::AllAtOnce => Ok(()),
        StrategyName::Waves | StrategyName::Canary | StrategyName::Shadow => waves::check(policy),
        StrategyName::Ab => ab::check(policy),
        StrategyName::Bandit => bandit::check(policy),
    }
}
