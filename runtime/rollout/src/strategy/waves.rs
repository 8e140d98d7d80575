//! Waves: growing shares of the fleet, each one watched before the next begins.

use super::{Stage, StageKind};
use crate::policy::{Policy, PolicyError};
use crate::share::Share;

/// The waves of a policy that names none.
pub const DEFAULT: [Share; 4] = [
    Share::Percent(1_000),
    Share::Percent(10_000),
    Share::Percent(50_000),
    Share::ALL,
];
/// More waves than anybody waits for.
const MOST: usize = 64;

pub fn stages(policy: &Policy) -> Vec<Stage> {
    let mut sizes = policy.waves.clone().unwrap_or_else(|| DEFAULT.to_vec());
    // A rollout ends with every robot.
    if sizes.last() != Some(&Share::ALL) {
        sizes.push(Share::ALL);
    }
    sizes
        .into_iter()
        .map(|size| Stage::new(StageKind::Run, size, policy.soak_s()))
        .collect()
}

pub fn check(policy: &Policy) -> Result<(), PolicyError> {
    let Some(sizes) = &policy.waves else {
        return Ok(());
    };
    if sizes.is_empty() {
        return Err(PolicyError::new(
            "waves",
            "name at least one wave, or leave the field out",
        ));
    }
    if sizes.len() > MOST {
        return Err(PolicyError::new("waves", format!("at most {MOST} waves")));
    }
    for pair in sizes.windows(2) {
        let grows = match pair {
            [Share::Percent(a), Share::Percent(b)] | [Share::Count(a), Share::Count(b)] => a < b,
            // How many robots a percentage is becomes known when the wave begins.
            _ => true,
        };
        if !grows {
            return Err(PolicyError::new(
                "waves",
                "each wave must be larger than the one before it",
            ));
        }
    }
    Ok(())
}
