//! What people are told of a rollout: counts, what it waits for, and what the gates measure.

use serde::{Deserialize, Serialize};

use crate::gate::{Finding, When, ask};
use crate::state::{State, Status, Why};
use crate::step::needed;
use crate::strategy::{Stage, StageKind};
use crate::tally::{Tally, Totals};

/// A gate and what it measures now.
pub type GateLine = Finding;

/// What is known of one version.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Inferences.
    pub inferences: u64,
    /// Of these, failed.
    pub failures: u64,
    /// Of these, below the confidence limit.
    pub low_confidence: u64,
    /// Rewards that were given.
    pub rewards: u64,
    /// Their mean, where there are any.
    pub mean_reward: Option<f64>,
}

impl From<&Totals> for Side {
    fn from(totals: &Totals) -> Side {
        let mean = || totals.reward_milli as f64 / 1000.0 / totals.rewards as f64;
        Side {
            inferences: totals.inferences,
            failures: totals.failures,
            low_confidence: totals.low_confidence,
            rewards: totals.rewards,
            mean_reward: (totals.rewards > 0).then(mean),
        }
    }
}

/// A rollout at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// One word: [`Status::word`].
    pub status: String,
    /// Why it does not go on, where it does not.
    pub why: Option<Why>,
    /// The stage, from 1.
    pub stage: u32,
    /// How many there are.
    pub stages: u32,
    /// The part of all places that runs the new version, 0 to 1.
    pub share: f64,
    /// Robots heard of.
    pub known: u64,
    /// Of these, not there now.
    pub offline: u64,
    /// Robots that run the new version for good.
    pub updated: u64,
    /// Robots that run the old one.
    pub on_base: u64,
    /// Robots on their way.
    pub updating: u64,
    /// Robots on which the new version never served.
    pub failed: u64,
    /// Robots that took it back from its trial.
    pub fell_back: u64,
    /// Robots that the new version ever reached: how far a bad one did harm.
    pub tried: u64,
    /// Robots whom the stage added.
    pub stage_robots: u64,
    /// Of these, settled.
    pub stage_settled: u64,
    /// How many must have settled before the soak time counts.
    pub stage_needed: u64,
    /// What it waits for, in a line.
    pub waits_for: Option<String>,
    /// What the gates measure; one that nothing is known about is absent.
    pub gates: Vec<GateLine>,
    /// What is known of the old version.
    pub base: Side,
    /// What is known of the new version.
    pub candidate: Side,
}

/// Sums a state up, as of `now` in ms since 1970.
pub fn summary(state: &State, now: u64) -> Summary {
    let head = &state.head;
    let tally = Tally::of(state);
    let stages = head.policy.stages();
    let need = needed(head.policy.min_reports, &tally);
    let zone = match &head.status {
        Status::Finished => Some(u32::MAX),
        Status::Draft | Status::Reverting(_) | Status::Aborted { reverted: true } => None,
        _ => head.upto,
    };
    let part = |upto: u32| (f64::from(upto) + 1.0) / 4_294_967_296.0;
    Summary {
        status: head.status.word().to_owned(),
        why: match &head.status {
            Status::Paused(why) | Status::Reverting(why) => Some(why.clone()),
            _ => None,
        },
        stage: head.stage.saturating_add(1),
        stages: u32::try_from(stages.len()).unwrap_or(u32::MAX),
        share: zone.map_or(0.0, part),
        known: tally.known,
        offline: tally.known - tally.online,
        updated: tally.updated,
        on_base: tally.on_base,
        updating: tally.updating,
        failed: tally.failed,
        fell_back: tally.fell_back,
        tried: tally.tried,
        stage_robots: tally.stage.members,
        stage_settled: tally.stage.settled,
        stage_needed: need,
        waits_for: waits_for(state, &tally, need, now),
        gates: ask(head, &tally, When::Between),
        base: Side::from(&tally.old),
        candidate: Side::from(&tally.new),
    }
}

fn waits_for(state: &State, tally: &Tally, need: u64, now: u64) -> Option<String> {
    let head = &state.head;
    match &head.status {
        Status::Draft => Some("start".to_owned()),
        Status::Paused(_) => Some("a person: resume, or abort".to_owned()),
        Status::Holding => Some(
            "a person: resume gives the new version to all, abort --revert takes it back"
                .to_owned(),
        ),
        Status::Reverting(_) => Some(format!(
            "{} robots that still run the new version",
            tally.still_candidate
        )),
        Status::Finished | Status::Aborted { .. } => None,
        Status::Soaking if head.stage_kind() == Some(StageKind::Bandit) => {
            let policy = head.policy.bandit();
            let next = head
                .bandit?
                .moved_ms
                .saturating_add(policy.interval_s.saturating_mul(1000));
            Some(format!(
                "rewards; the next look is in {} s",
                next.saturating_sub(now) / 1000
            ))
        }
        Status::Soaking => {
            let stage = head.current_stage()?;
            Some(match head.soak_from_ms {
                Some(from) => {
                    let left = from.saturating_add(stage.soak_ms).saturating_sub(now);
                    format!("the soak time, {} s more", left.div_ceil(1000))
                }
                None if tally.stage.online == 0 => {
                    format!(
                        "any of the {} robots of this stage: none of them is there{}",
                        tally.stage.members,
                        drawing(state, tally, &stage, now)
                    )
                }
                None => format!(
                    "reports: {} of {need} robots have settled",
                    tally.stage.settled
                ),
            })
        }
    }
}

/// What becomes of a stage whose robots are all away.
fn drawing(state: &State, tally: &Tally, stage: &Stage, now: u64) -> String {
    let head = &state.head;
    if tally.stage.touched > 0 {
        return format!(
            ", and {} of them had begun: see what became of them, then resume or abort",
            tally.stage.touched
        );
    }
    if state.next_online(head.stage_upto()).is_none() {
        return ", nor is another that could be drawn".to_owned();
    }
    let from = head.away_from_ms.unwrap_or(now);
    let left = from.saturating_add(head.policy.redraw_ms(stage));
    let left = left.saturating_sub(now).div_ceil(1000);
    format!("; in {left} s others are drawn instead")
}
