//! How small the arena could be at best.

use super::lifetime::Block;
use super::overlap::Overlap;

/// Bytes in use, by point.
#[derive(Clone, Debug)]
pub(super) struct Live(Vec<usize>);

impl Live {
    /// Those of `blocks`, of which `overlaps` share some.
    pub(super) fn of(blocks: &[Block], overlaps: &[Overlap]) -> Self {
        let last = blocks.iter().map(|block| block.lifetime.last).max();
        let mut changes = vec![0i128; last.map_or(0, |last| last + 2)];
        for block in blocks {
            changes[block.lifetime.first] += block.bytes as i128;
            changes[block.lifetime.last + 1] -= block.bytes as i128;
        }
        let mut sum = 0;
        let mut live: Vec<usize> = (changes.iter())
            .map(|change| {
                sum += change;
                usize::try_from(sum).unwrap_or(usize::MAX)
            })
            .collect();
        for overlap in overlaps {
            if let Some(bytes) = live.get_mut(overlap.step + 1) {
                *bytes = bytes.saturating_sub(overlap.saves(blocks));
            }
        }
        Live(live)
    }

    /// Those at `point`.
    pub(super) fn at(&self, point: usize) -> usize {
        self.0.get(point).copied().unwrap_or(0)
    }

    /// The most at one point: no placement needs fewer.
    pub(super) fn most(&self) -> usize {
        self.0.iter().copied().max().unwrap_or(0)
    }
}
