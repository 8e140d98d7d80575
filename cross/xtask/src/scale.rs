//! `cargo xtask scale`: many robots on this machine, all updated while coordinator and broker are killed on the way;
//! with the embedded broker and with Mosquitto.

use crate::process::Job;
use crate::terminal::say;
use crate::workspace;

/// Seconds that building may take.
const BUILD_DEADLINE: u64 = 1800;
/// Seconds that one fleet may take.
const FLEET_DEADLINE: u64 = 1500;

/// How many robots.
#[derive(clap::Args)]
pub struct Options {
    /// Real agents, each a process
    #[arg(long, default_value_t = 50, value_name = "N")]
    agents: u32,
    /// Light robots, all in one process; each is a connection to the broker
    #[arg(long, default_value_t = 5000, value_name = "N")]
    lights: u32,
}

/// Runs both fleets, one after the other, and prints their figures.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let Options { agents, lights } = options;
    say(format!(
        "updating {agents} agents and {lights} light robots, twice; each needs two open files"
    ));
    Job::cargo("building", &workspace::root())
        .args(["build", "--workspace", "--bins"])
        .deadline(BUILD_DEADLINE)
        .run()?;
    Job::cargo("updating a fleet", &workspace::root())
        .args(["test", "--workspace", "--test", "system", "--"])
        .args(["scale::", "--nocapture", "--test-threads", "1"])
        .env("SANDERLING_SCALE", format!("{agents}x{lights}"))
        .deadline(BUILD_DEADLINE + 2 * FLEET_DEADLINE)
        .run()
}
