//! The cheapest way through a block: for each 16 bytes, which place of the base, or none (Viterbi's algorithm).

use std::vec;
use std::vec::Vec;

use crate::operation::{Kind, Operation};

/// The step of the search: plans align what they hold to it.
const STEP: usize = 16;
/// What another operation costs, in bits.
const SWITCH: f32 = 26.0;

/// Bits that `count` bytes take whose sizes sum up to `sum`: the entropy of a two-sided geometric distribution with
/// that mean.
fn bits(sum: u32, count: usize) -> f32 {
    if sum == 0 {
        return 0.05 * count as f32;
    }
    let mean = sum as f32 / count as f32;
    let each = (1.0 + mean).log2() + mean * (1.0 + 1.0 / mean).log2() + mean.min(1.0);
    each.min(8.0) * count as f32
}

/// What the bytes of one step cost from the base at `shift`; none where the base has no such place.
fn from_base(base: &[u8], step: &[u8], at: usize, shift: i64) -> Option<f32> {
    let from = usize::try_from(at as i64 + shift).ok()?;
    let old = base.get(from..from.checked_add(step.len())?)?;
    let sizes = step
        .iter()
        .zip(old)
        .map(|(a, b)| u32::from((a.wrapping_sub(*b) as i8).unsigned_abs()));
    Some(bits(sizes.sum(), step.len()))
}

/// How far back a word is looked for, in bytes, and what it costs where it is found or not, in bits.
const WORD_REACH: usize = 512;
const WORD_KNOWN: f32 = 5.0;
const WORD_NEW: f32 = 33.0;

/// What the words of a step cost that begins at `offset` of the block.
fn as_words(content: &[u8], step: &[u8], offset: usize) -> f32 {
    if !step.len().is_multiple_of(4) {
        return f32::INFINITY;
    }
    let cost = |(i, word): (usize, &[u8; 4])| {
        let here = offset + 4 * i;
        let before = content[here.saturating_sub(WORD_REACH) & !3..here]
            .as_chunks::<4>()
            .0;
        match word == &[0; 4] && here == 0 || before.contains(word) {
            true => WORD_KNOWN,
            false => WORD_NEW,
        }
    };
    step.as_chunks::<4>().0.iter().enumerate().map(cost).sum()
}

/// Operations without copies: residuals at one of `shifts`, words, and literals.
pub(super) fn find(base: &[u8], content: &[u8], at: usize, shifts: &[i64]) -> Vec<Operation> {
    let states = shifts.len() + 2;
    // The costs of the best way that ends in each state, and for each step which state came before.
    let mut costs = vec![0.0f32; states];
    let mut before: Vec<Vec<usize>> = Vec::new();
    for (number, step) in content.chunks(STEP).enumerate() {
        let place = at + number * STEP;
        let (cheapest, least) = least(&costs);
        let mut from = Vec::with_capacity(states);
        for (state, cost) in costs.iter_mut().enumerate() {
            let own = match shifts.get(state) {
                Some(&shift) => from_base(base, step, place, shift).unwrap_or(f32::INFINITY),
                None if state > shifts.len() => as_words(content, step, number * STEP),
                None => bits(
                    step.iter()
                        .map(|&b| u32::from((b as i8).unsigned_abs()))
                        .sum(),
                    step.len(),
                ),
            };
            let stay = *cost <= least + SWITCH;
            from.push(if stay { state } else { cheapest });
            *cost = if stay { *cost } else { least + SWITCH } + own;
        }
        before.push(from);
    }
    let (mut state, _) = least(&costs);
    let mut operations: Vec<Operation> = Vec::new();
    for (from, step) in before.iter().rev().zip(content.chunks(STEP).rev()) {
        let (kind, shift) = match shifts.get(state) {
            Some(&shift) => (Kind::Residual, shift),
            None if state > shifts.len() => (Kind::Words, 0),
            None => (Kind::Literal, 0),
        };
        match operations.last_mut() {
            Some(last) if last.kind == kind && last.shift == shift => {
                last.length += step.len() as u32
            }
            _ => operations.push(Operation {
                kind,
                shift,
                length: step.len() as u32,
            }),
        }
        state = from[state];
    }
    operations.reverse();
    operations
}

fn least(costs: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::INFINITY);
    for (state, &cost) in costs.iter().enumerate() {
        if cost < best.1 {
            best = (state, cost);
        }
    }
    best
}

/// Makes copies of the runs of at least `run` bytes in residuals that equal the base.
pub(super) fn split(
    base: &[u8],
    content: &[u8],
    at: usize,
    ways: &[Operation],
    run: u32,
) -> Vec<Operation> {
    let mut operations = Vec::new();
    let mut offset = 0;
    for &way in ways {
        let bytes = &content[offset..][..way.length as usize];
        if way.kind != Kind::Residual {
            operations.push(way);
            offset += bytes.len();
            continue;
        }
        let old = &base[(at as i64 + offset as i64 + way.shift) as usize..][..bytes.len()];
        let mut push = |kind, length: usize| {
            if length > 0 {
                operations.push(Operation {
                    kind,
                    length: length as u32,
                    ..way
                });
            }
        };
        let (mut start, mut same) = (0, 0);
        for (i, (new, old)) in bytes.iter().zip(old).enumerate() {
            if new == old {
                same += 1;
                continue;
            }
            if same >= run as usize {
                push(Kind::Residual, i - same - start);
                push(Kind::Copy, same);
                start = i;
            }
            same = 0;
        }
        // A whole operation of equal bytes is a copy however short it is.
        if same >= run as usize || same == bytes.len() {
            push(Kind::Residual, bytes.len() - same - start);
            push(Kind::Copy, same);
        } else {
            push(Kind::Residual, bytes.len() - start);
        }
        offset += bytes.len();
    }
    operations
}
