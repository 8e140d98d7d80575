//! `cargo xtask sim`: a fleet in simulated time; builds the simulator and hands everything on to it.

use crate::process::Job;
use crate::workspace;

/// Seconds that building the simulator may take.
const BUILD_DEADLINE: u64 = 1200;
/// Seconds that a simulation may take.
const DEADLINE: u64 = 1200;

/// What is handed on.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Options {
    /// The simulator's options; `cargo xtask sim --help` shows them
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "OPTIONS"
    )]
    passed_on: Vec<String>,
}

/// Builds the simulator, and runs it with its output on the terminal.
pub fn run(options: &Options) -> anyhow::Result<()> {
    Job::cargo("building the simulator", &workspace::root())
        .args(["build", "-q", "-p", "sanderling-sim"])
        .deadline(BUILD_DEADLINE)
        .run()?;
    Job::new(
        "the simulation",
        workspace::target()?.join("debug/sanderling-sim"),
    )
    .args(&options.passed_on)
    .deadline(DEADLINE)
    .run()
}
