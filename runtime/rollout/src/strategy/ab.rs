//! A/B: two versions side by side, split by the hash of the robot's name, until a person decides.

use super::{Stage, StageKind};
use crate::policy::{Policy, PolicyError};
use crate::share::Share;

const DEFAULT: Share = Share::Percent(50_000);

pub fn stages(policy: &Policy) -> Vec<Stage> {
    let split = policy.split.unwrap_or(DEFAULT);
    vec![
        Stage::new(StageKind::Compare, split, policy.soak_s()),
        Stage::new(StageKind::Run, Share::ALL, policy.soak_s()),
    ]
}

pub fn check(policy: &Policy) -> Result<(), PolicyError> {
    match policy.split {
        Some(Share::ALL) => Err(PolicyError::new(
            "split",
            "must leave robots to the old version; give less than 100%",
        )),
        _ => Ok(()),
    }
}
