//! The bytes that one step reads and writes, cut out of arena and constants.

use bytemuck::AnyBitPattern;
use sanderling_plan::step::MAX_INPUTS;
use sanderling_plan::{ALIGNMENT, Place, Plan, Shape, Step, Tensor};

/// The memory of one step.
pub(crate) struct Operands<'a> {
    pub(crate) inputs: [Input<'a>; MAX_INPUTS],
    pub(crate) output: &'a mut [u8],
    pub(crate) output_shape: Shape,
    pub(crate) scratch: &'a mut [u8],
    /// Scratch for the parts of a step that is spread over threads.
    pub(crate) spread: &'a mut [u8],
    pub(crate) constants: Constants<'a>,
}

/// One operand that a step reads.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) shape: Shape,
    /// Bytes per element.
    pub(crate) width: usize,
    pub(crate) source: Source<'a>,
}

/// Where an operand is read from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// Bytes of its own.
    Bytes(&'a [u8]),
    /// The bytes of the output from this one on, which hold the operand until they are
    /// overwritten. The output then reaches as far as both of them together.
    Output(usize),
}

impl<'a> Input<'a> {
    /// The bytes of an operand that is not the output.
    pub(crate) fn bytes(&self) -> Option<&'a [u8]> {
        match self.source {
            Source::Bytes(bytes) => Some(bytes),
            Source::Output(_) => None,
        }
    }

    /// The same as signed bytes.
    pub(crate) fn i8(&self) -> Option<&'a [i8]> {
        self.bytes().map(signed)
    }
}

impl<'a> Operands<'a> {
    /// Cuts the operands of `step` out of `arena` and the plan's constants; `None` when
    /// they are not there or not apart.
    pub(crate) fn of<B: AsRef<[u8]>>(
        plan: &'a Plan<B>,
        step: &Step,
        arena: &'a mut [u8],
        spread: &'a mut [u8],
    ) -> Option<Self> {
        let constants = plan.constants();
        let output = plan.tensor(step.output);
        let output = output.as_ref()?;
        let mut tensors = [*output; MAX_INPUTS];
        for (tensor, &id) in tensors.iter_mut().zip(step.inputs()) {
            *tensor = plan.tensor(id)?;
        }
        // Operands that the output overwrites are cut out together with it.
        let overwritten = |tensor: &Tensor| {
            let (range, output) = (tensor.range(), output.range());
            let apart = range.end <= output.start || output.end <= range.start;
            tensor.place == Place::Arena && !apart
        };
        let mut joint = output.range();
        // An operand that is the output, one that was cut out already, and a constant
        // leave an empty range at 0, which overlaps nothing.
        let mut cuts = [const { 0..0 }; MAX_INPUTS];
        for i in 0..MAX_INPUTS {
            let tensor = tensors.get(i)?;
            let range = tensor.range();
            if overwritten(tensor) {
                joint.end = joint.end.max(range.end);
            } else if tensor.place == Place::Arena && !cuts.contains(&range) {
                *cuts.get_mut(i)? = range;
            }
        }
        let scratch = Some(step.scratch())
            .filter(|range| !range.is_empty())
            .unwrap_or(0..0);
        let [a, b, c] = cuts.clone();
        let [output_bytes, scratch, a, b, c] =
            arena.get_disjoint_mut([joint, scratch, a, b, c]).ok()?;
        let cut_bytes: [&'a [u8]; MAX_INPUTS] = [a, b, c];

        let mut inputs = tensors.map(|tensor| Input {
            shape: tensor.shape,
            width: tensor.dtype.bytes(),
            source: Source::Output(0),
        });
        for (input, tensor) in inputs.iter_mut().zip(&tensors) {
            let range = tensor.range();
            if tensor.place == Place::Constants {
                input.source = Source::Bytes(constants.get(range)?);
            } else if overwritten(tensor) {
                input.source = Source::Output(range.start.checked_sub(output.range().start)?);
            } else {
                let (_, bytes) = cuts.iter().zip(cut_bytes).find(|(cut, _)| **cut == range)?;
                input.source = Source::Bytes(bytes);
            }
        }
        Some(Operands {
            inputs,
            output: output_bytes,
            output_shape: output.shape,
            scratch,
            spread,
            constants: Constants(constants),
        })
    }
}

/// The constants that steps name by offset.
#[derive(Clone, Copy)]
pub(crate) struct Constants<'a>(&'a [u8]);

impl<'a> Constants<'a> {
    /// Those of `plan`.
    pub(crate) fn of<B: AsRef<[u8]>>(plan: &'a Plan<B>) -> Self {
        Constants(plan.constants())
    }

    /// `count` values at `offset`.
    pub(crate) fn slice<T: AnyBitPattern>(&self, offset: u32, count: usize) -> Option<&'a [T]> {
        let start = offset as usize;
        let bytes = count.checked_mul(size_of::<T>())?;
        bytemuck::try_cast_slice(self.0.get(start..start.checked_add(bytes)?)?).ok()
    }

    /// An array at `offset`.
    pub(crate) fn array<T: AnyBitPattern, const N: usize>(
        &self,
        offset: u32,
    ) -> Option<&'a [T; N]> {
        self.slice(offset, N)?.try_into().ok()
    }
}

/// Bytes as signed bytes.
pub(crate) fn signed(bytes: &[u8]) -> &[i8] {
    bytemuck::cast_slice(bytes)
}

/// Bytes as signed bytes.
pub(crate) fn signed_mut(bytes: &mut [u8]) -> &mut [i8] {
    bytemuck::cast_slice_mut(bytes)
}

/// Copies as many elements as both have.
pub(crate) fn copy<T: Copy>(to: &mut [T], from: &[T]) {
    let len = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..len), from.get(..len)) {
        to.copy_from_slice(from);
    }
}

// Tensors, constants, and scratch start at multiples of 16, so that a cast to any
// element type succeeds.
const _: () = assert!(ALIGNMENT.is_multiple_of(align_of::<f32>()));
