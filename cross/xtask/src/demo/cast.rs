//! Who takes part: the coordinator, the robots, and the command line between them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

use crate::process::{Job, Running};
use crate::{firmware, workspace};

/// Seconds that building the three programs may take, tract included.
const BUILD_DEADLINE: u64 = 3600;
/// Seconds that the coordinator may take to be ready.
const READY_DEADLINE: u64 = 30;

/// The three programs.
pub struct Programs {
    sanderling: PathBuf,
    coordinator: PathBuf,
    /// The robot's.
    pub agent: PathBuf,
}

impl Programs {
    /// Builds them.
    pub fn build() -> anyhow::Result<Self> {
        Job::cargo(
            "building coordinator, agent and command line",
            &workspace::root(),
        )
        .args(firmware::PROGRAMS)
        .env("CARGO_TERM_COLOR", "never")
        .echo(|line| {
            line.trim_start().starts_with("Compiling sanderling") || line.starts_with("error")
        })
        .deadline(BUILD_DEADLINE)
        .output()?;
        let folder = workspace::target()?.join("debug");
        Ok(Programs {
            sanderling: firmware::command_line()?,
            coordinator: folder.join("sanderling-coordinator"),
            agent: folder.join("sanderling-agent"),
        })
    }

    /// One `sanderling` command against the coordinator at `url`; gives what it printed as JSON.
    pub fn sanderling(
        &self,
        url: &str,
        arguments: &[&str],
        deadline: u64,
    ) -> anyhow::Result<serde_json::Value> {
        let what = format!("sanderling {}", arguments.first().unwrap_or(&""));
        let finished = Job::new(what.clone(), &self.sanderling)
            .arg("--json")
            .args(arguments)
            .env("SANDERLING_COORDINATOR", url)
            .deadline(deadline)
            .output()?;
        let text = finished.text();
        let line = text
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or_default();
        serde_json::from_str(line).with_context(|| format!("{what} printed no JSON: {line}"))
    }
}

/// What the coordinator says when it is ready.
#[derive(Clone, Deserialize)]
pub struct Ready {
    /// Its API.
    pub http: String,
    /// Its broker.
    pub mqtt: String,
}

/// Starts a coordinator with its own broker on free ports, and `more` arguments, and waits until it is ready.
pub fn coordinator(
    programs: &Programs,
    folder: &Path,
    more: &[&str],
) -> anyhow::Result<(Running, Ready)> {
    let mut coordinator = Job::new("coordinator", &programs.coordinator)
        .args([
            "--http",
            "127.0.0.1:0",
            "--mqtt",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(folder.join("coordinator"))
        .args(more)
        .spawn_that_says_when_ready(&folder.join("coordinator.log"))?;
    let line = coordinator
        .first_line(READY_DEADLINE)
        .with_context(|| format!("its log: {}", folder.join("coordinator.log").display()))?;
    let ready =
        serde_json::from_str(&line).with_context(|| format!("the coordinator said: {line}"))?;
    Ok((coordinator, ready))
}

/// A robot's recording and pace.
pub struct Robot<'a> {
    /// Its name in the fleet.
    pub name: &'a str,
    /// The frames it sees.
    pub frames: &'a Path,
    /// Frames a second.
    pub rate: u32,
}

/// What an agent tells of itself in its status file.
#[derive(Deserialize)]
pub struct Status {
    /// Frames that the source gave.
    pub frames_in: u64,
    /// Frames that were answered.
    pub frames_out: u64,
    /// Frames that the queue let go because the model was slower than the source.
    pub frames_dropped: u64,
    /// Calls to the allocator while inferring.
    pub allocations: u64,
    /// The models that answered, in order.
    pub models: Vec<Answered>,
}

impl Status {
    /// The last frame of the first model and the first frame of the second one; `None`
    /// unless exactly two models answered.
    pub fn turn(&self) -> Option<[u64; 2]> {
        let [first, second] = self.models.as_slice() else {
            return None;
        };
        Some([first.last_seq, second.first_seq])
    }
}

/// A model's share of a robot's frames.
#[derive(Deserialize)]
pub struct Answered {
    /// Frames that it answered.
    pub frames: u64,
    /// The first one's number.
    pub first_seq: u64,
    /// The last one's number.
    pub last_seq: u64,
}

/// Reads a robot's status file.
pub fn status(name: &str, folder: &Path) -> anyhow::Result<Status> {
    let path = folder.join(name).join("status.json");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} says: {text}", path.display()))
}

/// Starts a robot's agent.
pub fn robot(
    programs: &Programs,
    robot: &Robot<'_>,
    broker: &str,
    folder: &Path,
) -> anyhow::Result<Running> {
    let state = folder.join(robot.name);
    fs::create_dir_all(&state).with_context(|| format!("cannot make {}", state.display()))?;
    Job::new(robot.name, &programs.agent)
        .args([
            "--device",
            robot.name,
            "--broker",
            broker,
            "--loop",
            "--rate",
            &robot.rate.to_string(),
        ])
        .args([
            "--health-seconds",
            "1",
            "--trial-inferences",
            "50",
            "--trial-seconds",
            "1",
        ])
        .arg("--source")
        .arg(robot.frames)
        .arg("--state-dir")
        .arg(&state)
        .arg("--status-file")
        .arg(state.join("status.json"))
        .spawn(&folder.join(format!("{}.log", robot.name)))
}
