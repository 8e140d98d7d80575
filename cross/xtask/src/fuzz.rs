//! `cargo xtask fuzz`: every fuzz target of `tests/fuzz`, each for some seconds; or, with
//! `--graphs`, random graphs against ONNX Runtime.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::process::Job;
use crate::terminal::say;
use crate::workspace;

/// Seconds that building cargo-fuzz, or the targets, may take.
const BUILD_DEADLINE: u64 = 1800;
/// Seconds past its time that a target may take to stop.
const GRACE: u64 = 120;

/// How long to fuzz.
#[derive(clap::Args)]
pub struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only the targets whose name contains this
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Compare so many random graphs with ONNX Runtime instead
    #[arg(long, value_name = "N", conflicts_with_all = ["seconds", "only"])]
    graphs: Option<u32>,
    /// Which random graphs, or how what a power cut leaves is torn
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,
    /// Kill a robot's process at every file call of an update instead, and tear what it had not synced
    #[arg(long, conflicts_with_all = ["seconds", "only", "graphs"])]
    cuts: bool,
}

/// Seconds that the sweep over all file calls may take.
const CUTS_DEADLINE: u64 = 3600;

/// Seconds that a batch of a hundred random graphs may take.
const GRAPHS_DEADLINE: u64 = 60;

/// Runs every target; an error when one finds something.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if let Some(count) = options.graphs {
        return graphs(count, options.seed);
    }
    if options.cuts {
        return cuts(options.seed);
    }
    let folder = workspace::root().join("tests/fuzz");
    let targets: Vec<String> = targets(&folder)?
        .into_iter()
        .filter(|t| options.only.as_deref().is_none_or(|w| t.contains(w)))
        .collect();
    if targets.is_empty() {
        bail!(
            "no fuzz target is called like that; they are listed in {}",
            workspace::short(&folder.join("Cargo.toml"))
        );
    }
    let (toolchain, sanitizer) = toolchain()?;
    let tool = installed()?;
    for target in &targets {
        say(format!("fuzzing {target} for {} s", options.seconds));
        let found = folder.join("artifacts").join(target);
        Job::new(format!("fuzzing {target}"), toolchain[0])
            .args(&toolchain[1..])
            .arg(&tool)
            .args(["run", "--sanitizer", sanitizer, "--fuzz-dir"])
            .arg(&folder)
            .arg(target)
            .args([
                "--",
                &format!("-max_total_time={}", options.seconds),
                "-rss_limit_mb=2048",
                "-timeout=10",
            ])
            .folder(&workspace::root())
            .env("CARGO_TARGET_DIR", workspace::target()?.join("fuzz"))
            .deadline(BUILD_DEADLINE + options.seconds + GRACE)
            .output()
            .with_context(|| format!("what broke it lies in {}", workspace::short(&found)))?;
    }
    say(format!(
        "{} fuzz targets, {} s each: nothing found",
        targets.len(),
        options.seconds
    ));
    Ok(())
}

/// Draws `count` graphs and compares the engine's bits with ONNX Runtime's.
fn graphs(count: u32, seed: u32) -> anyhow::Result<()> {
    crate::python::environment(false)?;
    say(format!(
        "comparing {count} random graphs with ONNX Runtime, seed {seed}"
    ));
    Job::cargo("comparing random graphs", &workspace::root())
        .args([
            "test",
            "--workspace",
            "--test",
            "random_graphs",
            "--",
            "--nocapture",
        ])
        .env("SANDERLING_GRAPHS", count.to_string())
        .env("SANDERLING_SEED", seed.to_string())
        .deadline(BUILD_DEADLINE + u64::from(count.div_ceil(100)) * GRAPHS_DEADLINE)
        .run()
}

/// Cuts the power at every file call of an update.
fn cuts(seed: u32) -> anyhow::Result<()> {
    say(format!(
        "killing a robot at every file call of an update, seed {seed}"
    ));
    Job::cargo("cutting the power", &workspace::root())
        .args(["test", "--workspace", "--test", "power_cuts"])
        .args(["--", "--nocapture"])
        .env("SANDERLING_CUTS", "all")
        .env("SANDERLING_SEED", seed.to_string())
        .deadline(BUILD_DEADLINE + CUTS_DEADLINE)
        .run()
}

#[derive(Deserialize)]
struct Manifest {
    bin: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

fn targets(folder: &Path) -> anyhow::Result<Vec<String>> {
    let path = folder.join("Cargo.toml");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", workspace::short(&path)))?;
    let manifest: Manifest = toml::from_str(&text)
        .with_context(|| format!("{} does not parse", workspace::short(&path)))?;
    Ok(manifest.bin.into_iter().map(|target| target.name).collect())
}

/// The arguments that choose toolchain and sanitizer: nightly with the address sanitizer
/// where it is installed, else the toolchain at hand without one.
fn toolchain() -> anyhow::Result<(&'static [&'static str], &'static str)> {
    let asked = Job::new("asking for the nightly toolchain", "rustup")
        .args(["run", "nightly", "rustc", "--version"])
        .finish();
    if asked.is_ok_and(|finished| finished.status.success()) {
        return Ok((&["rustup", "run", "nightly"], "address"));
    }
    say("no nightly toolchain: fuzzing without a sanitizer");
    Ok((&["env"], "none"))
}

/// The path of `cargo-fuzz`, installed into the project's cache when it is nowhere.
fn installed() -> anyhow::Result<PathBuf> {
    let root = workspace::cache()?.join("tools");
    let cached = root.join("bin/cargo-fuzz");
    if let Some(program) =
        workspace::find_program("cargo-fuzz").or_else(|| workspace::find_program(&cached))
    {
        return Ok(program);
    }
    say("setup: building cargo-fuzz");
    Job::cargo("building cargo-fuzz", &workspace::root())
        .args(["install", "cargo-fuzz", "--locked", "--debug", "--root"])
        .arg(&root)
        .env("CARGO_TARGET_DIR", workspace::target()?.join("tools"))
        .deadline(BUILD_DEADLINE)
        .output()?;
    Ok(cached)
}
