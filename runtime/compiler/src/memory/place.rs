//! Packs blocks with lifetimes into as few bytes as it can find.
//!
//! Blocks are placed one after the other into the gaps that earlier ones leave, so a
//! placement is decided by an order. Some order reaches the optimum with lowest fit
//! alone: that of the offsets in an optimal placement. The search therefore runs over
//! orders: a few that are good for networks, then bounded local changes of the best
//! ones. It ends as soon as the lower bound is reached, which on feed-forward
//! networks the first orders do.

use super::lifetime::Block;
use super::overlap::Overlap;
use crate::random::SplitMix64;
use std::collections::HashMap;

/// Where each block lies.
#[derive(Clone, Debug, Default)]
pub(super) struct Placement {
    /// By block: its first byte, a multiple of 16.
    pub(super) offsets: Vec<usize>,
    /// End of the highest block.
    pub(super) bytes: usize,
}

/// Work that the local search may do, in visits of a neighbour: under a second in a
/// development build, whatever the size of the network.
const SEARCH_VISITS: usize = 20_000_000;
/// Changes that the local search tries at most.
const SEARCH_TRIALS: usize = 50_000;
/// Orders that the local search starts from.
const SEARCH_STARTS: usize = 4;
const SEED: u64 = 0x5a_4d_45_52_4c_49_4e_47;

/// Places `blocks` so that those in use at one point never overlap, but for `overlaps`.
/// No placement needs fewer bytes than `bound`, so that one of them ends the search.
pub(super) fn place(blocks: &[Block], overlaps: &[Overlap], bound: usize) -> Placement {
    let packer = Packer::new(blocks, overlaps);
    let mut results: Vec<(Placement, Vec<usize>)> = Vec::new();
    for order in orders(blocks) {
        for fit in [Fit::Lowest, Fit::Tightest] {
            let placement = packer.place(&order, fit);
            if placement.bytes == bound {
                return placement;
            }
            results.push((placement, order.clone()));
        }
    }
    results.sort_by_key(|(placement, _)| placement.bytes);
    let mut random = SplitMix64::new(SEED);
    let visits = SEARCH_VISITS / packer.visits().max(1);
    let trials = visits.min(SEARCH_TRIALS) / SEARCH_STARTS;
    let starts: Vec<Vec<usize>> = results
        .iter()
        .take(SEARCH_STARTS)
        .map(|(_, order)| order.clone())
        .collect();
    let mut best = results
        .into_iter()
        .next()
        .map(|(placement, _)| placement)
        .unwrap_or_default();
    for start in starts {
        let found = packer.search(start, trials, bound, &mut random);
        if found.bytes < best.bytes {
            best = found;
        }
        if best.bytes == bound {
            break;
        }
    }
    best
}

/// Which of the gaps that are large enough a block takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Lowest,
    Tightest,
}

/// A block that is in use at the same time as another one, and how near they may come.
struct Neighbour {
    block: usize,
    /// The other starts at least so many bytes below it,
    below: usize,
    /// or so many above it.
    above: usize,
}

struct Packer<'a> {
    blocks: &'a [Block],
    /// By block: the blocks that are in use at the same time as it.
    neighbours: Vec<Vec<Neighbour>>,
}

impl<'a> Packer<'a> {
    fn new(blocks: &'a [Block], overlaps: &[Overlap]) -> Self {
        let mut distances: HashMap<(usize, usize), usize> = HashMap::new();
        for overlap in overlaps {
            let pair = (overlap.output, overlap.input);
            distances.entry(pair).or_insert(overlap.distance);
        }
        let neighbour = |a: usize, b: usize| {
            let (size, other) = (blocks[a].bytes, blocks[b].bytes);
            let distance =
                |a, b, size: usize| distances.get(&(a, b)).map_or(size, |&d| size.min(d));
            Neighbour {
                block: b,
                below: distance(a, b, size),
                above: distance(b, a, other),
            }
        };
        // Along the steps: whatever is in use when a block begins meets it.
        let mut order: Vec<usize> = (0..blocks.len()).collect();
        order.sort_by_key(|&block| blocks[block].lifetime.first);
        let mut in_use: Vec<usize> = Vec::new();
        let mut neighbours: Vec<Vec<Neighbour>> = blocks.iter().map(|_| Vec::new()).collect();
        for a in order {
            in_use.retain(|&b| blocks[b].lifetime.last >= blocks[a].lifetime.first);
            for &b in &in_use {
                neighbours[a].push(neighbour(a, b));
                neighbours[b].push(neighbour(b, a));
            }
            in_use.push(a);
        }
        Packer { blocks, neighbours }
    }

    /// Visits of one placement.
    fn visits(&self) -> usize {
        self.neighbours
            .iter()
            .map(|neighbours| neighbours.len() + 1)
            .sum()
    }

    fn place(&self, order: &[usize], fit: Fit) -> Placement {
        let mut offsets: Vec<Option<usize>> = vec![None; self.blocks.len()];
        // Where a block must not start: between both ends, which it may touch.
        let mut taken: Vec<(isize, usize)> = Vec::new();
        let mut bytes = 0;
        for &block in order {
            taken.clear();
            taken.extend(self.neighbours[block].iter().filter_map(|other| {
                let offset = offsets[other.block]?;
                Some((offset as isize - other.below as isize, offset + other.above))
            }));
            taken.sort_unstable();
            let offset = gap(&taken, fit);
            offsets[block] = Some(offset);
            bytes = bytes.max(offset + self.blocks[block].bytes);
        }
        Placement {
            offsets: offsets
                .into_iter()
                .map(|offset| offset.unwrap_or(0))
                .collect(),
            bytes,
        }
    }

    /// Changes `order` a little at a time and keeps what is not worse.
    fn search(
        &self,
        mut order: Vec<usize>,
        trials: usize,
        bound: usize,
        random: &mut SplitMix64,
    ) -> Placement {
        let mut best = self.place(&order, Fit::Lowest);
        for _ in 0..trials {
            if best.bytes == bound {
                break;
            }
            let mut candidate = order.clone();
            if random.below(2) == 0 {
                // A block that sets the size goes to the front of some others.
                let highest: Vec<usize> = (0..order.len())
                    .filter(|&at| {
                        best.offsets[order[at]] + self.blocks[order[at]].bytes == best.bytes
                    })
                    .collect();
                let from = highest[random.below(highest.len())];
                let to = random.below(from + 1);
                candidate[to..=from].rotate_right(1);
            } else {
                candidate.swap(random.below(order.len()), random.below(order.len()));
            }
            let placement = self.place(&candidate, Fit::Lowest);
            if placement.bytes <= best.bytes {
                best = placement;
                order = candidate;
            }
        }
        best
    }
}

/// A start outside all `taken` ranges, which are sorted.
fn gap(taken: &[(isize, usize)], fit: Fit) -> usize {
    let mut end = 0usize;
    let mut tightest: Option<(usize, usize)> = None;
    for &(start, stop) in taken {
        if let Some(room) = usize::try_from(start).ok().filter(|&start| start >= end) {
            if fit == Fit::Lowest {
                return end;
            }
            let width = room - end;
            if tightest.is_none_or(|(best, _)| width < best) {
                tightest = Some((width, end));
            }
        }
        end = end.max(stop);
    }
    tightest.map_or(end, |(_, offset)| offset)
}

/// What decides a block's place in an order, lower ones going first, from its bytes, its
/// first and last point, and the number of points between.
type Key = fn([i128; 4]) -> [i128; 3];

/// Orders that do well on networks.
const KEYS: [Key; 6] = [
    // Large ones first; of equal ones the long-lived first, or the short-lived.
    |[bytes, first, _, span]| [-bytes, -span, first],
    |[bytes, first, _, span]| [-bytes, span, first],
    // Those that occupy most bytes for most steps first.
    |[bytes, first, _, span]| [-bytes * span, -bytes, first],
    // Long-lived ones first.
    |[bytes, first, _, span]| [-span, -bytes, first],
    // In the order of time, forwards and backwards.
    |[bytes, first, _, span]| [first, -bytes, -span],
    |[bytes, _, last, span]| [-last, -bytes, -span],
];

fn orders(blocks: &[Block]) -> Vec<Vec<usize>> {
    let measures = |&block: &usize| {
        let Block { bytes, lifetime } = blocks[block];
        let [bytes, first, last] = [bytes, lifetime.first, lifetime.last].map(|n| n as i128);
        [bytes, first, last, last - first + 1]
    };
    let mut orders: Vec<Vec<usize>> = KEYS
        .iter()
        .map(|key| {
            let mut order: Vec<usize> = (0..blocks.len()).collect();
            order.sort_by_key(|block| key(measures(block)));
            order
        })
        .collect();
    orders.dedup();
    orders
}
