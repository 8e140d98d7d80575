//! `cargo xtask updates`: a microcontroller under QEMU gets its models over its UART, whole and by delta, and its
//! power is cut on the way; then the same board in a fleet, behind an agent's serial line.

mod fleet;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::demo::cast::Programs;
use crate::firmware::{self, BOARDS};
use crate::outcome::Tally;
use crate::process::Job;
use crate::terminal::say;
use crate::{setup, workspace};

/// Seconds that building may take.
const BUILD_DEADLINE: u64 = 900;
/// Seconds that the demonstration may take.
const DEADLINE: u64 = 900;
/// The firmware package with the UART.
const IMAGE: &str = "mps2-an386-updates";

/// Where pseudo-terminals come from.
const TERMINALS: &str = "/dev/ptmx";

/// Which models.
#[derive(clap::Args)]
pub struct Options {
    /// The first model: an ONNX file, or a plan compiled for cortex-m4
    #[arg(long, default_value = "models/terrain/terrain-v1.onnx")]
    first: PathBuf,
    /// The one that replaces it and is retrained on the way
    #[arg(long, default_value = "models/terrain/terrain-v2.onnx")]
    second: PathBuf,
}

/// Builds everything and shows it.
pub fn run(options: &Options) -> anyhow::Result<()> {
    both(options).map(drop)
}

/// Shows the board alone, and in a fleet where the system has pseudo-terminals for its UART.
fn both(options: &Options) -> anyhow::Result<Tally> {
    let board = &BOARDS[0];
    setup::for_board(board.triple)?;
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("fleet"))?;
    let plan = |model: &Path, name: &str| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder)?;
        firmware::compile(&workspace::root().join(model), board.packing, &folder)
    };
    let plans = [
        plan(&options.first, "first")?,
        plan(&options.second, "second")?,
    ];
    let target = workspace::target()?.join("firmware");
    let cargo = |title: &str| {
        Job::cargo(title, &workspace::root().join("firmware"))
            .env("CARGO_TARGET_DIR", &target)
            .without("RUSTFLAGS")
            .without("CARGO_ENCODED_RUSTFLAGS")
            .deadline(BUILD_DEADLINE)
    };
    cargo("building the agent's side of the line")
        .args([
            "build",
            "-q",
            "-p",
            "sanderling-updates",
            "--example",
            "qemu",
        ])
        .output()?;
    let program = target.join("debug/examples/qemu");
    let root = folder.path().join("root");
    Job::new("making a root", &program)
        .arg("--root")
        .arg(&root)
        .output()?;
    let image = |root: &Path| {
        cargo("building the firmware with that root")
            .args([
                "build",
                "-q",
                "--release",
                "-p",
                IMAGE,
                "--target",
                board.triple,
            ])
            .env("SANDERLING_ROOT", root)
            .output()?;
        let built = target.join(board.triple).join("release").join(IMAGE);
        let kept = root.with_extension("elf");
        std::fs::copy(&built, &kept).context("cannot keep the firmware")?;
        Ok(kept)
    };
    say(format!("{}: updates over the UART under QEMU", board.name));
    let told = Job::new("updates under QEMU", &program)
        .arg(image(&root)?)
        .args(&plans)
        .deadline(DEADLINE)
        .output()?;
    print!("{}", told.text());

    let mut tally = Tally {
        passed: 1,
        ..Tally::default()
    };
    if let Err(why) = File::options().read(true).write(true).open(TERMINALS) {
        say(format!(
            "skipped: {}: the same board in a fleet, for {TERMINALS} cannot be opened ({why})",
            board.name
        ));
        tally.skipped = 1;
        return Ok(tally);
    }
    let programs = Programs::build()?;
    say(format!("{}: the same board in a fleet", board.name));
    fleet::Stage {
        programs: &programs,
        folder: &folder.path().join("fleet"),
        board,
        image: &image,
        plans: &plans,
    }
    .play()?;
    tally.passed += 1;
    Ok(tally)
}

/// The same with its usual models, as a test.
pub fn check() -> anyhow::Result<Tally> {
    both(&Options {
        first: "models/terrain/terrain-v1.onnx".into(),
        second: "models/terrain/terrain-v2.onnx".into(),
    })
}
