//! Which outputs may be written over an input that is still being read.
//!
//! A convolution reads its input a few rows ahead of what it has written. Where the input
//! dies under it, the output may therefore take the input's bytes as it goes, if the input
//! starts far enough behind it; the rows that a window still reads are put aside in scratch.
//!
//! ```text
//! offset  0 ┌──────────────────────────────┐ output
//!  distance └──────┬───────────────────────┤
//!                  └───────────────────────┘ input
//! ```

use super::lifetime::{Block, Blocks};
use crate::program::{Operation, Program};
use crate::winograd;
use sanderling_plan::{Target, align_up};

/// An output that may be written over an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overlap {
    /// The step that writes it.
    pub(super) step: usize,
    /// Block of the input.
    pub(super) input: usize,
    /// Block of the output.
    pub(super) output: usize,
    /// Bytes that the input must start behind the output at least, a multiple of 16.
    pub(super) distance: usize,
}

impl Overlap {
    /// Bytes that both need together.
    pub(super) fn bytes(&self, all: &[Block]) -> usize {
        let (input, output) = (all[self.input].bytes, all[self.output].bytes);
        output
            .max(self.distance.saturating_add(input))
            .min(input.saturating_add(output))
    }

    /// Bytes that it saves.
    pub(super) fn saves(&self, all: &[Block]) -> usize {
        (all[self.input].bytes + all[self.output].bytes).saturating_sub(self.bytes(all))
    }
}

/// Every overlap that saves more than the scratch it costs.
pub(super) fn candidates(program: &Program, target: Target, blocks: &Blocks) -> Vec<Overlap> {
    (0..program.steps.len())
        .filter_map(|step| {
            let overlap = candidate(program, target, blocks, step)?;
            let scratch = |overlaps| program.scratch_bytes(&program.steps[step], target, overlaps);
            let cost = scratch(true).saturating_sub(scratch(false));
            (overlap.saves(&blocks.all) > cost).then_some(overlap)
        })
        .collect()
}

fn candidate(program: &Program, target: Target, blocks: &Blocks, index: usize) -> Option<Overlap> {
    let step = &program.steps[index];
    if program.stream_of(index).is_some() {
        return None;
    }
    let from = program.tensor(*step.inputs.first()?);
    let to = program.tensor(step.output);
    let input = blocks.of_buffer[from.buffer.0]?;
    let output = blocks.of_buffer[to.buffer.0]?;
    let dies = blocks.all[input].lifetime.last == index + 1;
    let begins = blocks.all[output].lifetime.first == index + 1;
    if input == output || !dies || !begins {
        return None;
    }
    let nhwc = |shape: &[usize]| -> Option<[u32; 4]> {
        let shape: [usize; 4] = shape.try_into().ok()?;
        Some(shape.map(|extent| extent as u32))
    };
    let shapes = || Some((nhwc(&from.shape)?, nhwc(&to.shape)?));
    let distance = match &step.operation {
        Operation::Conv {
            parameters,
            depthwise,
            ..
        } => {
            let (from, to) = shapes()?;
            parameters.overlap(target, from, to, *depthwise)?
        }
        Operation::Winograd { parameters, .. } => {
            let (from, to) = shapes()?;
            winograd::parameters(parameters).overlap(from, to)?
        }
        _ => return None,
    };
    Some(Overlap {
        step: index,
        input,
        output,
        distance: align_up(distance)?,
    })
}
