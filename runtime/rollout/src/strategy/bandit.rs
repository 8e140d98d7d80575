//! Bandit: two versions side by side; at intervals the share of the new one moves towards the probability that it
//! earns more reward, by bounded steps (Thompson sampling: Thompson, "On the likelihood that one unknown probability
//! exceeds another", 1933).
//!
//! Rewards of 0 and 1 have a Beta(1 + successes, 1 + failures) posterior. Other rewards: the robots' mean rewards
//! are taken as draws from a normal distribution with a normal-gamma prior (Murphy, "Conjugate Bayesian analysis of
//! the Gaussian distribution", 2007, section 3); robots, not rewards, are the sample, because rewards of one robot
//! depend on each other.

use serde::{Deserialize, Serialize};

use super::{Stage, StageKind};
use crate::arms::Version;
use crate::policy::{Policy, PolicyError};
use crate::random::Random;
use crate::share::Share;
use crate::state::State;

/// Draws for one estimate; its standard error is at most 0.5 / sqrt(DRAWS) < 0.8 %.
const DRAWS: u32 = 4000;

/// What rewards look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reward {
    /// 0 or 1.
    #[default]
    Binary,
    /// Any number.
    Real,
}

/// The bandit's numbers. Shares are parts of one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BanditPolicy {
    /// What rewards look like.
    pub reward: Reward,
    /// The new version's share at the start.
    pub start: f64,
    /// The least share of either version while they are compared.
    pub floor: f64,
    /// The most that the share moves in one interval.
    pub step: f64,
    /// Seconds between two moves.
    pub interval_s: u64,
    /// Rewards of each version before the first move.
    pub min_rewards: u64,
    /// The probability of being the better one at which the comparison ends.
    pub confidence: f64,
    /// Where the random draws begin.
    pub seed: u64,
}

impl Default for BanditPolicy {
    fn default() -> BanditPolicy {
        BanditPolicy {
            reward: Reward::Binary,
            start: 0.05,
            floor: 0.05,
            step: 0.1,
            interval_s: 3600,
            min_rewards: 100,
            confidence: 0.99,
            seed: 1,
        }
    }
}

/// What the bandit remembers between two moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanditMemory {
    /// The new version's share, in millionths.
    pub share_ppm: u32,
    /// How often the share was looked at.
    pub round: u32,
    /// When, in ms since 1970.
    pub moved_ms: u64,
    /// The probability that the new version earns more, as last estimated, in millionths.
    pub better_ppm: Option<u32>,
}

/// What an interval brought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    /// Not due, or too few rewards.
    Wait,
    /// The share was looked at.
    Look(BanditMemory),
    /// One version is the better one with the probability that was asked for.
    Decided(Version, BanditMemory),
}

pub fn stages(policy: &Policy) -> Vec<Stage> {
    let start = share(ppm(policy.bandit().start));
    vec![
        Stage::new(StageKind::Bandit, start, 0),
        Stage::new(StageKind::Run, Share::ALL, policy.soak_s()),
    ]
}

pub fn check(policy: &Policy) -> Result<(), PolicyError> {
    let bandit = policy.bandit();
    let within = |field, value: f64, low: f64, high: f64| {
        if (low..=high).contains(&value) {
            Ok(())
        } else {
            let text = format!("is {value} and must be {low} to {high}");
            Err(PolicyError::new(field, text))
        }
    };
    within("bandit.floor", bandit.floor, 0.001, 0.5)?;
    within(
        "bandit.start",
        bandit.start,
        bandit.floor,
        1.0 - bandit.floor,
    )?;
    within("bandit.step", bandit.step, 0.001, 1.0)?;
    within("bandit.confidence", bandit.confidence, 0.5, 0.9999)?;
    if bandit.interval_s == 0 {
        return Err(PolicyError::new(
            "bandit.interval_s",
            "must be at least 1 second",
        ));
    }
    if bandit.min_rewards == 0 {
        return Err(PolicyError::new("bandit.min_rewards", "must be at least 1"));
    }
    Ok(())
}

fn ppm(share: f64) -> u32 {
    (share * 1e6).round().clamp(0.0, 1e6) as u32
}

fn share(ppm: u32) -> Share {
    Share::Percent((ppm / 10).clamp(1, 100_000))
}

impl BanditMemory {
    /// At the start of the stage.
    pub fn begin(policy: &BanditPolicy, now: u64) -> BanditMemory {
        BanditMemory {
            share_ppm: ppm(policy.start),
            round: 0,
            moved_ms: now,
            better_ppm: None,
        }
    }

    /// The share as a part of all places.
    pub fn share(&self) -> Share {
        share(self.share_ppm)
    }
}

/// The rewards of one version.
#[derive(Clone, Copy, Debug, Default)]
struct Earned {
    rewards: u64,
    milli: i64,
    robots: f64,
    mean: f64,
    /// Sum of squared distances of the robots' means from their mean.
    spread: f64,
}

fn earned(state: &State, version: Version) -> Earned {
    let mut sum = Earned::default();
    for evidence in state.devices.values().filter_map(|d| d.evidence(version)) {
        if evidence.rewards == 0 {
            continue;
        }
        sum.rewards = sum.rewards.saturating_add(evidence.rewards);
        sum.milli = sum.milli.saturating_add(evidence.reward_milli);
        let mean = evidence.reward_milli as f64 / 1000.0 / evidence.rewards as f64;
        // Welford's update (1962).
        sum.robots += 1.0;
        let apart = mean - sum.mean;
        sum.mean += apart / sum.robots;
        sum.spread += apart * (mean - sum.mean);
    }
    sum
}

fn draw(earned: &Earned, reward: Reward, random: &mut Random) -> f64 {
    match reward {
        Reward::Binary => {
            let all = earned.rewards as f64;
            let good = (earned.milli as f64 / 1000.0).clamp(0.0, all);
            random.beta(1.0 + good, 1.0 + all - good)
        }
        Reward::Real => {
            // Prior: mean 0 worth a hundredth of a robot, shape 1, rate a hundredth.
            let (n, k0, a0, b0) = (earned.robots, 0.01, 1.0, 0.01);
            let k = k0 + n;
            let mean = n * earned.mean / k;
            let rate = b0 + 0.5 * earned.spread + 0.5 * k0 * n * earned.mean.powi(2) / k;
            let precision = random.gamma(a0 + 0.5 * n) / rate;
            mean + random.normal() / (k * precision).sqrt()
        }
    }
}

/// The probability, by sampling, that the new version earns more than the old one. Depends on nothing but the
/// reports, the seed, and the round.
fn better(state: &State, policy: &BanditPolicy, round: u32) -> Option<f64> {
    let (old, new) = (
        earned(state, Version::Base),
        earned(state, Version::Candidate),
    );
    if old.rewards.min(new.rewards) < policy.min_rewards {
        return None;
    }
    let mut random =
        Random::new(policy.seed ^ u64::from(round).wrapping_mul(0xa076_1d64_78bd_642f));
    let wins = (0..DRAWS)
        .filter(|_| {
            let theirs = draw(&old, policy.reward, &mut random);
            draw(&new, policy.reward, &mut random) > theirs
        })
        .count();
    Some(wins as f64 / f64::from(DRAWS))
}

/// Looks at the rewards when it is time.
pub fn turn(state: &State, now: u64) -> Turn {
    let Some(memory) = state.head.bandit else {
        return Turn::Wait;
    };
    let policy = state.head.policy.bandit();
    if now
        < memory
            .moved_ms
            .saturating_add(policy.interval_s.saturating_mul(1000))
    {
        return Turn::Wait;
    }
    let round = memory.round.saturating_add(1);
    let looked = BanditMemory {
        round,
        moved_ms: now,
        ..memory
    };
    let Some(better) = better(state, &policy, round) else {
        return Turn::Look(looked);
    };
    let at = f64::from(memory.share_ppm) / 1e6;
    let moved = (better - at).clamp(-policy.step, policy.step);
    let next = (at + moved).clamp(policy.floor, 1.0 - policy.floor);
    let looked = BanditMemory {
        share_ppm: ppm(next),
        better_ppm: Some(ppm(better)),
        ..looked
    };
    if better >= policy.confidence {
        Turn::Decided(Version::Candidate, looked)
    } else if better <= 1.0 - policy.confidence {
        Turn::Decided(Version::Base, looked)
    } else {
        Turn::Look(looked)
    }
}
