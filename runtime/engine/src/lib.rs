//! Runs a plan: one file per operator, one per instruction set, no heap.
//!
//! An [`Engine`] joins a checked [`Plan`](sanderling_plan::Plan) with an arena that the
//! caller owns. It copies nothing out of the plan, allocates nothing, and does not
//! recurse.
//!
//! ```text
//!   Engine::new(plan, arena)      once: does the arena fit, is the target one of ours
//!   input_mut(i)                  write the raw little-endian bytes of every input
//!   run()                         all steps, in order
//!   output(i)                     read the raw little-endian bytes of an output
//! ```
//!
//! Inputs share the arena with everything else: write all of them before every run, and
//! read the outputs before the next inputs are written.
//!
//! # Numerics
//!
//! Each operator computes exactly the formula that stands in its file of
//! [`sanderling_plan::step`], so that every board gives the same bits: `i32`
//! accumulators that wrap, one rounding of each `f32` operation, half to even at the end.
//! Where a hostile plan makes a formula 0/0, the result counts as lower than every number.
//!
//! # Stack
//!
//! No recursion. The largest buffers on the stack are a block of 64 accumulators and 64
//! bytes. By the compiler's own figures for Cortex-M4, all frames of a self-test together
//! take 1.7 KB at optimization level 3 and 3.2 KB at level `s`; `Plan::new` takes 1.2 KB.
//!
//! # Panics
//!
//! None: everything is checked by `Plan::new` and looked up again with `get`. Should the
//! bytes behind a plan or an arena change between two calls, a run ends with a
//! [`RunError`].
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

#[cfg(target_endian = "big")]
compile_error!("plans are little-endian and run in place: a big-endian build cannot run them");

mod engine;
mod error;
mod kernels;
mod memory;
mod numerics;
mod operators;
mod work;

pub use engine::{Engine, runs};
pub use error::{EngineError, RunError, SelfTestError};
pub use work::work_bound;
