//! Which channels some step has to read.

use super::constants::{Constants, affine, weights_of};
use super::{Channels, Kind, is_padded, kind, last};
use crate::program::{BufferId, Program, Step};
use sanderling_plan::Target;

/// By buffer, by channel: whether it has to stay; empty where all have to.
pub(super) type Needed = Vec<Vec<bool>>;

pub(super) fn find(program: &Program, channels: &Channels, constants: &Constants) -> Needed {
    let mut needed: Needed = (0..program.buffers.len())
        .map(|buffer| match channels.get(BufferId(buffer)) {
            Some(count) => vec![false; count],
            None => Vec::new(),
        })
        .collect();
    // A channel that is needed makes others needed, against the order of the steps and,
    // through steps that keep channels apart, along it; so until nothing changes.
    loop {
        let before = needed.clone();
        // Both ways, so that a long row of steps does not take as many rounds.
        for step in program.steps.iter().rev().chain(&program.steps) {
            mark(program, constants, step, &mut needed);
        }
        if needed == before {
            return needed;
        }
    }
}

fn mark(program: &Program, constants: &Constants, step: &Step, needed: &mut Needed) {
    let output = program.tensor(step.output).buffer.0;
    let Some(&first) = step.inputs.first() else {
        needed[output].fill(true);
        return;
    };
    let input = program.tensor(first).buffer.0;
    match kind(program, step) {
        Kind::Mixes { taps } => {
            let Some((affine, zero, pads_with)) = affine(step) else {
                return;
            };
            let inputs = last(program.tensor(first));
            let padded = is_padded(program, step);
            for i in 0..needed[input].len() {
                let known = constants[input].get(i).copied().flatten();
                let folds = known.is_some_and(|x| !padded || i32::from(x) == pads_with);
                // Rows of outputs that go themselves read nothing.
                let reads = |o: usize| needed[output].get(o).copied().unwrap_or(true);
                let mut zeros = (0..affine.bias.len())
                    .filter(|&o| reads(o))
                    .flat_map(|o| weights_of(affine, zero, taps, inputs, o, i));
                if !folds && zeros.any(|w| w != 0) {
                    needed[input][i] = true;
                }
            }
        }
        Kind::Keeps if needed[input].len() == needed[output].len() => {
            for i in 0..needed[input].len() {
                let either = needed[input][i] || needed[output][i];
                needed[input][i] = either;
                needed[output][i] = either;
            }
        }
        // One side keeps all its channels, so the other does.
        Kind::Keeps | Kind::Binds => {
            needed[output].fill(true);
            for &id in &step.inputs {
                needed[program.tensor(id).buffer.0].fill(true);
            }
        }
    }
}

/// Keeps so many of the dead channels that whole blocks of the target's kernels are left,
/// the same ones wherever channels are kept apart.
pub(super) fn fill_blocks(
    program: &Program,
    channels: &Channels,
    mut needed: Needed,
    target: Target,
) -> Needed {
    let dense = target.dense();
    let block = dense.outputs.max(dense.depth).max(1);
    let mut of: Vec<usize> = (0..program.buffers.len()).collect();
    for step in &program.steps {
        if let (Kind::Keeps, Some(&input)) = (kind(program, step), step.inputs.first()) {
            let (input, output) = (
                program.tensor(input).buffer,
                program.tensor(step.output).buffer,
            );
            if channels.get(input).is_some() && channels.get(output).is_some() {
                let (from, to) = (of[output.0], of[input.0]);
                of.iter_mut()
                    .filter(|of| **of == from)
                    .for_each(|of| *of = to);
            }
        }
    }
    for buffer in 0..needed.len() {
        let Some(count) = channels.get(BufferId(buffer)) else {
            continue;
        };
        let kept = needed[buffer].iter().filter(|&&needed| needed).count();
        let wanted = kept.max(1).next_multiple_of(block).min(count);
        let dead: Vec<usize> = (0..count).filter(|&c| !needed[buffer][c]).collect();
        for &channel in dead.iter().take(wanted - kept) {
            for other in 0..needed.len() {
                if of[other] == of[buffer] && !needed[other].is_empty() {
                    needed[other][channel] = true;
                }
            }
        }
    }
    needed
}
