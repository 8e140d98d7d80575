//! All at once: one stage with every robot, still watched by the gates.

use super::{Stage, StageKind};
use crate::policy::Policy;
use crate::share::Share;

pub fn stages(policy: &Policy) -> Vec<Stage> {
    vec![Stage::new(StageKind::Run, Share::ALL, policy.soak_s())]
}
