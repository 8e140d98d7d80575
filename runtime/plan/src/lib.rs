//! What a compiled model is, byte by byte: layout, checked view, writer.
//!
//! A *plan* is one little-endian file that the engine executes in place, from
//! flash or from memory, without copying or relocating anything:
//!
//! ```text
//!          ┌──────────────────────────────┐ 0
//!          │ header            128 bytes  │  magic, version, target, arena bytes,
//!          │                              │  section table, SHA-256 of the ONNX source
//!          ├──────────────────────────────┤ 16-byte aligned, like every section
//! tensors  │ 64 bytes each                │  dtype, shape, scale, zero point, place
//!          ├──────────────────────────────┤
//! steps    │ 128 bytes each               │  operator, operands, 24 parameter words
//!          ├──────────────────────────────┤
//! io       │ u16 counts, u16 tensor ids   │  which tensors are inputs and outputs
//!          ├──────────────────────────────┤
//! constants│ weights, biases, multipliers,│  each block 16-byte aligned, packed for
//!          │ tables, constant tensors     │  the header's target
//!          ├──────────────────────────────┤
//! golden   │ inputs and exact outputs     │  what the compiler's reference answered
//!          ├──────────────────────────────┤
//! names    │ UTF-8                        │  of tensors and steps, for people
//!          └──────────────────────────────┘ total bytes
//! ```
//!
//! Every offset is a named constant in [`header::field`], [`tensor::field`] and
//! [`step::field`]; the 24 parameter words of an operator are the fields of its
//! struct in [`step`], in order.
//!
//! # Contract
//!
//! [`Plan::new`] checks everything once. After it succeeds no accessor panics and
//! no range it hands out lies outside the plan or the arena: a bad plan is a
//! [`PlanError`], never a fault.
//!
//! # Conventions
//!
//! - Activations are dense and row-major in the stored dimension order. Images are
//!   NHWC inside a plan; inputs and outputs keep the order of the ONNX file.
//! - Inside a plan, 8-bit activations are signed. A `u8` tensor with zero point `z`
//!   appears as the `i8` tensor with zero point `z - 128`, which differs from it by
//!   the top bit only; inputs and outputs keep the dtype of the ONNX file.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "writer")]
extern crate alloc;

mod bytes;
pub mod error;
pub mod golden;
pub mod header;
pub mod packing;
pub mod step;
pub mod tensor;
mod view;
#[cfg(feature = "writer")]
pub mod writer;

pub use error::{PlanError, StepFault};
pub use golden::Golden;
pub use header::Target;
pub use step::{Operator, Step};
pub use tensor::{Dtype, Place, Shape, Tensor, TensorId};
pub use view::Plan;

/// Alignment in bytes of sections, of constant blocks, of tensors in the arena, and
/// of the plan and the arena themselves.
pub const ALIGNMENT: usize = 16;

/// Rounds `bytes` up to the next multiple of [`ALIGNMENT`]; `None` past `usize::MAX`.
pub const fn align_up(bytes: usize) -> Option<usize> {
    match bytes.checked_add(ALIGNMENT - 1) {
        Some(n) => Some(n & !(ALIGNMENT - 1)),
        None => None,
    }
}
