//! Which channels hold one value wherever one looks.

use super::{Channels, Kind, is_padded, kind, last};
use crate::program::{Affine, Operation, Program, Step};
use crate::reference;
use sanderling_plan::{Dtype, Operator};

/// By buffer, by channel: the value that it always holds; empty where none is known.
pub(super) type Constants = Vec<Vec<Option<i8>>>;

pub(super) fn find(program: &Program, channels: &Channels) -> Constants {
    let mut constants: Constants = vec![Vec::new(); program.buffers.len()];
    for step in &program.steps {
        let output = program.tensor(step.output);
        if channels.get(output.buffer).is_none() || output.dtype != Dtype::I8 {
            continue;
        }
        let Some(&input) = step.inputs.first() else {
            continue;
        };
        let input = program.tensor(input);
        let known = &constants[input.buffer.0];
        let outputs = 0..last(output);
        let found = match kind(program, step) {
            Kind::Mixes { taps } => outputs
                .map(|o| value(step, mixed(program, step, taps, o, known)?))
                .collect(),
            Kind::Keeps => outputs
                .map(|o| kept(program, step, o, known.get(o).copied().flatten()))
                .collect(),
            Kind::Binds => continue,
        };
        constants[output.buffer.0] = found;
    }
    constants
}

/// A sum that does not depend on the input, and the output channel it belongs to.
struct Fixed {
    channel: usize,
    sum: i32,
}

/// The accumulator of output `o` where only zero weights read what varies.
fn mixed(
    program: &Program,
    step: &Step,
    taps: usize,
    o: usize,
    known: &[Option<i8>],
) -> Option<Fixed> {
    let (affine, zero, pads_with) = affine(step)?;
    let inputs = last(program.tensor(step.inputs[0]));
    let padded = is_padded(program, step);
    let mut sum = affine.bias[o];
    for i in 0..inputs {
        let weights = weights_of(affine, zero, taps, inputs, o, i);
        match known.get(i).copied().flatten() {
            Some(value) if !padded || i32::from(value) == pads_with => {
                sum = sum.wrapping_add(i32::from(value).wrapping_mul(weights.sum()));
            }
            _ if weights.clone().all(|w| w == 0) => {}
            _ => return None,
        }
    }
    Some(Fixed { channel: o, sum })
}

/// The weights, zero point taken off, between input `i` and output `o`.
pub(super) fn weights_of(
    affine: &Affine,
    zero: i32,
    taps: usize,
    inputs: usize,
    o: usize,
    i: usize,
) -> impl Iterator<Item = i32> + Clone + '_ {
    (0..taps).map(move |tap| i32::from(affine.weights[(o * taps + tap) * inputs + i]) - zero)
}

/// Weights, their zero point, and what padding reads.
pub(super) fn affine(step: &Step) -> Option<(&Affine, i32, i32)> {
    match &step.operation {
        Operation::Conv {
            parameters, affine, ..
        } => Some((
            affine,
            parameters.weight_zero_point,
            parameters.input_zero_point,
        )),
        Operation::FullyConnected { parameters, affine } => {
            Some((affine, parameters.weight_zero_point, 0))
        }
        _ => None,
    }
}

/// What an output channel holds whose accumulator is `fixed`, by the reference.
fn value(step: &Step, fixed: Fixed) -> Option<i8> {
    let one = |affine: &Affine| Affine {
        weights: vec![0],
        bias: vec![fixed.sum],
        multipliers: vec![affine.multipliers[fixed.channel]],
    };
    let operation = match &step.operation {
        Operation::Conv {
            parameters, affine, ..
        } => Operation::Conv {
            parameters: sanderling_plan::step::Conv {
                weight_zero_point: 0,
                ..point(*parameters)
            },
            depthwise: false,
            affine: one(affine),
        },
        Operation::FullyConnected { parameters, affine } => Operation::FullyConnected {
            parameters: sanderling_plan::step::FullyConnected {
                weight_zero_point: 0,
                ..*parameters
            },
            affine: one(affine),
        },
        _ => return None,
    };
    alone(operation, vec![1, 1, 1, 1], 0)
}

/// What channel `o` of a step holds that keeps channels apart, where its input channel
/// holds `known`.
fn kept(program: &Program, step: &Step, o: usize, known: Option<i8>) -> Option<i8> {
    let padded = is_padded(program, step);
    match &step.operation {
        Operation::Conv {
            parameters: p,
            affine,
            ..
        } => {
            let outputs = affine.bias.len();
            let taps = (p.kernel_h * p.kernel_w) as usize;
            let sum: i32 = (0..taps)
                .map(|tap| i32::from(affine.weights[tap * outputs + o]) - p.weight_zero_point)
                .try_fold(0i32, |sum, w| match (w, known) {
                    (0, _) => Some(sum),
                    (w, Some(x)) if !padded || i32::from(x) == p.input_zero_point => {
                        Some(sum.wrapping_add(i32::from(x).wrapping_mul(w)))
                    }
                    _ => None,
                })?;
            let fixed = Fixed {
                channel: o,
                sum: affine.bias[o].wrapping_add(sum),
            };
            value(step, fixed)
        }
        Operation::Lookup { .. } => alone(step.operation.clone(), vec![1], known?),
        // A window that lies in the padding gives the lowest value.
        Operation::Plain(Operator::MaxPool(_)) => known.filter(|&x| !padded || x == i8::MIN),
        Operation::Plain(Operator::AveragePool(p)) if !padded => {
            let shape = vec![1, p.kernel_h as usize, p.kernel_w as usize, 1];
            alone(step.operation.clone(), shape, known?)
        }
        Operation::Plain(Operator::ReduceMean(p)) => {
            let one = sanderling_plan::step::ReduceMean {
                outer: 1,
                inner: 1,
                ..*p
            };
            let operation = Operation::Plain(Operator::ReduceMean(one));
            alone(operation, vec![p.reduce as usize], known?)
        }
        _ => None,
    }
}

fn point(p: sanderling_plan::step::Conv) -> sanderling_plan::step::Conv {
    sanderling_plan::step::Conv {
        kernel_h: 1,
        kernel_w: 1,
        stride_h: 1,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: 0,
        pad_left: 0,
        groups: 1,
        ..p
    }
}

/// The one output of `operation` on an input of `shape` that holds `x` everywhere.
fn alone(operation: Operation, shape: Vec<usize>, x: i8) -> Option<i8> {
    let mut program = Program::default();
    let ones = vec![1; shape.len()];
    let input = program.add_tensor("x", Dtype::I8, shape, 0.0, 0);
    let output = program.add_tensor("y", Dtype::I8, ones, 0.0, 0);
    program.inputs.push(input);
    program.outputs.push(output);
    program.steps.push(Step {
        name: String::new(),
        operation,
        inputs: vec![input],
        output,
        scratch_bytes: 0,
        macs: 0,
    });
    let bytes = vec![x as u8; program.tensor(input).elements()];
    let outputs = reference::run(&program, &[bytes]);
    outputs.first()?.first().map(|&y| y as i8)
}
