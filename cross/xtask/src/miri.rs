//! `cargo xtask miri`: the engine's tests under Miri, which finds undefined behaviour that runs by luck.

use crate::process::Job;
use crate::terminal::say;
use crate::workspace;

/// Seconds that all of it may take.
const DEADLINE: u64 = 5400;

/// What to run under Miri.
#[derive(clap::Args)]
pub struct Options {
    /// Only the tests whose name contains this
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
}

/// Runs them; an error when Miri finds something, or is not there.
///
/// The portable loops and the Cortex-M4's twins run here, and what of x86-64's loops Miri knows. Instructions of Arm's
/// processors are tried under QEMU instead.
pub fn run(options: &Options) -> anyhow::Result<()> {
    say("engine tests under Miri (they take a hundred times their usual time)");
    Job::new("the engine under Miri", "cargo")
        .args(["+nightly", "miri", "test", "-p", "sanderling-engine"])
        .args(["--features", "cortex-m4,std", "--lib", "--tests"])
        .args(["--no-fail-fast", "--"])
        // Those start an emulator.
        .args(["--skip", "cortex_m4_agrees", "--skip", "cortex_m55_agrees"])
        .args(options.only.as_deref())
        .folder(&workspace::root())
        .env("CARGO_TARGET_DIR", workspace::target()?.join("miri"))
        // Property tests ask for a directory to remember failures in.
        .env("MIRIFLAGS", "-Zmiri-disable-isolation")
        .without("RUSTFLAGS")
        .deadline(DEADLINE)
        .run()
}
