//! Golden vectors: inputs and the exact outputs that the compiler's reference gave.
//!
//! ```text
//!  0     4          16
//!  ┌─────┬──────────┬─ per vector ───────────────────────────────────┬─ …
//!  │count│    0     │ input 0, pad │ … │ output 0, pad │ …           │
//!  │ u32 │          │ every tensor's bytes, padded with 0 to 16 bytes│
//!  └─────┴──────────┴────────────────────────────────────────────────┴─ …
//! ```

use crate::{Tensor, TensorId, align_up};

/// Bytes before the first vector.
pub const HEADER: usize = 16;

/// One golden vector.
#[derive(Clone, Copy, Debug)]
pub struct Golden<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) inputs: usize,
}

impl<'a> Golden<'a> {
    /// The bytes of the inputs, then of the outputs, each with the number that its
    /// tensor has among the inputs or the outputs. `tensors` is the plan's
    /// [`io_tensors`](crate::Plan::io_tensors).
    pub fn parts(
        &self,
        tensors: impl Iterator<Item = (TensorId, Tensor)>,
    ) -> impl Iterator<Item = Part<'a>> {
        let mut rest = self.bytes;
        let inputs = self.inputs;
        tensors.enumerate().map(move |(i, (_, tensor))| {
            let bytes = tensor.bytes as usize;
            let padded = align_up(bytes).unwrap_or(bytes).min(rest.len());
            let (part, tail) = rest.split_at(padded);
            rest = tail;
            let bytes = part.get(..bytes).unwrap_or(part);
            if i < inputs {
                Part::Input(i, bytes)
            } else {
                Part::Output(i - inputs, bytes)
            }
        })
    }
}

/// A tensor of a golden vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Bytes to write to the input of that number.
    Input(usize, &'a [u8]),
    /// Bytes that the output of that number must equal.
    Output(usize, &'a [u8]),
}
