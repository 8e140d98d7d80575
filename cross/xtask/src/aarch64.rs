//! The 64-bit Arm side, run by QEMU's user mode: the tests of the crates that run on a
//! robot, and models against this machine's bits.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::npz::{self, Array};
use crate::outcome::Tally;
use crate::process::Job;
use crate::terminal::say;
use crate::{compare, firmware, snapshots, test, workspace};

/// Linker and runner for it stand in `.cargo/config.toml`.
const TRIPLE: &str = "aarch64-unknown-linux-gnu";
/// QEMU's program, and where the Arm C library lies.
const EMULATOR: [&str; 3] = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"];
/// Seconds that the cross build of the command line may take.
const BUILD_DEADLINE: u64 = 1800;
/// Seconds that one model may run.
const RUN_DEADLINE: u64 = 300;

/// The crates that a Linux robot runs.
const CRATES: [&str; 5] = [
    "sanderling-plan",
    "sanderling-wire",
    "sanderling-slots",
    "sanderling-engine",
    "sanderling-agent",
];

/// Runs those crates' tests.
pub fn tests() -> anyhow::Result<Tally> {
    let mut arguments = vec![
        "test",
        "--target",
        TRIPLE,
        "--no-fail-fast",
        "--lib",
        "--bins",
        "--tests",
    ];
    for name in CRATES {
        arguments.extend(["-p", name]);
    }
    // The loops with dot products are tried where the emulated processor says it has them.
    arguments.extend(["--features", "sanderling-engine/std"]);
    // Tests that start the agent themselves need to be told how.
    let emulator = EMULATOR.join(" ");
    test::cargo_tests(
        "aarch64 tests",
        &workspace::root(),
        &arguments,
        &[("SANDERLING_EMULATOR", Path::new(&emulator))],
    )
}

/// Runs every model of the zoo on its golden inputs, and compares with this machine.
pub fn zoo() -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let program = command_line()?;
    for model in snapshots::models()? {
        let result = npz::read(&model.golden, "input").and_then(|input| {
            let output = outputs(&program, &model.onnx, &input)?;
            compare::equal(&output, &firmware::host_outputs(&model.onnx, &input)?)
        });
        match &result {
            Ok(()) => say(format!("ok: {}", model.name)),
            Err(error) => println!("FAILED {} on aarch64: {error:#}", model.name),
        }
        tally.count(&result);
    }
    Ok(tally)
}

/// Builds the command line for aarch64, plans only.
pub fn command_line() -> anyhow::Result<PathBuf> {
    Job::cargo("building the command line for aarch64", &workspace::root())
        .args([
            "build",
            "-q",
            "-p",
            "sanderling-cli",
            "--no-default-features",
            "--target",
            TRIPLE,
        ])
        .deadline(BUILD_DEADLINE)
        .run()?;
    Ok(workspace::target()?.join(TRIPLE).join("debug/sanderling"))
}

/// What `program`, run by QEMU, computes.
pub fn outputs(program: &Path, model: &Path, input: &Array) -> anyhow::Result<Array> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let [frames, outputs] = ["input.npz", "output.npz"].map(|name| folder.path().join(name));
    npz::write(&frames, "input", input)?;
    let plan = firmware::compile(model, "generic", folder.path())?;
    let [emulator, flag, library] = EMULATOR;
    Job::new(
        format!("{} under {emulator}", workspace::short(model)),
        emulator,
    )
    .args([flag, library])
    .arg(program)
    .arg("run")
    .arg(&plan)
    .args(["--executor", "engine", "--input"])
    .arg(&frames)
    .arg("--output")
    .arg(&outputs)
    .deadline(RUN_DEADLINE)
    .output()?;
    npz::read(&outputs, "output")
}
