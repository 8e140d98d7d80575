//! Runs a plan: one file per operator, one per instruction set, no heap.
//!
//! An [`Engine`] joins a checked [`Plan`](sanderling_plan::Plan) with an arena that the
//! caller owns. It copies nothing out of the plan, allocates nothing, and does not
//! recurse.
//!
//! ```
//! use sanderling_engine::Engine;
//! use sanderling_plan::Plan;
//!
//! /// Answers one frame; both `plan` and `arena` start at a multiple of 16 in memory.
//! fn answer(plan: &[u8], arena: &mut [u8], frame: &[u8]) -> Result<u8, &'static str> {
//!     // Once: is this a plan, is it for this processor, does its arena fit.
//!     let plan = Plan::new(plan).map_err(|_| "not a plan")?;
//!     let mut engine = Engine::new(plan, arena).map_err(|_| "does not fit")?;
//!     // For every frame: raw little-endian bytes in, all steps in order, bytes out.
//!     let input = engine.input_mut(0).ok_or("no input")?;
//!     input.get_mut(..frame.len()).ok_or("frame too long")?.copy_from_slice(frame);
//!     engine.run().map_err(|_| "plan or arena changed")?;
//!     engine.output(0).and_then(|bytes| bytes.first().copied()).ok_or("no output")
//! }
//!
//! assert_eq!(answer(b"an ONNX file", &mut [], &[]), Err("not a plan"));
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
//! No recursion. The largest buffers on the stack are a block of 64 accumulators and 256
//! bytes. By the compiler's own figures for Cortex-M4, all frames of a self-test together
//! take 1.7 KB at optimization level 3 and 3.2 KB at level `s`; `Plan::new` takes 1.2 KB.
//!
//! # Panics
//!
//! None: everything is checked by `Plan::new` and looked up again with `get`. Should the
//! bytes behind a plan or an arena change between two calls, a run ends with a
//! [`RunError`].
#![no_std]
#![deny(unsafe_code)]

#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(target_endian = "big")]
compile_error!("plans are little-endian and run in place: a big-endian build cannot run them");

mod engine;
mod error;
mod kernels;
mod memory;
mod numerics;
mod operators;
mod spread;
mod work;

pub use engine::{Engine, runs, targets};
pub use error::{EngineError, RunError, SelfTestError};
pub use spread::{Alone, Spread, spread_bytes};
pub use work::work_bound;
