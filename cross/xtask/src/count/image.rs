//! The program that is counted: built once for a board, it takes any plan.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::board::{Board, Emulator};
use super::elf::Image;
use super::plugin::{self, Counts, Watch};
use crate::process::Job;
use crate::workspace;

/// Seconds that building the program may take.
const BUILD_DEADLINE: u64 = 600;
/// Bytes of the header in front of a plan's table of sections, and the entry of the steps
/// in it: `sanderling_plan::header`.
const STEPS_ENTRY: usize = 64 + 8;

/// A built program.
pub struct Program {
    path: PathBuf,
    /// Its sections and symbols.
    pub image: Image,
}

/// What a run gave.
pub struct Run {
    /// What the plugin counted.
    pub counts: Counts,
    /// The raw bytes of all outputs.
    pub outputs: Vec<u8>,
}

/// Builds the program for `board` with `features` of the engine.
pub fn build(board: &Board, features: &str) -> anyhow::Result<Program> {
    let target = workspace::target()?.join("count").join(board.name);
    let mut job = Job::cargo(
        format!("building what is counted on {}", board.name),
        &workspace::root().join("firmware"),
    )
    .args([
        "build",
        "-q",
        "--release",
        "-p",
        "count",
        "--target",
        board.triple,
        "--features",
        features,
    ])
    .env("CARGO_TARGET_DIR", &target)
    .env("RUSTFLAGS", board.flags)
    .without("CARGO_ENCODED_RUSTFLAGS")
    .deadline(BUILD_DEADLINE);
    if !board.is_microcontroller() {
        job = job.args(for_linux());
    }
    job.output()?;
    let path = target.join(board.triple).join("release/count");
    Ok(Program {
        image: Image::read(&path)?,
        path,
    })
}

/// Cargo's arguments that build everything for speed, as the agent is, where the
/// firmware's own profile builds for size.
pub fn for_linux() -> impl Iterator<Item = String> {
    ["\"*\"", "sanderling-plan", "sanderling-engine"]
        .into_iter()
        .flat_map(|package| {
            let level = format!("profile.release.package.{package}.opt-level=3");
            ["--config".to_string(), level]
        })
}

impl Program {
    /// Runs `plan` once on `board` in `folder`, with `input` as the raw bytes of all inputs.
    pub fn run(
        &self,
        board: &Board,
        plan: &[u8],
        input: &[u8],
        steps: bool,
        folder: &Path,
        deadline: u64,
    ) -> anyhow::Result<Run> {
        for (name, bytes) in [("count.plan", plan), ("count.in", input)] {
            fs::write(folder.join(name), bytes).with_context(|| format!("cannot write {name}"))?;
        }
        let plan_at = match board.emulator {
            Emulator::Machine { plan_at } => plan_at,
            Emulator::Processor(_) => self.image.symbol("COUNT_PLAN")?,
        };
        let watch = Watch {
            begin: self.image.function("mark_begin")?,
            end: self.image.function("mark_end")?,
            steps: if steps {
                let (offset, number) = step_records(plan)?;
                Some((plan_at + offset, number))
            } else {
                None
            },
        };
        let plugin = plugin::argument(&plugin::build()?, &watch, "count.txt");
        let what = format!("counting on {}", board.name);
        let job = match board.emulator {
            Emulator::Machine { plan_at } => Job::new(what, "qemu-system-arm")
                .args(["-M", board.name, "-display", "none", "-monitor", "none"])
                .args(["-serial", "null", "-plugin", &plugin])
                .args(["-semihosting-config", "enable=on,target=native"])
                .arg("-device")
                .arg(format!(
                    "loader,file=count.plan,addr={plan_at:#x},force-raw=on"
                ))
                .arg("-kernel"),
            Emulator::Processor(cpu) => {
                Job::new(what, "qemu-aarch64").args(["-cpu", cpu, "-plugin", &plugin])
            }
        };
        let finished = job
            .arg(&self.path)
            .folder(folder)
            .deadline(deadline)
            .finish()?;
        let status = finished.status.code().unwrap_or(-1);
        if status != 0 {
            bail!(
                "{}: {}\n{}",
                board.name,
                ending(status),
                finished.last_words(10)
            );
        }
        Ok(Run {
            counts: plugin::read(&folder.join("count.txt"))?,
            outputs: fs::read(folder.join("count.out")).context("the program left no outputs")?,
        })
    }
}

/// What the exit status of `firmware/count` says.
fn ending(status: i32) -> String {
    match status {
        2 => {
            "this build does not take the plan: does this program hold the plan's operators?".into()
        }
        3 => "the engine refuses plan and arena".into(),
        4 => "the inputs could not be read".into(),
        5 => "a step did not run".into(),
        6 => "the outputs could not be written".into(),
        7 => "the arena does not fit into the memory set aside for it".into(),
        8 => "bytes outside the arena were written".into(),
        9 => "the plan does not lie at its symbol".into(),
        101 => "it panicked or faulted".into(),
        _ => format!("it ended with status {status}"),
    }
}

/// Offset and number of the step records in a plan.
fn step_records(plan: &[u8]) -> anyhow::Result<(u64, usize)> {
    let word = |at: usize| {
        let bytes = plan.get(at..at + 4).context("the plan is cut short")?;
        Ok::<_, anyhow::Error>(u32::from_le_bytes(bytes.try_into()?))
    };
    let bytes = usize::try_from(word(STEPS_ENTRY + 4)?)?;
    Ok((word(STEPS_ENTRY)?.into(), bytes / plugin::RECORD))
}
