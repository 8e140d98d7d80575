//! Firmware images: compile a model to a plan, build the image around it, run it
//! under QEMU, and read what it printed and computed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::frames;
use crate::npz::{self, Array};
use crate::outcome::Tally;
use crate::process::Job;
use crate::setup;
use crate::terminal::say;
use crate::workspace;

/// Builds every program of the workspace. All of them at once, for then each dependency
/// gets the same features as in the tests and is compiled once.
pub const PROGRAMS: [&str; 3] = ["build", "--workspace", "--bins"];

/// Seconds that building the command line may take, tract included.
const CLI_DEADLINE: u64 = 3000;
/// Seconds that building an image may take.
const IMAGE_DEADLINE: u64 = 600;

/// A board that has a QEMU twin.
pub struct Board {
    /// QEMU's machine, the firmware package, and the memory map in `cross/link`.
    pub name: &'static str,
    /// Rust's target.
    pub triple: &'static str,
    /// What the compiler packs plans for.
    pub packing: &'static str,
}

/// Every board.
pub const BOARDS: [Board; 2] = [
    Board {
        name: "mps2-an386",
        triple: "thumbv7em-none-eabihf",
        packing: "cortex-m4",
    },
    Board {
        name: "mps3-an547",
        triple: "thumbv8m.main-none-eabihf",
        packing: "cortex-m55",
    },
];

impl Board {
    /// The board called `name`.
    pub fn named(name: &str) -> anyhow::Result<&'static Board> {
        BOARDS.iter().find(|b| b.name == name).with_context(|| {
            format!(
                "no board is called {name}; there are {}",
                BOARDS.map(|b| b.name).join(" and ")
            )
        })
    }
}

/// What a run under QEMU gave.
pub struct BoardRun {
    /// What the firmware printed over defmt, decoded, one line a frame.
    pub log: String,
    /// The outputs, first axis the frames, when frames were given and all ran.
    pub output: Option<Array>,
    /// The exit status that the firmware gave.
    pub status: i32,
}

/// Builds the command line, once a task, and gives the path of the `sanderling` program.
pub fn command_line() -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(program) = BUILT.get() {
        return Ok(program.clone());
    }
    let program = workspace::target()?.join("debug/sanderling");
    Job::cargo("building the programs", &workspace::root())
        // Features as in `PROGRAMS`, without the programs that are not asked for.
        .args(["build", "--workspace", "--bin", "sanderling", "-q"])
        .deadline(CLI_DEADLINE)
        .run()?;
    if !program.is_file() {
        bail!("{} was not built", program.display());
    }
    Ok(BUILT.get_or_init(|| program).clone())
}

/// Runs what checks the firmware's memory functions, on each board.
pub fn memory() -> anyhow::Result<Tally> {
    let target = workspace::target()?.join("firmware");
    let mut tally = Tally::default();
    for board in &BOARDS {
        setup::for_board(board.triple)?;
        Job::cargo(
            format!("memory functions on {}", board.name),
            &workspace::root().join("firmware"),
        )
        .args(["run", "-q", "--release", "-p", "sanderling-memory"])
        .args(["--example", "check", "--target", board.triple])
        .env("CARGO_TARGET_DIR", &target)
        .without("RUSTFLAGS")
        .without("CARGO_ENCODED_RUSTFLAGS")
        .deadline(IMAGE_DEADLINE)
        .output()?;
        tally.passed += 1;
    }
    Ok(tally)
}

/// The plan of `model`, packed for `packing`, written to `folder`. A file that is a
/// plan already is taken as it is.
pub fn compile(model: &Path, packing: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let plan = folder.join("model.plan");
    let program = command_line()?;
    if model.extension().is_some_and(|e| e == "plan") {
        // A damaged plan is named here rather than by a build script.
        Job::new(format!("looking into {}", workspace::short(model)), program)
            .arg("inspect")
            .arg(model)
            .output()?;
        fs::copy(model, &plan).with_context(|| format!("cannot read {}", model.display()))?;
        return Ok(plan);
    }
    Job::new(format!("compiling {}", workspace::short(model)), program)
        .arg("compile")
        .arg(model)
        .args(["--target", packing, "-o"])
        .arg(&plan)
        .deadline(300)
        .output()?;
    Ok(plan)
}

/// What `sanderling inspect` says about a plan.
pub fn inspect(plan: &Path) -> anyhow::Result<Value> {
    let said = Job::new(
        format!("looking into {}", workspace::short(plan)),
        command_line()?,
    )
    .args(["inspect", "--json"])
    .arg(plan)
    .output()?
    .text();
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line).context("what inspect says about the plan is no JSON")
}

/// The engine's features, as an argument for cargo, that a plan so described needs.
pub fn features(about: &Value) -> anyhow::Result<String> {
    // The processor's own loops are built in, those that run everywhere where they are needed.
    let generic = (about["target"] == "generic").then_some("sanderling-engine/generic");
    let features = about["features"].as_array();
    let features: Vec<String> = features
        .and_then(|features| {
            let named = |feature: &Value| Some(format!("sanderling-engine/{}", feature.as_str()?));
            features.iter().map(named).collect()
        })
        .context("the description of the plan names no features")?;
    let generic = generic.map(str::to_owned);
    let features: Vec<String> = features.into_iter().chain(generic).collect();
    Ok(features.join(","))
}

/// The image that carries `plan`, written to `folder`. It holds the operators that the
/// plan needs.
pub fn build(board: &Board, plan: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let target = workspace::target()?.join("firmware");
    let features = features(&inspect(plan)?)?;
    Job::cargo(
        format!("building the firmware for {}", board.name),
        &workspace::root().join("firmware"),
    )
    .args([
        "build",
        "-q",
        "--release",
        "-p",
        board.name,
        "--target",
        board.triple,
        "--features",
        &features,
    ])
    .env("CARGO_TARGET_DIR", &target)
    .env("SANDERLING_PLAN", plan)
    // It would replace the flags that choose the core.
    .without("RUSTFLAGS")
    .without("CARGO_ENCODED_RUSTFLAGS")
    .deadline(IMAGE_DEADLINE)
    .output()?;
    let built = target.join(board.triple).join("release").join(board.name);
    let image = folder.join(format!("{}.elf", board.name));
    fs::copy(&built, &image).with_context(|| format!("cannot read {}", built.display()))?;
    Ok(image)
}

/// Runs `image` under QEMU on `input` (first axis the frames) within `deadline`
/// seconds. Without input the firmware proves its plan and stops.
pub fn run(
    board: &Board,
    image: &Path,
    input: Option<&Array>,
    deadline: u64,
) -> anyhow::Result<BoardRun> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut semihosting = format!("enable=on,target=native,arg={}", board.name);
    if let Some(input) = input {
        fs::write(folder.path().join("frames.in"), frames::encode(input))
            .context("cannot write the frames")?;
        semihosting.push_str(",arg=frames.in,arg=frames.out");
    }
    let image = image
        .canonicalize()
        .with_context(|| format!("cannot find {}", image.display()))?;
    let finished = Job::new(format!("{} under QEMU", board.name), "qemu-system-arm")
        .args([
            "-M", board.name, "-display", "none", "-monitor", "none", "-serial", "null",
        ])
        .args(["-semihosting-config", &semihosting, "-kernel"])
        .arg(&image)
        .folder(folder.path())
        .deadline(deadline)
        .finish()?;
    let mut log = decode(&image, &finished.stdout, folder.path())?;
    log.push_str(&String::from_utf8_lossy(&finished.stderr));
    let status = finished.status.code().unwrap_or(-1);
    let output = match fs::read(folder.path().join("frames.out")) {
        Ok(bytes) if status == 0 => {
            Some(frames::decode(&bytes).context("the outputs that the board wrote")?)
        }
        _ => None,
    };
    Ok(BoardRun {
        log,
        output,
        status,
    })
}

/// Turns a defmt stream into text with the format strings that the image holds.
fn decode(image: &Path, stream: &[u8], folder: &Path) -> anyhow::Result<String> {
    let target = workspace::target()?.join("decode");
    Job::cargo(
        "building the defmt decoder",
        &workspace::root().join("cross/decode"),
    )
    .args(["build", "-q"])
    .env("CARGO_TARGET_DIR", &target)
    .deadline(IMAGE_DEADLINE)
    .output()?;
    let file = folder.join("defmt.bin");
    fs::write(&file, stream).context("cannot write the defmt stream")?;
    Ok(Job::new("decoding defmt", target.join("debug/decode"))
        .arg(image)
        .input(&file)?
        .output()?
        .text())
}

/// What the engine on this machine computes for the same frames.
pub fn host_outputs(model: &Path, input: &Array) -> anyhow::Result<Array> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let [frames, outputs] = ["input.npz", "output.npz"].map(|name| folder.path().join(name));
    npz::write(&frames, "input", input)?;
    Job::new(
        format!("running {} here", workspace::short(model)),
        command_line()?,
    )
    .arg("run")
    .arg(model)
    .args(["--executor", "engine", "--input"])
    .arg(&frames)
    .arg("--output")
    .arg(&outputs)
    .deadline(300)
    .output()?;
    npz::read(&outputs, "output")
}

/// Compiles, builds and runs in one go; an error with the firmware's own words when
/// it did not succeed.
pub fn outputs(
    board: &Board,
    model: &Path,
    packing: Option<&str>,
    input: &Array,
    deadline: u64,
) -> anyhow::Result<(BoardRun, Array)> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let plan = compile(model, packing.unwrap_or(board.packing), folder.path())?;
    let image = build(board, &plan, folder.path())?;
    say(format!(
        "{}: {} frames under QEMU",
        board.name,
        input.frames()
    ));
    let mut run = run(board, &image, Some(input), deadline)?;
    match run.output.take() {
        Some(output) => Ok((run, output)),
        None => bail!(
            "{} ended with status {}:\n{}",
            board.name,
            run.status,
            run.log.trim_end()
        ),
    }
}
