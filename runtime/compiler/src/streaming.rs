//! Makes convolutions run row by row where the arena would be too large otherwise.
//!
//! Of the images between the steps of a [stream](sanderling_plan::step::stream) only the
//! rows that a window reads are kept. No row is computed twice, so that a stream costs a
//! little bookkeeping for each row and nothing else.

use crate::memory::{MemoryPlan, plan_memory};
use crate::program::{BufferId, Operation, Program, Step, Stream};
use sanderling_plan::Target;
use sanderling_plan::step::stream::MAX_STEPS;
use std::ops::Range;

/// `program` and its arena, with streams where the arena would have more than `limit` bytes
/// without; the smallest that was found, which may still be larger.
pub fn fit(program: &Program, target: Target, limit: usize) -> (Program, MemoryPlan) {
    let mut best = (program.clone(), plan_memory(program, target));
    while best.1.arena_bytes > limit {
        let (program, memory) = &best;
        // Around the peak, for elsewhere it changes nothing.
        let peak = memory.peak_step;
        let found = chains(program)
            .into_iter()
            .flat_map(|chain| parts(&chain))
            .filter(|part| part.contains(&peak) || part.start == peak + 1 || part.end == peak)
            .map(|part| {
                let streamed = with_stream(program, part);
                let memory = plan_memory(&streamed, target);
                (streamed, memory)
            })
            .min_by_key(|(_, memory)| memory.arena_bytes);
        match found {
            Some(smaller) if smaller.1.arena_bytes < memory.arena_bytes => best = smaller,
            _ => break,
        }
    }
    best
}

/// Steps in a row of which each alone reads what the one before it writes.
fn chains(program: &Program) -> Vec<Range<usize>> {
    let mut chains: Vec<Range<usize>> = Vec::new();
    for index in 0..program.steps.len() {
        if !streams(program, &program.steps[index]) || program.stream_of(index).is_some() {
            continue;
        }
        match chains.last_mut() {
            Some(chain) if chain.end == index && feeds(program, index - 1, index) => {
                chain.end = index + 1;
            }
            _ => chains.push(index..index + 1),
        }
    }
    chains
}

/// Every part of a chain that a stream can take.
fn parts(chain: &Range<usize>) -> Vec<Range<usize>> {
    chain
        .clone()
        .flat_map(|start| (start + 2..=chain.end.min(start + MAX_STEPS)).map(move |end| start..end))
        .collect()
}

/// Whether a step can be part of a stream: a convolution of one image.
fn streams(program: &Program, step: &Step) -> bool {
    matches!(step.operation, Operation::Conv { .. })
        && program.tensor(step.output).shape.first() == Some(&1)
}

/// Whether step `next` alone reads what `step` alone writes.
fn feeds(program: &Program, step: usize, next: usize) -> bool {
    let written = program.steps[step].output;
    let buffer = program.tensor(written).buffer;
    let uses = |buffer: BufferId| {
        let uses = |step: &Step| {
            let operands = step.inputs.iter().chain([&step.output]);
            operands
                .filter(|&&id| program.tensor(id).buffer == buffer)
                .count()
        };
        program.steps.iter().map(uses).sum::<usize>()
    };
    let mut borders = program.inputs.iter().chain(&program.outputs);
    program.steps[next].inputs == [written]
        && uses(buffer) == 2
        && borders.all(|&id| program.tensor(id).buffer != buffer)
}

/// `program` with one more stream.
fn with_stream(program: &Program, steps: Range<usize>) -> Program {
    let mut streamed = program.clone();
    let rows: Vec<usize> = steps
        .clone()
        .skip(1)
        .map(|index| {
            let step = &program.steps[index];
            let height = program.tensor(step.inputs[0]).shape[1];
            match &step.operation {
                Operation::Conv { parameters, .. } => parameters.window_rows().min(height),
                _ => height,
            }
        })
        .collect();
    for (index, &rows) in steps.clone().zip(&rows) {
        let tensor = program.tensor(program.steps[index].output);
        streamed.buffers[tensor.buffer.0].bytes = tensor.bytes() / tensor.shape[1] * rows;
    }
    streamed.streams.push(Stream { steps, rows });
    streamed
}
