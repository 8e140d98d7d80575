//! The arena as a picture: bytes from top to bottom, steps from left to right.
//!
//! ```text
//!         0 │aaab····
//!     4,096 │aaabbccc
//!     8,192 │··##·ccc
//! ```

use crate::steps::{Life, lives};
use crate::text;
use sanderling_plan::Plan;
use std::ops::Range;

/// Rows of the picture, fewer where the arena has fewer blocks of 16 bytes.
const ROWS: usize = 24;
/// Steps in one band of the picture; longer plans get several.
const COLUMNS: usize = 96;
/// Most tensors times steps that are drawn: above, nobody would read it.
const MOST: usize = 1_000_000;
/// Drawn where no tensor lies, and where a step has its scratch.
const FREE: char = '·';
const SCRATCH: char = '#';
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Draws who takes which bytes while which step runs, and explains the letters.
pub fn arena_map<B: AsRef<[u8]>>(plan: &Plan<B>) -> String {
    let lives = lives(plan);
    if lives.len().saturating_mul(plan.step_count()) > MOST {
        return "arena: more steps and tensors than a picture can show\n".to_owned();
    }
    let scratch: Vec<Range<usize>> = plan.steps().map(|step| step.scratch()).collect();
    let arena = plan.arena_bytes();
    let rows = arena.div_ceil(16).clamp(1, ROWS);
    // Whole blocks, because every tensor starts at one.
    let row_bytes = arena.div_ceil(rows).next_multiple_of(16).max(16);
    let rows = arena.div_ceil(row_bytes).max(1);
    let offsets: Vec<String> = (0..rows)
        .map(|row| text::count((row * row_bytes) as u64))
        .collect();
    let width = offsets.iter().map(String::len).max().unwrap_or(1);
    let mut text = format!(
        "arena: a row is {}, a column is a step, {FREE} is free, {SCRATCH} is scratch\n",
        text::bytes(row_bytes)
    );
    let steps: Vec<usize> = (0..scratch.len()).collect();
    for band in steps.chunks(COLUMNS) {
        if steps.len() > COLUMNS {
            text.push_str(&format!("steps {} to {}\n", band[0], band[band.len() - 1]));
        }
        for (row, offset) in offsets.iter().enumerate() {
            let bytes = row * row_bytes..((row + 1) * row_bytes).min(arena);
            let cells: String = band
                .iter()
                .map(|&step| cell(&lives, &scratch, step, &bytes))
                .collect();
            text.push_str(&format!("{offset:>width$} │{cells}\n"));
        }
    }
    for (index, life) in lives.iter().enumerate() {
        let end = life.tensor.range().end;
        text.push_str(&format!(
            "  {} {:>width$} to {:>width$}, steps {} to {}: `{}` {} {}\n",
            letter(index),
            text::count(life.tensor.offset.into()),
            text::count(end as u64),
            life.first,
            life.last,
            text::shortened(plan.tensor_name(&life.tensor), 48),
            life.tensor.dtype,
            life.tensor.shape,
        ));
    }
    text
}

/// Whoever has most of `bytes` during `step`; the later one where two share them, as an
/// output that takes the bytes of an input does.
fn cell(lives: &[Life], scratch: &[Range<usize>], step: usize, bytes: &Range<usize>) -> char {
    let shared = |range: Range<usize>| {
        range
            .end
            .min(bytes.end)
            .saturating_sub(range.start.max(bytes.start))
    };
    let tensors = lives
        .iter()
        .enumerate()
        .filter(|(_, life)| life.covers(step))
        .map(|(index, life)| (shared(life.tensor.range()), letter(index)));
    let scratch = scratch
        .get(step)
        .cloned()
        .map(|range| (shared(range), SCRATCH));
    tensors
        .chain(scratch)
        .filter(|&(bytes, _)| bytes > 0)
        .max_by_key(|&(bytes, _)| bytes)
        .map_or(FREE, |(_, letter)| letter)
}

fn letter(index: usize) -> char {
    LETTERS.chars().nth(index % LETTERS.len()).unwrap_or('?')
}
