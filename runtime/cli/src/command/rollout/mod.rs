//! `sanderling rollout`: takes a new version through a group of robots, by evidence.

mod history;
mod orders;
mod picture;
mod start;
mod status;

use crate::answer::Answer;
use crate::coordinator::field;
use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;

const EXAMPLES: &str = "\
Examples:
  sanderling rollout start terrain --version 2 --strategy waves --waves 1%,10%,50% --soak 600
  sanderling rollout start terrain --version 2 --policy friday.toml --group hall-2
  sanderling rollout status --watch
  sanderling rollout pause 7 --why 'robots report odd noises'
  sanderling rollout resume 7
  sanderling rollout abort 7 --revert
  sanderling rollout history --group hall-2

Strategies: all-at-once, waves, canary, shadow, ab, bandit. Gates stop a rollout whose new
version does worse than allowed; all are on by default: failed_installs 0.05, fallbacks 0.05,
p99_ratio 1.5, disagreement 0.1, low_confidence 0.1, psi 0.25. Without a number, an order goes
to the newest rollout that is under way.";

/// Take a new version through a group, by waves or otherwise, watched by gates
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Rollout {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Start(Box<start::Start>),
    Status(status::Status),
    Pause(orders::Pause),
    Resume(orders::Resume),
    Abort(orders::Abort),
    History(history::History),
}

impl Rollout {
    /// Does it.
    pub fn run(&self, json: bool) -> anyhow::Result<Answer> {
        match &self.what {
            What::Start(start) => start.run(),
            What::Status(status) => status.run(json),
            What::Pause(pause) => pause.run(),
            What::Resume(resume) => resume.run(),
            What::Abort(abort) => abort.run(),
            What::History(history) => history.run(),
        }
    }
}

/// A rollout, as far as it is shown.
#[derive(Debug, Deserialize)]
struct View {
    id: i64,
    group: String,
    model: String,
    version: u32,
    base: Option<(String, u32)>,
    by: String,
    policy: Value,
    summary: Summary,
    audit: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Summary {
    status: String,
    why: Option<Why>,
    stage: u32,
    stages: u32,
    share: f64,
    known: u64,
    offline: u64,
    updated: u64,
    failed: u64,
    fell_back: u64,
    waits_for: Option<String>,
    gates: Vec<Gate>,
}

#[derive(Debug, Deserialize)]
struct Why {
    by: String,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Gate {
    gate: String,
    value: f64,
    limit: f64,
    samples: u64,
    tripped: bool,
}

/// A line of the audit log.
#[derive(Debug, Deserialize)]
struct Line {
    at_ms: i64,
    by: String,
    act: String,
    rollout: Option<i64>,
    text: String,
}

impl View {
    fn of(value: &Value) -> anyhow::Result<View> {
        serde_json::from_value(value.clone())
            .context("the coordinator's answer is no rollout; do versions match?")
    }

    fn is_over(&self) -> bool {
        matches!(self.summary.status.as_str(), "finished" | "aborted")
    }
}

/// The rollouts of an answer, newest first.
fn views(answer: &Value) -> anyhow::Result<Vec<Value>> {
    field(answer, "rollouts")
}
