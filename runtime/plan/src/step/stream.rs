//! Streams: convolutions in a row that run row by row, so that of the images between them
//! only the rows that a window reads are kept.
//!
//! ```text
//! input ──▶ step 0 ──▶ rows ──▶ step 1 ──▶ rows ──▶ step 2 ──▶ output
//! whole                kept                kept                whole
//! ```
//!
//! A step computes its next row as soon as the rows that its window reads are there, the
//! last step first; so no row is computed twice, and none is overwritten that is still read.

use super::Operator;
use super::check::{nhwc, require};
use super::conv::Conv;
use crate::{Place, Plan, Step, StepFault};
use core::ops::Range;

/// Whether this build runs streams: they stand behind the feature `stream`.
pub const BUILT_IN: bool = cfg!(feature = "stream");

/// Most steps of a stream.
pub const MAX_STEPS: usize = 8;

impl Step {
    /// The convolution that it computes.
    pub fn convolution(&self) -> Option<&Conv> {
        match &self.operator {
            Operator::Conv(p) | Operator::DepthwiseConv(p) => Some(p),
            _ => None,
        }
    }
}

/// What holds of step number `index` as part of a stream, or as a step alone.
pub(crate) fn check<B: AsRef<[u8]>>(plan: &Plan<B>, index: usize) -> Result<(), StepFault> {
    let step = plan.step(index).ok_or(StepFault::Operand)?;
    let input = step.inputs().first();
    let rows = |id| plan.tensor(id).map(|tensor| tensor.rows);
    if step.stream == 0 {
        require(step.position == 0, StepFault::Stream)?;
        let mut operands = step.inputs().iter().chain([&step.output]);
        return require(operands.all(|&id| rows(id) == Some(0)), StepFault::Stream);
    }
    require(BUILT_IN, StepFault::StreamNotBuiltIn)?;
    if !BUILT_IN {
        return Ok(());
    }
    let (count, position) = (usize::from(step.stream), usize::from(step.position));
    require((2..=MAX_STEPS).contains(&count), StepFault::Stream)?;
    require(position < count, StepFault::Stream)?;
    let first = index.checked_sub(position).ok_or(StepFault::Stream)?;
    let convolution = step.convolution().ok_or(StepFault::Stream)?;
    let &input = input.ok_or(StepFault::Operand)?;
    let from = plan.tensor(input).ok_or(StepFault::Operand)?;
    let [batch, h, ..] = nhwc(&from.shape)?;
    require(batch == 1, StepFault::Stream)?;
    if position == 0 {
        require(from.rows == 0, StepFault::Stream)?;
    } else {
        let before = plan.step(index - 1).ok_or(StepFault::Stream)?;
        let follows = before.output == input
            && before.stream == step.stream
            && usize::from(before.position) + 1 == position;
        let kept = convolution.window_rows().min(h as usize);
        require(follows && usize::from(from.rows) >= kept, StepFault::Stream)?;
    }
    let last = position + 1 == count;
    let kept = rows(step.output).ok_or(StepFault::Operand)?;
    require((kept == 0) == last, StepFault::Stream)?;
    // The record of the step after this one says that it goes on.
    let goes_on = plan
        .step(index + 1)
        .is_some_and(|next| usize::from(next.position) == position + 1);
    require(last || goes_on, StepFault::Stream)?;
    apart(plan, first..first + count, index)
}

/// What step `index` writes is apart from everything that the steps of its stream use.
fn apart<B: AsRef<[u8]>>(
    plan: &Plan<B>,
    stream: Range<usize>,
    index: usize,
) -> Result<(), StepFault> {
    let own = plan.step(index).ok_or(StepFault::Operand)?;
    let output = plan.tensor(own.output).ok_or(StepFault::Operand)?;
    let overlap = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
    for other in stream {
        let step = plan.step(other).ok_or(StepFault::Stream)?;
        let input = step.inputs().first().and_then(|&id| plan.tensor(id));
        let input = input.ok_or(StepFault::Operand)?;
        let written = plan.tensor(step.output).ok_or(StepFault::Operand)?;
        let reads = input.place == Place::Arena;
        let meets = reads
            && step.inputs().first() != Some(&own.output)
            && (overlap(&input.range(), &output.range())
                || overlap(&input.range(), &own.scratch()));
        let writes = other != index
            && (overlap(&written.range(), &output.range())
                || overlap(&written.range(), &own.scratch())
                || overlap(&step.scratch(), &own.scratch()));
        let scratch = overlap(&step.scratch(), &output.range());
        require(!meets && !writes && !scratch, StepFault::Overlap)?;
    }
    Ok(())
}
