//! The program without the channels that nothing needs.

use super::constants::{Constants, affine, weights_of};
use super::needed::Needed;
use super::{Channels, Kind, kind, last};
use crate::program::{Affine, BufferId, Operation, Program, Step};
use sanderling_plan::Operator;

pub(super) fn shrink(
    program: &Program,
    channels: &Channels,
    constants: &Constants,
    kept: &Needed,
) -> Program {
    let mut small = program.clone();
    for (buffer, kept) in kept.iter().enumerate() {
        let Some(all) = channels.get(BufferId(buffer)) else {
            continue;
        };
        let left = kept.iter().filter(|&&kept| kept).count();
        if left == all {
            continue;
        }
        for tensor in &mut small.tensors {
            if tensor.buffer.0 == buffer
                && let Some(last) = tensor.shape.last_mut()
                && *last == all
            {
                *last = left;
                small.buffers[buffer].bytes = tensor.bytes();
            }
        }
        // Views that no step uses still have to be as long as the buffer.
        let bytes = small.buffers[buffer].bytes;
        for tensor in &mut small.tensors {
            if tensor.buffer.0 == buffer && tensor.bytes() != bytes {
                tensor.shape = vec![bytes / tensor.dtype.bytes()];
            }
        }
    }
    for (index, step) in program.steps.iter().enumerate() {
        let Some(&input) = step.inputs.first() else {
            continue;
        };
        let (input, output) = (program.tensor(input), program.tensor(step.output));
        let of = |buffer: BufferId, count: usize| match kept[buffer.0].as_slice() {
            [] => (0..count).collect(),
            kept => (0..count).filter(|&c| kept[c]).collect::<Vec<_>>(),
        };
        let (inputs, outputs) = (last(input), last(output));
        let (from, to) = (of(input.buffer, inputs), of(output.buffer, outputs));
        if from.len() == inputs && to.len() == outputs {
            continue;
        }
        let step = &mut small.steps[index];
        match kind(program, &program.steps[index]) {
            Kind::Mixes { taps } => {
                let known = &constants[input.buffer.0];
                let mixed = mixing(&program.steps[index], taps, inputs, known, &from, &to);
                if let (Some(mixed), Some(affine)) = (mixed, affine_mut(step)) {
                    *affine = mixed;
                }
                step.macs = step.macs / (inputs * outputs) as u64 * (from.len() * to.len()) as u64;
            }
            Kind::Keeps => {
                keeping(step, outputs, &to);
                step.macs = step.macs / outputs as u64 * to.len() as u64;
            }
            Kind::Binds => {}
        }
    }
    small
}

/// The weights between the channels `from` and `to`; what the others add is in the bias.
fn mixing(
    step: &Step,
    taps: usize,
    inputs: usize,
    known: &[Option<i8>],
    from: &[usize],
    to: &[usize],
) -> Option<Affine> {
    let (affine, zero, _) = affine(step)?;
    let weight = |o: usize, tap: usize, i: usize| affine.weights[(o * taps + tap) * inputs + i];
    let gone = |o: usize| {
        (0..inputs)
            .filter(|i| !from.contains(i))
            .filter_map(|i| Some((i, known.get(i).copied().flatten()?)))
            .fold(0i32, |sum, (i, value)| {
                let weights: i32 = weights_of(affine, zero, taps, inputs, o, i).sum();
                sum.wrapping_add(i32::from(value).wrapping_mul(weights))
            })
    };
    Some(Affine {
        weights: to
            .iter()
            .flat_map(|&o| (0..taps).map(move |tap| (o, tap)))
            .flat_map(|(o, tap)| from.iter().map(move |&i| weight(o, tap, i)))
            .collect(),
        bias: to
            .iter()
            .map(|&o| affine.bias[o].wrapping_add(gone(o)))
            .collect(),
        multipliers: to.iter().map(|&o| affine.multipliers[o]).collect(),
    })
}

fn affine_mut(step: &mut Step) -> Option<&mut Affine> {
    match &mut step.operation {
        Operation::Conv { affine, .. } | Operation::FullyConnected { affine, .. } => Some(affine),
        _ => None,
    }
}

/// Leaves the channels `to` of a step that keeps them apart.
fn keeping(step: &mut Step, outputs: usize, to: &[usize]) {
    match &mut step.operation {
        Operation::Conv {
            parameters, affine, ..
        } => {
            let taps = affine.weights.len() / outputs.max(1);
            parameters.groups = to.len() as u32;
            *affine = Affine {
                weights: (0..taps)
                    .flat_map(|tap| to.iter().map(move |&o| tap * outputs + o))
                    .map(|at| affine.weights[at])
                    .collect(),
                bias: to.iter().map(|&o| affine.bias[o]).collect(),
                multipliers: to.iter().map(|&o| affine.multipliers[o]).collect(),
            };
        }
        Operation::Plain(Operator::ReduceMean(p)) => {
            p.inner = to.len() as u32;
            step.scratch_bytes = p.scratch_bytes().unwrap_or(step.scratch_bytes);
        }
        _ => {}
    }
}
