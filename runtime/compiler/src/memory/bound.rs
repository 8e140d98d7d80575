//! How small the arena could be at best.

use super::lifetime::Block;

/// Bytes in use at `point`.
pub(super) fn live_at(blocks: &[Block], point: usize) -> usize {
    blocks
        .iter()
        .filter(|block| (block.lifetime.first..=block.lifetime.last).contains(&point))
        .map(|block| block.bytes)
        .sum()
}

/// The most bytes in use at one point.
pub(super) fn lower_bound(blocks: &[Block]) -> usize {
    // The sum can only grow where a block begins.
    blocks
        .iter()
        .map(|block| live_at(blocks, block.lifetime.first))
        .max()
        .unwrap_or(0)
}
