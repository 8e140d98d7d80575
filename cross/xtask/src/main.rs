//! The project's own tasks: set up, build, test, demo, fuzz.
//!
//! `cargo xtask COMMAND`; each command is one module. Tasks drive processes and
//! files; they use no crate of the runtime, so that they compile in seconds and
//! judge the programs from outside.
#![forbid(unsafe_code)]

mod aarch64;
mod agent_build;
mod bench;
mod board;
mod compare;
mod count;
mod demo;
mod firmware;
mod frames;
mod fresh;
mod fuzz;
mod lint;
mod miri;
mod npz;
mod oracle;
mod outcome;
mod process;
mod python;
mod scale;
mod setup;
mod sim;
mod snapshots;
mod terminal;
mod test;
mod updates;
mod workspace;

use clap::{Parser, Subcommand};

/// Sanderling's own tasks. Each one sets up what it needs, says what it does, and
/// gives every process it starts a deadline.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the other tasks need: Rust targets, Debian packages, Python environment
    Setup(setup::Options),
    /// Run every test: workspace, firmware under QEMU, 64-bit Arm under QEMU, Python
    Test(test::Options),
    /// Build the agent for a Linux board: stripped, plans only, held to its size budget
    Build(agent_build::Options),
    /// Run a model's frames on a microcontroller under QEMU
    Board(board::Options),
    /// Set the engine beside others: instructions on the boards, time on this machine
    Bench(bench::Options),
    /// Count the instructions of an inference on a board under QEMU, and the bytes it takes
    Count(count::Options),
    /// Show the main job: two robots and a microcontroller, a model replaced over MQTT
    Demo(demo::Options),
    /// Update a microcontroller under QEMU over its UART, and cut its power on the way
    Updates(updates::Options),
    /// Take a new version through a fleet in simulated time
    Sim(sim::Options),
    /// Run clippy over the firmware, each board for its own target
    LintFirmware,
    /// Update a fleet of many robots on this machine while coordinator and broker are killed
    Scale(scale::Options),
    /// Run the fuzz targets for a while, or cut a robot's power at every file call of an update
    Fuzz(fuzz::Options),
    /// Run the README's commands and .ci/run with a clone and an empty home, as on a new machine
    Fresh(fresh::Options),
    /// Run the engine's tests under Miri (needs the nightly toolchain with its component miri)
    Miri(miri::Options),
}

fn main() {
    process::end_children_on_interrupt();
    let result = match Arguments::parse().task {
        Task::Setup(options) => setup::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Build(options) => agent_build::run(&options),
        Task::Board(options) => board::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Count(options) => count::run(&options),
        Task::Demo(options) => demo::run(&options),
        Task::Updates(options) => updates::run(&options),
        Task::Sim(options) => sim::run(&options),
        Task::LintFirmware => lint::run(),
        Task::Scale(options) => scale::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Fresh(options) => fresh::run(&options),
        Task::Miri(options) => miri::run(&options),
    };
    if let Err(error) = result {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}
