//! This machine: the median time of an inference, engine and peers by turns.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::peers::{Live, Stored};
use super::{NATIVE, Peer, Row};
use crate::count::{EVERY_OPERATOR, LINUX, Subject, compile, image};
use crate::process::Job;
use crate::{firmware, workspace};

/// Seconds that the program may take to build.
const BUILD_DEADLINE: u64 = 600;
/// Seconds that one round of timing lasts for each engine.
const ROUND: f64 = 1.0;
/// Rounds; the best one counts, for all engines alike: other work on the machine only slows.
const ROUNDS: usize = 3;
/// Rust's target for this machine: the program needs nothing of the C library.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// What this machine is.
pub fn machine() -> String {
    fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split(':').nth(1)?.trim().to_string())
        })
        .unwrap_or_else(|| "unknown".to_string())
}

/// The row of one network on this machine.
pub fn row(
    name: &str,
    model: &Path,
    subject: &Subject,
    stored: &Stored,
    live: Option<&Live>,
    quick: bool,
) -> anyhow::Result<Row> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    // What the command line compiles an ONNX file to where it runs it itself.
    let plan = compile(model, "x86-64", folder.path())?;
    let about = firmware::inspect(&plan)?;
    let program = build()?;
    subject.write_input(&folder.path().join("count.in"))?;
    let frames = folder.path().join("frames.npz");
    subject.write_frames(&frames)?;
    let bytes = fs::read(&plan).context("cannot read the plan")?;
    fs::write(folder.path().join("count.plan"), &bytes).context("cannot write the plan")?;

    let (rounds, span) = if quick { (1, 0.3) } else { (ROUNDS, ROUND) };
    let mut best = f64::INFINITY;
    let mut peers: Vec<Peer> = Vec::new();
    for _ in 0..rounds {
        best = best.min(time(&program, folder.path(), span)?);
        let timed = live.map_or_else(Vec::new, |live| live.time(model, &frames, span));
        for peer in timed {
            match peers.iter_mut().find(|p| p.engine == peer.engine) {
                Some(known) => known.value = known.value.min(peer.value),
                None => peers.push(peer),
            }
        }
    }
    // A stored time is another machine's: it stands in only where nothing was timed here.
    if peers.is_empty() {
        peers = stored.of(name, NATIVE);
    }
    let number = |key: &str| about[key].as_u64().unwrap_or_default();
    let macs = number("macs");
    Ok(Row {
        network: name.to_string(),
        processor: NATIVE.to_string(),
        unit: "µs",
        value: best,
        macs,
        rate: macs as f64 / (best * 1e3),
        arena_bytes: number("arena_bytes"),
        flash_bytes: bytes.len() as u64,
        peers,
        ratio: None,
    })
}

/// Builds `firmware/count` for this machine.
fn build() -> anyhow::Result<PathBuf> {
    if cfg!(not(all(target_arch = "x86_64", target_os = "linux"))) {
        bail!("times are taken on x86-64 Linux");
    }
    let target = workspace::target()?.join("count/host");
    Job::cargo(
        "building what is timed here",
        &workspace::root().join("firmware"),
    )
    .args(["build", "-q", "--release", "-p", "count"])
    .args(["--target", TRIPLE, "--features"])
    .arg(format!("{EVERY_OPERATOR},{LINUX}"))
    .args(image::for_linux())
    .env("CARGO_TARGET_DIR", &target)
    .without("RUSTFLAGS")
    .without("CARGO_ENCODED_RUSTFLAGS")
    .deadline(BUILD_DEADLINE)
    .output()?;
    Ok(target.join(TRIPLE).join("release/count"))
}

/// Median microseconds of an inference.
fn time(program: &Path, folder: &Path, seconds: f64) -> anyhow::Result<f64> {
    Job::new("timing the engine", program)
        .arg(seconds.to_string())
        .folder(folder)
        .deadline(120)
        .output()?;
    let text = fs::read_to_string(folder.join("count.time")).context("no time was written")?;
    let median = text
        .split(' ')
        .next()
        .and_then(|word| word.parse::<f64>().ok());
    Ok(median.context("the time is not a number")? / 1e3)
}
