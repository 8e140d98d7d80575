//! `cargo xtask demo`: the main job on one machine, with real parts: a coordinator,
//! two robots, a microcontroller, and a model that is replaced while they work.

pub mod api;
pub mod cast;
mod data;
mod show;
mod summary;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};

use crate::firmware::{self, Board};
use crate::npz::{self, Array};
use crate::process::Running;
use crate::terminal::{say, thousands};
use crate::{compare, python, setup, workspace};
use api::Api;
use cast::{Programs, Ready, Robot};
use data::Recording;
use show::Stage;
use summary::{Report, RobotReport};

/// The robots' names.
const ROBOTS: [&str; 2] = ["robot-1", "robot-2"];
/// Frames a second that each robot sees.
const RATE: u32 = 50;
/// Frames that the microcontroller runs.
const BOARD_FRAMES: usize = 24;
/// Seconds within which robots must have come, or switched.
const PATIENCE: Duration = Duration::from_secs(45);
/// Seconds that QEMU may take.
const QEMU_DEADLINE: u64 = 60;
/// Seconds that a program may take to stop when asked.
const GRACE: Duration = Duration::from_secs(10);

/// How long to show it.
#[derive(clap::Args)]
pub struct Options {
    /// Leave everything running after the summary, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Seconds of inference with each of the two versions
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u64).range(3..=600))]
    seconds: u64,
}

/// Sets up, builds, and runs the demo; an error when something did not happen.
pub fn run(options: &Options) -> anyhow::Result<()> {
    setup::run(&setup::Options::default())?;
    let python = python::environment(false)?;
    say("building (the first time takes some minutes)");
    let programs = Programs::build()?;
    let folder = folder()?;
    let recording = Recording::choose(&python, &folder, ROBOTS.len())?;
    say(format!("data: {}", recording.description));
    let boards = [1, 2].map(|version| BoardRun::prepare(&recording, version, &folder));
    let [first, second] = boards;
    let boards = [first?, second?];
    say("built; the demo begins");
    println!();
    println!(
        "    a coordinator with its own MQTT broker and SQLite; two robots, each {RATE} recorded frames a second;"
    );
    println!(
        "    a Cortex-M4 under QEMU on the same frames. Version 1 of the model is replaced by version 2 meanwhile."
    );
    println!(
        "    Live lines: robot, version, frame number, its answer (and what the recording says), time, results counted."
    );
    println!();

    let outcome = play(options, &programs, &recording, boards, &folder);
    match &outcome {
        Ok(()) => fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?,
        Err(_) => eprintln!("logs and state: {}", folder.display()),
    }
    outcome
}

/// A new folder for this demo's state and logs. Those of demos that were interrupted go.
fn folder() -> anyhow::Result<PathBuf> {
    let base = workspace::target()?.join("demo");
    for old in fs::read_dir(&base).into_iter().flatten().flatten() {
        if !Path::new("/proc").join(old.file_name()).exists() {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_dir_all(old.path());
        }
    }
    let folder = base.join(std::process::id().to_string());
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn play(
    options: &Options,
    programs: &Programs,
    recording: &Recording,
    boards: [BoardRun; 2],
    folder: &Path,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let (mut coordinator, ready) = cast::coordinator(programs, folder, &[])?;
    say(format!(
        "coordinator: API {}, broker {}",
        ready.http, ready.mqtt
    ));
    let api = Api::at(&ready.http)?;
    let mut stage = Stage::new(&api, &recording.labels)?;

    let bytes = [1, 2].map(|version| register(programs, &ready, recording, version));
    let [first, second] = bytes;
    let update_bytes = (first?, second?).1;
    push(programs, &ready, recording, 1)?;

    let mut robots = Vec::new();
    for (name, frames) in ROBOTS.iter().zip(&recording.frames) {
        robots.push(cast::robot(
            programs,
            &Robot {
                name,
                frames,
                rate: RATE,
            },
            &ready.mqtt,
            folder,
        )?);
        say(format!("{name}: started, {RATE} recorded frames a second"));
    }
    stage.until("every robot runs v1", PATIENCE, |devices| {
        in_step(devices, 1)
    })?;

    let [first, second] = boards;
    let first = thread::spawn(move || first.run());
    stage.play(Duration::from_secs(options.seconds))?;
    finish("v1", first)?;

    say("pushing v2 over MQTT; inference goes on");
    let (pushed, pushed_at) = (Instant::now(), SystemTime::now());
    push(programs, &ready, recording, 2)?;
    stage.until("every robot runs v2", PATIENCE, |devices| {
        in_step(devices, 2)
    })?;
    let update = pushed.elapsed();
    let second = thread::spawn(move || second.run());
    stage.play(Duration::from_secs(options.seconds))?;
    finish("v2", second)?;

    if !options.keep {
        stop(&mut robots)?;
    }
    let mut counted = stage.settled()?;
    counted
        .results
        .sort_by(|a, b| (&a.device, a.version).cmp(&(&b.device, b.version)));
    let robots_told = ROBOTS.map(|name| {
        cast::status(name, folder).map(|status| RobotReport {
            name,
            status,
            switched: stage.switched(name, pushed_at),
        })
    });
    let report = Report {
        counted,
        robots: robots_told.into_iter().collect::<anyhow::Result<_>>()?,
        update,
        update_bytes,
    };
    report.print();
    report.verdict()?;
    say(format!(
        "everything happened, {:.0} s after the build",
        began.elapsed().as_secs_f64()
    ));

    if options.keep {
        keep(&ready, folder, &mut coordinator)?;
        stop(&mut robots)?;
    }
    coordinator.stop(GRACE)?;
    Ok(())
}

/// Whether all robots are there and run `version`, as their group should.
fn in_step(devices: &[api::Device], version: u32) -> bool {
    ROBOTS.iter().all(|name| {
        devices.iter().any(|device| {
            device.name == *name
                && device.standing == "in_step"
                && device
                    .running
                    .as_ref()
                    .is_some_and(|running| running.version == version)
                && device.results > 0
        })
    })
}

/// Registers a version for Linux robots and the microcontroller; gives the bytes that a robot pulls.
fn register(
    programs: &Programs,
    ready: &Ready,
    recording: &Recording,
    version: u32,
) -> anyhow::Result<u64> {
    let onnx = recording.onnx(version);
    let path = onnx.to_str().context("the checkout's path is not UTF-8")?;
    let number = version.to_string();
    let arguments = [
        "register",
        path,
        "--name",
        recording.model,
        "--version",
        &number,
        "--targets",
        "generic,cortex-m4",
    ];
    programs.sanderling(&ready.http, &arguments, 60)?;
    let models = programs.sanderling(&ready.http, &["models"], 30)?;
    let bytes = data::plan_bytes(&models, recording.model, version).with_context(|| {
        format!("the registry does not list the plan that was registered: {models}")
    })?;
    say(format!(
        "registered {} v{version}: {} bytes for a robot",
        recording.model,
        thousands(bytes)
    ));
    Ok(bytes)
}

fn push(
    programs: &Programs,
    ready: &Ready,
    recording: &Recording,
    version: u32,
) -> anyhow::Result<()> {
    let number = version.to_string();
    programs.sanderling(
        &ready.http,
        &[
            "push",
            recording.model,
            "--version",
            &number,
            "--group",
            "all",
        ],
        30,
    )?;
    Ok(())
}

fn stop(robots: &mut [Running]) -> anyhow::Result<()> {
    for robot in robots {
        robot.stop(GRACE)?;
    }
    Ok(())
}

/// Says how to look around, and waits until the coordinator ends or the user interrupts.
fn keep(ready: &Ready, folder: &Path, coordinator: &mut Running) -> anyhow::Result<()> {
    println!();
    println!("Still running, until Ctrl-C. In another terminal:");
    println!("    export SANDERLING_COORDINATOR={}", ready.http);
    let program = workspace::target()?.join("debug/sanderling");
    println!("    {} watch", program.display());
    println!("    {} devices", program.display());
    println!(
        "The API: {}/openapi.json; the broker: {}; logs and state: {}",
        ready.http,
        ready.mqtt,
        folder.display()
    );
    while coordinator.ended().is_none() {
        thread::sleep(Duration::from_millis(500));
    }
    bail!(
        "the coordinator ended; its log: {}",
        folder.join("coordinator.log").display()
    )
}

/// The microcontroller's part: one version of the model on some frames, and what this
/// machine computes for them.
struct BoardRun {
    image: PathBuf,
    input: Array,
    host: Array,
}

impl BoardRun {
    fn prepare(recording: &Recording, version: u32, folder: &Path) -> anyhow::Result<Self> {
        let board = Board::named("mps2-an386")?;
        let onnx = recording.onnx(version);
        let folder = folder.join(format!("board-v{version}"));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let frames = recording.frames.first().context("no frames")?;
        let input = npz::read(frames, "input")?.head(BOARD_FRAMES);
        say(format!(
            "building the firmware for {} around {} v{version}",
            board.name, recording.model
        ));
        let plan = firmware::compile(&onnx, board.packing, &folder)?;
        Ok(BoardRun {
            image: firmware::build(board, &plan, &folder)?,
            host: firmware::host_outputs(&onnx, &input)?,
            input,
        })
    }

    /// Runs the frames under QEMU and compares; gives a line that says what was seen.
    fn run(self) -> anyhow::Result<String> {
        let board = Board::named("mps2-an386")?;
        let run = firmware::run(board, &self.image, Some(&self.input), QEMU_DEADLINE)?;
        let output = run
            .output
            .with_context(|| format!("status {}:\n{}", run.status, run.log))?;
        compare::equal(&output, &self.host).context("against this machine")?;
        Ok(format!(
            "Cortex-M4 ({} under QEMU): {} frames, {} output bytes, all equal to this machine's",
            board.name,
            self.input.frames(),
            thousands(output.bytes.len() as u64)
        ))
    }
}

fn finish(version: &str, board: thread::JoinHandle<anyhow::Result<String>>) -> anyhow::Result<()> {
    let line = board
        .join()
        .map_err(|_| anyhow::anyhow!("the microcontroller's thread panicked"))?
        .with_context(|| format!("{version} on the microcontroller"))?;
    say(format!("{version}: {line}"));
    Ok(())
}
