//! How small the arena could be at best.

use super::lifetime::Block;
use super::overlap::Overlap;

/// Bytes in use at `point`.
pub(super) fn live_at(blocks: &[Block], overlaps: &[Overlap], point: usize) -> usize {
    let all: usize = blocks
        .iter()
        .filter(|block| (block.lifetime.first..=block.lifetime.last).contains(&point))
        .map(|block| block.bytes)
        .sum();
    let saved: usize = overlaps
        .iter()
        .filter(|overlap| overlap.step + 1 == point)
        .map(|overlap| overlap.saves(blocks))
        .sum();
    all.saturating_sub(saved)
}

/// The most bytes in use at one point.
pub(super) fn lower_bound(blocks: &[Block], overlaps: &[Overlap]) -> usize {
    // The sum can only grow where a block begins, or after an overlap.
    let begins = blocks.iter().map(|block| block.lifetime.first);
    let after = overlaps.iter().map(|overlap| overlap.step + 2);
    begins
        .chain(after)
        .map(|point| live_at(blocks, overlaps, point))
        .max()
        .unwrap_or(0)
}
