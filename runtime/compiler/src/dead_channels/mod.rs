//! Takes out channels that nothing depends on: those that always hold one value, and those
//! that only zero weights read.
//!
//! Training leaves convolutions with channels whose weights are all zero, so that their
//! output is the same everywhere. Such a channel can go, with what it adds to the next
//! sums put into their bias; bits stay as they are. Three stages:
//!
//! 1. [`constants`], along the steps: which channels hold one value, and which.
//! 2. [`needed`], against them: which channels some step still has to read. A value that
//!    meets padding of another value stays, for what it adds differs at the border.
//! 3. [`shrink`]: the program without the others.

mod constants;
mod needed;
mod shrink;

use crate::program::{BufferId, Operation, Program, Step, Tensor};
use sanderling_plan::{Operator, Target};

/// `program` without the channels that nothing depends on. Every output keeps its bits.
///
/// Kernels compute channels in blocks: of a tensor's dead channels as many are kept as fill
/// the last block of `target`.
pub fn remove(program: &Program, target: Target) -> Program {
    let channels = Channels::of(program);
    let constants = constants::find(program, &channels);
    let needed = needed::find(program, &channels, &constants);
    let kept = needed::fill_blocks(program, &channels, needed, target);
    shrink::shrink(program, &channels, &constants, &kept)
}

/// By buffer: how many channels it has; `None` where its channels have to stay together.
struct Channels(Vec<Option<usize>>);

impl Channels {
    /// Buffers that one step writes and whose every view has the same last dimension; not
    /// inputs, outputs, and constants.
    fn of(program: &Program) -> Self {
        let mut channels: Vec<Option<usize>> = vec![None; program.buffers.len()];
        let mut together = vec![false; program.buffers.len()];
        let mut writers = vec![0; program.buffers.len()];
        for step in &program.steps {
            writers[program.tensor(step.output).buffer.0] += 1;
            for &id in step.inputs.iter().chain([&step.output]) {
                let tensor = program.tensor(id);
                let (buffer, last) = (tensor.buffer.0, last(tensor));
                together[buffer] |= *channels[buffer].get_or_insert(last) != last;
            }
        }
        for &id in program.inputs.iter().chain(&program.outputs) {
            together[program.tensor(id).buffer.0] = true;
        }
        for (buffer, channels) in channels.iter_mut().enumerate() {
            let constant = program.buffers[buffer].constant.is_some();
            if together[buffer] || constant || writers[buffer] != 1 {
                *channels = None;
            }
        }
        Channels(channels)
    }

    fn get(&self, buffer: BufferId) -> Option<usize> {
        self.0[buffer.0]
    }
}

/// How a step treats the channels of its first input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Sums over all of them; `taps` weights for each pair of input and output channel.
    Mixes { taps: usize },
    /// Each output channel comes from the input channel of the same number.
    Keeps,
    /// Neither: all have to stay.
    Binds,
}

fn kind(program: &Program, step: &Step) -> Kind {
    let (Some(input), output) = (
        step.inputs.first().map(|&id| program.tensor(id)),
        program.tensor(step.output),
    ) else {
        return Kind::Binds;
    };
    let same = last(input) == last(output);
    match &step.operation {
        Operation::Conv {
            parameters: p,
            depthwise: false,
            ..
        } if p.groups == 1 => Kind::Mixes {
            taps: (p.kernel_h * p.kernel_w) as usize,
        },
        Operation::FullyConnected { .. } => Kind::Mixes { taps: 1 },
        Operation::Conv {
            depthwise: true, ..
        } if same => Kind::Keeps,
        Operation::Lookup { .. } if same => Kind::Keeps,
        Operation::Plain(Operator::ReduceMean(p)) if same && p.inner as usize == last(input) => {
            Kind::Keeps
        }
        Operation::Plain(Operator::MaxPool(_) | Operator::AveragePool(_)) => Kind::Keeps,
        _ => Kind::Binds,
    }
}

fn last(tensor: &Tensor) -> usize {
    tensor.shape.last().copied().unwrap_or(1)
}

/// Whether some window of a step hangs over the border of its input.
fn is_padded(program: &Program, step: &Step) -> bool {
    let window = match &step.operation {
        Operation::Conv { parameters: p, .. } => [
            [p.kernel_h, p.stride_h, p.dilation_h, p.pad_top],
            [p.kernel_w, p.stride_w, p.dilation_w, p.pad_left],
        ],
        Operation::Plain(Operator::MaxPool(p)) => [
            [p.kernel_h, p.stride_h, p.dilation_h, p.pad_top],
            [p.kernel_w, p.stride_w, p.dilation_w, p.pad_left],
        ],
        Operation::Plain(Operator::AveragePool(p)) => [
            [p.kernel_h, p.stride_h, 1, p.pad_top],
            [p.kernel_w, p.stride_w, 1, p.pad_left],
        ],
        _ => return false,
    };
    let (input, output) = (
        &program.tensor(step.inputs[0]).shape,
        &program.tensor(step.output).shape,
    );
    (1..=2)
        .zip(window)
        .any(|(axis, [kernel, stride, dilation, pad])| {
            let end =
                (output[axis] - 1) * stride as usize + (kernel as usize - 1) * dilation as usize;
            pad > 0 || end >= input[axis]
        })
}
