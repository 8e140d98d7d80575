//! `cargo xtask fuzz`: every fuzz target of `tests/fuzz`, each for some seconds.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};

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
}

/// Runs every target; an error when one finds something.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let folder = workspace::root().join("tests/fuzz");
    let targets: Vec<String> =
        targets(&folder)?.into_iter().filter(|t| options.only.as_deref().is_none_or(|w| t.contains(w))).collect();
    if targets.is_empty() {
        bail!("no fuzz target is called like that; they are the files of {}", workspace::short(&folder.join("fuzz_targets")));
    }
    nightly()?;
    let tool = installed()?;
    for target in &targets {
        say(format!("fuzzing {target} for {} s", options.seconds));
        let found = folder.join("artifacts").join(target);
        Job::new(format!("fuzzing {target}"), "rustup")
            .args(["run", "nightly"])
            .arg(&tool)
            .args(["run", "--fuzz-dir"])
            .arg(&folder)
            .arg(target)
            .args(["--", &format!("-max_total_time={}", options.seconds), "-rss_limit_mb=2048", "-timeout=10"])
            .folder(&workspace::root())
            .env("CARGO_TARGET_DIR", workspace::target()?.join("fuzz"))
            .deadline(BUILD_DEADLINE + options.seconds + GRACE)
            .output()
            .with_context(|| format!("what broke it lies in {}", workspace::short(&found)))?;
    }
    say(format!("{} fuzz targets, {} s each: nothing found", targets.len(), options.seconds));
    Ok(())
}

fn targets(folder: &std::path::Path) -> anyhow::Result<Vec<String>> {
    let sources = folder.join("fuzz_targets");
    let listed = fs::read_dir(&sources).with_context(|| format!("cannot list {}", workspace::short(&sources)))?;
    let mut names: Vec<String> = listed
        .filter_map(|entry| entry.ok()?.path().file_name()?.to_str()?.strip_suffix(".rs").map(str::to_string))
        .collect();
    names.sort();
    Ok(names)
}

fn nightly() -> anyhow::Result<()> {
    let asked = Job::new("asking for the nightly toolchain", "rustup").args(["run", "nightly", "rustc", "--version"]).finish()?;
    if !asked.status.success() {
        bail!("fuzzing needs the nightly toolchain: rustup toolchain install nightly --profile minimal");
    }
    Ok(())
}

/// The path of `cargo-fuzz`, installed into the project's cache when it is nowhere.
fn installed() -> anyhow::Result<PathBuf> {
    let root = workspace::cache()?.join("tools");
    let cached = root.join("bin/cargo-fuzz");
    if let Some(program) = workspace::find_program("cargo-fuzz").or_else(|| workspace::find_program(&cached)) {
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
