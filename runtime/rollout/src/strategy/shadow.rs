//! Shadow: the new version runs on live input beside the old one without acting, then waves.

use super::{Stage, StageKind, waves};
use crate::policy::Policy;
use crate::share::Share;

/// One robot in ten.
const DEFAULT: Share = Share::Percent(10_000);

pub fn stages(policy: &Policy) -> Vec<Stage> {
    let size = policy.shadow.unwrap_or(DEFAULT);
    let soak = policy.shadow_soak_s.unwrap_or_else(|| policy.soak_s());
    let mut stages = vec![Stage::new(StageKind::Shadow, size, soak)];
    stages.extend(waves::stages(policy));
    stages
}
