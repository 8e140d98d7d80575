//! ONNX to plan: import, match, plan memory, pack, emit.
//!
//! ```text
//! ONNX file ─ import ─▶ Graph ─ matching ─▶ Program ─ memory ─▶ MemoryPlan ─ emit ─▶ plan
//!             (tract)   ONNX's   Q and DQ    steps    lifetimes   offsets            bytes
//!                       words    vanish      over
//!                                            buffers ─ reference ─▶ golden vectors ──▲
//! ```
//!
//! Everything after import is functions over values. What the engine cannot run as
//! integers is refused with every such node named: nothing here falls back to float.
#![forbid(unsafe_code)]

pub mod cause;
pub mod dead_channels;
pub mod emit;
pub mod error;
pub mod graph;
pub mod guard;
pub mod import;
pub mod matching;
pub mod memory;
pub mod program;
mod random;
pub mod reference;
pub mod regions;
pub mod report;
mod simplify;
pub mod streaming;
pub mod tables;
pub mod winograd;

pub use cause::Cause;
pub use error::{CompileError, Refusal};
pub use report::Report;
pub use sanderling_plan::Target;

use sanderling_plan::Plan;
use sha2::{Digest, Sha256};

/// How to compile.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the constants are packed for.
    pub target: Target,
    /// Golden vectors to put into the plan, with which a robot proves it on its own silicon.
    pub golden: usize,
    /// Seed of the golden inputs.
    pub seed: u64,
    /// Bytes of arena that the board has for the model; convolutions run row by row where
    /// that makes it fit.
    pub max_arena: Option<usize>,
    /// Bytes of flash that 3×3 convolutions may take more to run by Winograd's algorithm, see
    /// [`winograd`]; `None` for all of them direct.
    pub winograd: Option<usize>,
}

impl Default for Options {
    /// For every engine, with two golden vectors.
    fn default() -> Self {
        Options {
            target: Target::Generic,
            golden: 2,
            seed: 1,
            max_arena: None,
            winograd: None,
        }
    }
}

/// A compiled model.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The plan's bytes. [`Plan::new`] wants them at a 16-byte boundary.
    pub plan: Vec<u8>,
    /// What it costs, step by step.
    pub report: Report,
}

/// Compiles an ONNX file.
///
/// The file may be in QDQ or in QOperator form. An open first dimension of an input
/// becomes 1.
///
/// # Errors
///
/// See [`CompileError`]; [`CompileError::Unplaced`] lists every node that the engine
/// cannot run as integers, with the reason.
pub fn compile(onnx: &[u8], options: &Options) -> Result<Compiled, CompileError> {
    let mut graph = import::import(onnx)?;
    simplify::simplify(&mut graph);
    let program = matching::match_graph(&graph)?;
    let mut compiled = compile_program(program, Sha256::digest(onnx).into(), options)?;
    compiled.report.unread_inputs = graph.unread;
    Ok(compiled)
}

/// Compiles a part of the ONNX file with the SHA-256 `source`.
fn compile_part(
    mut graph: graph::Graph,
    source: [u8; 32],
    options: &Options,
) -> Result<Compiled, CompileError> {
    simplify::simplify(&mut graph);
    compile_program(matching::match_part(&graph)?, source, options)
}

fn compile_program(
    program: program::Program,
    source: [u8; 32],
    options: &Options,
) -> Result<Compiled, CompileError> {
    program.check_limits()?;
    // What runs has fewer channels; the reference answers for the model as it came.
    let small = dead_channels::remove(&program, options.target);
    let (small, memory) = match options.max_arena {
        Some(limit) => {
            let (small, memory) = streaming::fit(&small, options.target, limit);
            if memory.arena_bytes > limit {
                return Err(CompileError::arena(&small, &memory, limit));
            }
            (small, memory)
        }
        None => {
            let memory = memory::plan_memory(&small, options.target);
            (small, memory)
        }
    };
    let (small, memory) = match options.winograd {
        Some(_) if !winograd::possible(options.target) => {
            return Err(CompileError::Winograd(options.target));
        }
        Some(flash) => {
            let small = winograd::choose(&small, options.target, flash, options.max_arena);
            let memory = memory::plan_memory(&small, options.target);
            (small, memory)
        }
        None => (small, memory),
    };
    // The reference may rely on what the plan's own reader has accepted.
    check(&emit::emit(&small, &memory, options.target, source, &[]))?;
    let golden: Vec<_> = reference::golden_inputs(&program, options.golden, options.seed)
        .into_iter()
        .map(|inputs| {
            let outputs = reference::run(&program, &inputs);
            (inputs, outputs)
        })
        .collect();
    let plan = emit::emit(&small, &memory, options.target, source, &golden);
    check(&plan)?;
    let report = report::report(&small, &memory, plan.len(), options.target, source);
    Ok(Compiled { plan, report })
}

/// Reads the plan as every robot will, from a 16-byte boundary.
fn check(plan: &[u8]) -> Result<(), CompileError> {
    let mut aligned = vec![0u128; plan.len().div_ceil(size_of::<u128>())];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut aligned);
    bytes[..plan.len()].copy_from_slice(plan);
    Plan::new(&*bytes)
        .map(|_| ())
        .map_err(CompileError::Invalid)
}
