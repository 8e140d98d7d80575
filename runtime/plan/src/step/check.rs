//! What an operator's own check can ask about its step.

use super::{Operator, Step, built_in};
use crate::bytes::span;
use crate::{Dtype, Place, Shape, StepFault, Target, Tensor};
use core::ops::Range;

/// One step beside its operands and the plan's constants.
pub(crate) struct Check<'a> {
    pub(crate) step: &'a Step,
    pub(crate) inputs: &'a [Tensor],
    pub(crate) output: &'a Tensor,
    pub(crate) constants: &'a [u8],
    pub(crate) arena_bytes: u32,
    pub(crate) target: Target,
}

impl Check<'_> {
    /// The operands are exactly `N`, all of `dtype`, and so is the output.
    pub(crate) fn operands<const N: usize>(&self, dtype: Dtype) -> Result<[&Tensor; N], StepFault> {
        let inputs = self.inputs_of::<N>()?;
        require(inputs.iter().all(|t| t.dtype == dtype), StepFault::Dtype)?;
        require(self.output.dtype == dtype, StepFault::Dtype)?;
        Ok(inputs)
    }

    /// The operands are exactly `N`.
    pub(crate) fn inputs_of<const N: usize>(&self) -> Result<[&Tensor; N], StepFault> {
        let array: &[Tensor; N] = self.inputs.try_into().map_err(|_| StepFault::Operand)?;
        Ok(array.each_ref())
    }

    /// `len` aligned bytes of constants at `offset`.
    pub(crate) fn constant(&self, offset: u32, len: usize) -> Result<&[u8], StepFault> {
        require(
            (offset as usize).is_multiple_of(crate::ALIGNMENT),
            StepFault::Constant,
        )?;
        span(self.constants, offset, len).ok_or(StepFault::Constant)
    }

    /// `count` finite `f32` constants at `offset`.
    pub(crate) fn finite(&self, offset: u32, count: usize) -> Result<(), StepFault> {
        let bytes = count.checked_mul(4).ok_or(StepFault::Constant)?;
        let values = self.constant(offset, bytes)?;
        let finite = values.chunks_exact(4).all(|word| {
            word.try_into()
                .is_ok_and(|word| f32::from_le_bytes(word).is_finite())
        });
        require(finite, StepFault::Parameter)
    }

    /// The step has `bytes` of scratch at least.
    pub(crate) fn scratch(&self, bytes: usize) -> Result<(), StepFault> {
        require(
            self.step.scratch_bytes as usize >= bytes,
            StepFault::Scratch,
        )
    }

    /// What holds for every operator: the output is in the arena and is not an
    /// operand that is still read; scratch lies in the arena beside all of them.
    pub(crate) fn places(&self) -> Result<(), StepFault> {
        require(self.output.place == Place::Arena, StepFault::WritesConstant)?;
        let output = self.output.range();
        let scratch = self.step.scratch();
        if !scratch.is_empty() {
            require(
                scratch.start.is_multiple_of(crate::ALIGNMENT),
                StepFault::Scratch,
            )?;
            require(scratch.end <= self.arena_bytes as usize, StepFault::Scratch)?;
            require(!overlap(&scratch, &output), StepFault::Overlap)?;
        }
        for input in self.inputs.iter().filter(|t| t.place == Place::Arena) {
            let range = input.range();
            require(
                scratch.is_empty() || !overlap(&scratch, &range),
                StepFault::Overlap,
            )?;
            let allowed = !overlap(&range, &output) || self.may_overlap(&range, &output);
            require(allowed, StepFault::Overlap)?;
        }
        // Two inputs are the same bytes or have none in common.
        for (i, a) in self.inputs.iter().enumerate() {
            for b in self.inputs.iter().skip(i + 1) {
                let shared = a.place == b.place && overlap(&a.range(), &b.range());
                require(!shared || a.range() == b.range(), StepFault::Overlap)?;
            }
        }
        Ok(())
    }
}

impl Check<'_> {
    /// Whether the output takes bytes of an input.
    pub(crate) fn overlaps(&self) -> bool {
        let output = self.output.range();
        self.inputs
            .iter()
            .any(|t| t.place == Place::Arena && overlap(&t.range(), &output))
    }

    /// Whether `output` may take bytes of the `input` that it overlaps.
    fn may_overlap(&self, input: &Range<usize>, output: &Range<usize>) -> bool {
        let operator = &self.step.operator;
        let distance = || input.start.checked_sub(output.start);
        match operator {
            Operator::Conv(p) | Operator::DepthwiseConv(p)
                if built_in::Conv || built_in::DepthwiseConv =>
            {
                distance().is_some_and(|distance| p.may_overlap(self, distance))
            }
            Operator::WinogradConv(p) if built_in::WinogradConv => {
                distance().is_some_and(|distance| p.may_overlap(self, distance))
            }
            _ => operator.works_in_place() && input == output,
        }
    }
}

pub(crate) fn require(holds: bool, fault: StepFault) -> Result<(), StepFault> {
    if holds { Ok(()) } else { Err(fault) }
}

/// Batch, height, width, channels, or a fault.
pub(crate) fn nhwc(shape: &Shape) -> Result<[u32; 4], StepFault> {
    shape.nhwc().ok_or(StepFault::Shape)
}

/// The window `kernel` with `stride` and `dilation`, padded by `pad` before, reaches
/// every one of `output` positions without an index past `i32`, and has at least one
/// tap; windows may hang over either edge.
pub(crate) fn window(
    kernel: u32,
    stride: u32,
    dilation: u32,
    pad: u32,
    output: u32,
) -> Result<(), StepFault> {
    require(
        kernel > 0 && stride > 0 && dilation > 0,
        StepFault::Parameter,
    )?;
    let last = u64::from(output.saturating_sub(1)) * u64::from(stride)
        + u64::from(kernel - 1) * u64::from(dilation)
        + u64::from(pad);
    require(last < i32::MAX as u64 / 2, StepFault::Parameter)
}

/// `low..=high` is a range of `i8`.
pub(crate) fn clamp_i8(low: i32, high: i32) -> Result<(), StepFault> {
    let fits = (-128..=127).contains(&low) && (-128..=127).contains(&high) && low <= high;
    require(fits, StepFault::Parameter)
}

/// `zero_point` is an `i8`.
pub(crate) fn zero_point_i8(zero_point: i32) -> Result<(), StepFault> {
    require((-128..=127).contains(&zero_point), StepFault::Parameter)
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}
