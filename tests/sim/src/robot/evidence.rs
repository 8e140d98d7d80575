//! What a board sees of a version: made up, and different from board to board.

use sanderling_wire::{Digest, Evidence, Shadow};

use crate::chance::Chance;

/// Inferences in a second.
const RATE: u64 = 10;

/// A board's own nature.
pub struct Board {
    pub verify_ms: u64,
    pub self_test_ms: u64,
    pub trial_ms: u64,
    p99_us: u64,
    /// How its surroundings differ, in thousandths.
    leaning: u64,
}

impl Board {
    pub fn new(chance: &mut Chance) -> Board {
        Board {
            verify_ms: chance.between(200, 1500),
            self_test_ms: chance.between(100, 2000),
            trial_ms: chance.between(45_000, 75_000),
            p99_us: chance.between(800, 5000),
            leaning: chance.between(0, 60),
        }
    }
}

/// A version that serves, or runs in the shadow, since some moment.
pub struct Service {
    pub release: Digest,
    version: u64,
    since_ms: u64,
}

impl Service {
    pub fn new(release: Digest, version: u64, since_ms: u64) -> Service {
        Service {
            release,
            version,
            since_ms,
        }
    }

    pub fn evidence(&self, board: &Board, shadow: Option<&Service>, now: u64) -> Evidence {
        let seconds = now.saturating_sub(self.since_ms) / 1000;
        let inferences = seconds * RATE;
        let new = self.version > 1;
        let parts = [
            400 + board.leaning,
            300 - board.leaning / 2,
            200 - board.leaning / 2,
            100,
        ];
        let rewards = seconds / 10;
        let earned = if new { 780 } else { 700 };
        Evidence {
            release: self.release,
            inferences,
            failures: 0,
            p50_us: u32::try_from(board.p99_us / 2).unwrap_or(0),
            p99_us: u32::try_from(board.p99_us * if new { 105 } else { 100 } / 100).unwrap_or(0),
            low_confidence: inferences * 3 / 100,
            classes: parts
                .into_iter()
                .map(|part| inferences * part / 1000)
                .collect(),
            rewards,
            reward_milli: i64::try_from(rewards * earned).unwrap_or(0),
            shadow: shadow.map(|shadow| {
                let compared = now.saturating_sub(shadow.since_ms) / 1000 * RATE;
                Shadow {
                    candidate: shadow.release,
                    compared,
                    disagreed: compared * 2 / 100,
                    failures: 0,
                    p99_us: u32::try_from(board.p99_us * 105 / 100).unwrap_or(0),
                }
            }),
        }
    }
}
