//! How long each buffer is in use, and which outputs take the place of an input.

use super::Lifetime;
use crate::program::{BufferId, Program, Step};
use sanderling_plan::align_up;
use std::collections::HashSet;

/// Bytes that need a place of their own while they are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// A multiple of 16.
    pub(super) bytes: usize,
    /// When they are in use.
    pub(super) lifetime: Lifetime,
}

/// Which input an output takes where several would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preference {
    FirstInput,
    LastInput,
}

/// Everything that needs a place in the arena.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pub(super) all: Vec<Block>,
    /// By buffer; `None` for constants and for buffers that nothing uses.
    pub(super) of_buffer: Vec<Option<usize>>,
    /// By step; `None` where it needs no scratch.
    pub(super) of_scratch: Vec<Option<usize>>,
    /// By step: bytes of scratch.
    pub(super) scratch_bytes: Vec<usize>,
    /// By step: number of the input whose block the output shares.
    pub(super) in_place: Vec<Option<usize>>,
    /// By buffer: its own lifetime, not that of the block that it may share.
    pub(super) lifetimes: Vec<Option<Lifetime>>,
}

impl Blocks {
    /// The blocks of `program`, outputs merged into inputs where a step may work in place.
    pub(super) fn of(program: &Program, preference: Preference) -> Self {
        let lifetimes = lifetimes(program);
        let writers = writers(program);
        let mut all = Vec::new();
        let mut members = Vec::new();
        let mut of_buffer = vec![None; program.buffers.len()];
        for (buffer, lifetime) in lifetimes.iter().enumerate() {
            if let Some(lifetime) = *lifetime {
                of_buffer[buffer] = Some(all.len());
                members.push(vec![buffer]);
                all.push(Block {
                    bytes: aligned(program.buffers[buffer].bytes),
                    lifetime,
                });
            }
        }
        let mut in_place = vec![None; program.steps.len()];
        let inputs: HashSet<BufferId> = (program.inputs.iter())
            .map(|&id| program.tensor(id).buffer)
            .collect();
        for (index, step) in program.steps.iter().enumerate() {
            // Inputs were written before the first step, so their block is taken already.
            let output = program.tensor(step.output).buffer;
            let is_input = inputs.contains(&output);
            if !step.operation.works_in_place() || writers[output.0] != 1 || is_input {
                continue;
            }
            let dies_here = |&number: &usize| {
                let buffer = program.tensor(step.inputs[number]).buffer;
                buffer != output
                    && program.buffers[buffer.0].bytes == program.buffers[output.0].bytes
                    && of_buffer[buffer.0]
                        .is_some_and(|block: usize| all[block].lifetime.last == index + 1)
            };
            let mut numbers = 0..step.inputs.len();
            let chosen = match preference {
                Preference::FirstInput => numbers.find(dies_here),
                Preference::LastInput => numbers.rfind(dies_here),
            };
            if let Some(number) = chosen {
                in_place[index] = Some(number);
                let input = program.tensor(step.inputs[number]).buffer;
                merge(&mut all, &mut members, &mut of_buffer, input, output);
            }
        }
        Blocks {
            all,
            of_buffer,
            of_scratch: vec![None; program.steps.len()],
            scratch_bytes: vec![0; program.steps.len()],
            in_place,
            lifetimes,
        }
    }

    /// Adds a block for the scratch of each step, `bytes(step)` long.
    pub(super) fn reserve_scratch(&mut self, program: &Program, bytes: impl Fn(usize) -> usize) {
        for step in 0..self.of_scratch.len() {
            let bytes = bytes(step);
            self.scratch_bytes[step] = bytes;
            if bytes > 0 {
                self.of_scratch[step] = Some(self.all.len());
                self.all.push(Block {
                    bytes: aligned(bytes),
                    lifetime: points(program, step),
                });
            }
        }
    }
}

/// By buffer: from the first point at which it is written to the last at which it is
/// read or written.
fn lifetimes(program: &Program) -> Vec<Option<Lifetime>> {
    let mut lifetimes: Vec<Option<Lifetime>> = vec![None; program.buffers.len()];
    let mut use_at = |buffer: BufferId, point: usize| {
        if program.buffers[buffer.0].constant.is_none() {
            let lifetime = lifetimes[buffer.0].get_or_insert(Lifetime {
                first: point,
                last: point,
            });
            lifetime.last = lifetime.last.max(point);
        }
    };
    for &input in &program.inputs {
        use_at(program.tensor(input).buffer, 0);
    }
    for (index, step) in program.steps.iter().enumerate() {
        let points = points(program, index);
        for id in operands(step) {
            use_at(program.tensor(id).buffer, points.first);
            use_at(program.tensor(id).buffer, points.last);
        }
    }
    for &output in &program.outputs {
        use_at(program.tensor(output).buffer, program.steps.len() + 1);
    }
    lifetimes
}

/// The points at which a step runs: its own, or those of its whole stream.
fn points(program: &Program, step: usize) -> Lifetime {
    let steps = match program.stream_of(step) {
        Some(stream) => stream.steps.clone(),
        None => step..step + 1,
    };
    Lifetime {
        first: steps.start + 1,
        last: steps.end,
    }
}

fn operands(step: &Step) -> impl Iterator<Item = crate::program::TensorId> + '_ {
    step.inputs.iter().copied().chain([step.output])
}

/// By buffer: how many steps write it. Parts of a concatenation or of a padded image are
/// written one after the other, so such a buffer cannot take an input's place.
fn writers(program: &Program) -> Vec<usize> {
    let mut writers = vec![0; program.buffers.len()];
    for step in &program.steps {
        writers[program.tensor(step.output).buffer.0] += 1;
    }
    writers
}

/// Lets `output` live on in the block of `input`. The output's own block is removed.
/// `members` holds the buffers of each block.
fn merge(
    all: &mut Vec<Block>,
    members: &mut Vec<Vec<usize>>,
    of_buffer: &mut [Option<usize>],
    input: BufferId,
    output: BufferId,
) {
    let (Some(kept), Some(gone)) = (of_buffer[input.0], of_buffer[output.0]) else {
        return;
    };
    all[kept].lifetime.last = all[kept].lifetime.last.max(all[gone].lifetime.last);
    let mut moved = std::mem::take(&mut members[gone]);
    moved
        .iter()
        .for_each(|&buffer| of_buffer[buffer] = Some(kept));
    members[kept].append(&mut moved);
    // The last block takes the place of the one that is gone.
    all.swap_remove(gone);
    members.swap_remove(gone);
    for &buffer in members.get(gone).into_iter().flatten() {
        of_buffer[buffer] = Some(gone);
    }
}

fn aligned(bytes: usize) -> usize {
    align_up(bytes).unwrap_or(usize::MAX)
}
