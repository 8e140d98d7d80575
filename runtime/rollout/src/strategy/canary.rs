//! Canary: a few robots for a longer time, then waves.

use super::{Stage, StageKind, waves};
use crate::policy::Policy;
use crate::share::Share;

/// One per cent of the fleet.
const DEFAULT: Share = Share::Percent(1_000);

pub fn stages(policy: &Policy) -> Vec<Stage> {
    let size = policy.canary.unwrap_or(DEFAULT);
    let soak = policy.canary_soak_s.unwrap_or_else(|| policy.soak_s());
    let mut stages = vec![Stage::new(StageKind::Run, size, soak)];
    stages.extend(waves::stages(policy));
    stages
}
