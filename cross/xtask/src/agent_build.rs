//! `cargo xtask build`: the agent that is put on a Linux board. It runs plans only
//! (no tract), is stripped, and must fit the budget in `cross/budgets.toml`.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::process::Job;
use crate::terminal::{say, thousands};
use crate::{setup, workspace};

/// Seconds that the release build may take.
const BUILD_DEADLINE: u64 = 2400;

/// What to build.
#[derive(clap::Args)]
pub struct Options {
    /// aarch64-unknown-linux-musl, aarch64-unknown-linux-gnu or armv7-unknown-linux-gnueabihf
    #[arg(long, value_name = "TRIPLE")]
    target: String,
}

#[derive(Deserialize)]
struct Budgets {
    agent: BTreeMap<String, u64>,
}

/// Builds the agent and holds it to its budget.
pub fn run(options: &Options) -> anyhow::Result<()> {
    build(&options.target)
}

/// Builds the agent for `triple` and holds it to its budget.
pub fn build(triple: &str) -> anyhow::Result<()> {
    let budget = budget(triple)?;
    setup::for_target(triple)?;
    say(format!("building the agent for {triple}"));
    Job::cargo(
        format!("building the agent for {triple}"),
        &workspace::root(),
    )
    .args([
        "build",
        "-q",
        "--release",
        "-p",
        "sanderling-agent",
        "--no-default-features",
        "--target",
        triple,
    ])
    .deadline(BUILD_DEADLINE)
    .run()?;
    let program = workspace::target()?
        .join(triple)
        .join("release/sanderling-agent");
    let bytes = fs::metadata(&program)
        .with_context(|| format!("cannot read {}", program.display()))?
        .len();
    say(format!(
        "{}: {} bytes of {} allowed",
        program.display(),
        thousands(bytes),
        thousands(budget)
    ));
    if bytes > budget {
        bail!(
            "the agent for {triple} is {} bytes too large; make it smaller, or raise its line in cross/budgets.toml and say why",
            thousands(bytes - budget)
        );
    }
    Ok(())
}

fn budget(triple: &str) -> anyhow::Result<u64> {
    let path = workspace::root().join("cross/budgets.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let budgets: Budgets =
        toml::from_str(&text).with_context(|| format!("{} does not parse", path.display()))?;
    budgets.agent.get(triple).copied().with_context(|| {
        let known: Vec<&str> = budgets.agent.keys().map(String::as_str).collect();
        format!(
            "the agent is not built for {triple}; cross/budgets.toml lists {}",
            known.join(", ")
        )
    })
}
