//! What every board's firmware does: prove the plan, run frames, print the outputs.
//!
//! A board crate brings the plan in flash, an arena of the size that the plan asks
//! for, and its name; everything else is here, so that no two boards differ by
//! accident. There is no allocator in the image.
//!
//! Under QEMU the program talks through semihosting: two file names on its command
//! line name the frames and the outputs (see [`frames`] for the format); without
//! them it proves the plan and stops. What it does is printed over defmt, and it
//! ends with an exit status that says how it went.
#![no_std]
#![deny(unsafe_code)]

mod fault;
pub mod frames;
mod print;
mod stack;

use cortex_m as _;
use defmt_semihosting as _;
// Copying and filling in little code.
use sanderling_engine::{Engine, EngineError, RunError, SelfTestError};
use sanderling_memory as _;
use sanderling_plan::{Plan, PlanError};
use semihosting::experimental::env;
use semihosting::process;

use frames::{Frames, FramesError, Outputs};
use print::{Output, Signature};

/// Room for the command line, in bytes.
const COMMAND_LINE: usize = 192;
/// Outputs that are printed; all of them go to the file.
const PRINTED: usize = 16;
/// The deepest stack that a run is allowed: whoever puts the engine into an application
/// reckons with it.
const STACK_LIMIT: usize = 4096;

/// Why a session ended early.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Plan(PlanError),
    Engine(EngineError),
    SelfTest(SelfTestError),
    Run(RunError),
    Frames(FramesError),
    /// The plan has other than one input, or no output.
    Arity,
    /// The command line is too long or not text.
    CommandLine,
    /// The stack went deeper than [`STACK_LIMIT`].
    Stack(usize),
}

/// Runs `plan` in `arena` and ends the program with an exit status: 0 when every
/// frame ran, 1 when something named in the log did not work.
pub fn run(board: &str, plan: &'static [u8], arena: &'static mut [u8]) -> ! {
    let Err(failure) = session(board, plan, arena) else {
        process::exit(0)
    };
    match failure {
        Failure::Plan(e) => defmt::error!("the plan is not usable: {}", defmt::Display2Format(&e)),
        Failure::Engine(e) => {
            defmt::error!("the plan does not run here: {}", defmt::Display2Format(&e))
        }
        Failure::SelfTest(e) => defmt::error!("self-test: {}", defmt::Display2Format(&e)),
        Failure::Run(e) => defmt::error!("run: {}", defmt::Display2Format(&e)),
        Failure::Frames(FramesError::Dtype) => {
            defmt::error!(
                "the frames have another element type than the plan's input; convert them"
            );
        }
        Failure::Frames(FramesError::Shape) => {
            defmt::error!(
                "the frames have another shape than the plan's input; give what the model takes"
            );
        }
        Failure::Frames(FramesError::NotFinite) => {
            defmt::error!("a frame holds NaN or an infinity; the frames before it ran");
        }
        Failure::Frames(e) => defmt::error!("frames or outputs: {}", e),
        Failure::Arity => {
            defmt::error!("frames feed one input and one output; this plan has others")
        }
        Failure::CommandLine => defmt::error!(
            "the command line is longer than {=usize} bytes or not text",
            COMMAND_LINE
        ),
        Failure::Stack(n) => defmt::error!(
            "the stack went {=usize} bytes deep, {=usize} are allowed",
            n,
            STACK_LIMIT
        ),
    }
    process::exit(1)
}

fn session(board: &str, plan: &'static [u8], arena: &'static mut [u8]) -> Result<(), Failure> {
    let plan = Plan::new(plan).map_err(Failure::Plan)?;
    let (_, input) = plan.inputs().next().ok_or(Failure::Arity)?;
    let (_, output) = plan.outputs().next().ok_or(Failure::Arity)?;
    defmt::info!(
        "{=str}: {} to {}",
        board,
        Signature(&input),
        Signature(&output)
    );
    defmt::info!(
        "{=u64} MACs in {=usize} steps, plan {=usize} bytes, arena {=usize} bytes",
        plan.macs(),
        plan.step_count(),
        plan.bytes().len(),
        plan.arena_bytes()
    );

    let golden = plan.golden_count();
    let single_input = plan.input_count() == 1;
    let mut engine = Engine::new(plan, arena).map_err(Failure::Engine)?;
    engine.self_test().map_err(Failure::SelfTest)?;
    defmt::info!(
        "golden vectors: {=usize} of {=usize} bit for bit",
        golden,
        golden
    );

    let arguments = env::args::<COMMAND_LINE>().map_err(|_| Failure::CommandLine)?;
    let mut names = (&arguments).skip(1);
    if let (Some(from), Some(to)) = (names.next(), names.next()) {
        let (from, to) = (
            from.map_err(|_| Failure::CommandLine)?,
            to.map_err(|_| Failure::CommandLine)?,
        );
        if !single_input {
            return Err(Failure::Arity);
        }
        let mut frames = Frames::open(from, &input).map_err(Failure::Frames)?;
        let mut outputs = Outputs::create(to, &output, frames.count).map_err(Failure::Frames)?;
        for index in 0..frames.count {
            frames
                .next(engine.input_mut(0).ok_or(Failure::Arity)?)
                .map_err(Failure::Frames)?;
            engine.run().map_err(Failure::Run)?;
            let bytes = engine.output(0).ok_or(Failure::Arity)?;
            outputs.push(bytes).map_err(Failure::Frames)?;
            if index < PRINTED {
                defmt::info!(
                    "frame {=usize}: {}",
                    index,
                    Output {
                        dtype: output.dtype,
                        bytes
                    }
                );
            }
        }
        defmt::info!("{=usize} frames", frames.count);
    }

    match stack::deepest() {
        deep if deep > STACK_LIMIT => Err(Failure::Stack(deep)),
        _ => {
            defmt::info!("stack stays within {=usize} bytes", STACK_LIMIT);
            Ok(())
        }
    }
}
