//! The command line.

use crate::command;
use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
A model's way, from a file to the fleet:
  sanderling inspect terrain.onnx
  sanderling compile terrain.onnx --target cortex-m4 -o terrain.plan
  sanderling run terrain.onnx --input frames.npz --output answers.npz
  sanderling bench terrain.onnx
  sanderling compare terrain.onnx --input frames.npz
  sanderling register terrain.onnx --name terrain --version 1 --targets generic,cortex-m4
  sanderling push terrain --version 1 --group all --wait 60
  sanderling rollout start terrain --version 2 --strategy waves --waves 1%,10%,50%
  sanderling models promote terrain --version 2 --to production
  sanderling watch

`sanderling COMMAND --help` shows more of each. Every command takes --json and then prints
one JSON object on the last line of standard output; messages go to standard error.";

/// Runs quantized ONNX models with the same bits on every board, and brings them there.
#[derive(Debug, Parser)]
#[command(name = "sanderling", version, after_help = EXAMPLES)]
pub struct Args {
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands, one file each.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[cfg(feature = "tract")]
    #[allow(missing_docs)]
    Compile(command::compile::Compile),
    #[cfg(feature = "tract")]
    #[allow(missing_docs)]
    Compare(command::compare::Compare),
    #[allow(missing_docs)]
    Inspect(command::inspect::Inspect),
    #[allow(missing_docs)]
    Run(command::run::Run),
    #[allow(missing_docs)]
    Bench(command::bench::Bench),
    #[allow(missing_docs)]
    Keys(command::keys::Keys),
    #[allow(missing_docs)]
    Sign(command::sign::Sign),
    #[allow(missing_docs)]
    Enroll(command::enroll::Enroll),
    #[allow(missing_docs)]
    Register(command::register::Register),
    #[allow(missing_docs)]
    Push(command::push::Push),
    #[allow(missing_docs)]
    Rollout(command::rollout::Rollout),
    #[allow(missing_docs)]
    Devices(command::devices::Devices),
    #[allow(missing_docs)]
    Orders(command::orders::Orders),
    #[allow(missing_docs)]
    Models(command::models::Models),
    #[allow(missing_docs)]
    Holdouts(command::holdouts::Holdouts),
    #[allow(missing_docs)]
    Watch(command::watch::Watch),
    #[allow(missing_docs)]
    Completions(command::completions::Completions),
}
