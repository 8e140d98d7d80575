//! `cargo xtask lint-firmware`: clippy over the firmware, each board for its own target.

use anyhow::Context;

use crate::firmware::{self, BOARDS};
use crate::process::Job;
use crate::terminal::say;
use crate::{snapshots, workspace};

/// Seconds that clippy may take for one target.
const DEADLINE: u64 = 900;

/// Lints the host parts and every board's image, warnings denied.
pub fn run() -> anyhow::Result<()> {
    let folder = workspace::root().join("firmware");
    let target = workspace::target()?.join("firmware");
    say("clippy: firmware, host parts");
    Job::cargo("clippy on the host parts", &folder)
        .args([
            "clippy",
            "-q",
            "-p",
            "sanderling-robot",
            "-p",
            "sanderling-image",
            "-p",
            "sanderling-memory",
            "-p",
            "sanderling-updates",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])
        .env("CARGO_TARGET_DIR", &target)
        .deadline(DEADLINE)
        .run()?;
    let models = snapshots::models()?;
    let model = models
        .first()
        .context("no model in models/ has golden vectors, so no image can be built")?;
    let plans = tempfile::tempdir().context("cannot make a temporary folder")?;
    for board in &BOARDS {
        say(format!("clippy: firmware, {}", board.name));
        let plan = firmware::compile(&model.onnx, board.packing, plans.path())?;
        Job::cargo(format!("clippy on {}", board.name), &folder)
            .args([
                "clippy",
                "-q",
                "--release",
                "-p",
                board.name,
                "-p",
                "sanderling-app",
                "-p",
                "sanderling-memory",
                "-p",
                "count",
                "--target",
                board.triple,
                "--features",
                "sanderling-engine/every-operator",
            ])
            .args(["--", "-D", "warnings"])
            .env("CARGO_TARGET_DIR", &target)
            .env("SANDERLING_PLAN", &plan)
            .without("RUSTFLAGS")
            .deadline(DEADLINE)
            .run()?;
    }
    say("clippy: firmware, updates over the UART");
    Job::cargo("clippy on the updates' firmware", &folder)
        .args([
            "clippy",
            "-q",
            "--release",
            "-p",
            "mps2-an386-updates",
            "--target",
            BOARDS[0].triple,
        ])
        .args(["--", "-D", "warnings"])
        .env("CARGO_TARGET_DIR", &target)
        .without("RUSTFLAGS")
        .deadline(DEADLINE)
        .run()
}
