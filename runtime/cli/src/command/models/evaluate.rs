//! `sanderling models evaluate`: how good a version is on a holdout.

use super::checks::{measure, slice, value};
use super::say_progress;
use crate::answer::Answer;
use crate::command::who::Who;
use crate::coordinator::{Asked, At, Coordinator, field, message, segment};
use crate::table::{Align, Table};
use crate::text;
use anyhow::bail;
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

/// Measure a version on a holdout, slice by slice; the coordinator does it, with the engine itself
#[derive(Debug, Args)]
pub struct Evaluate {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: Who,
    /// The model's name
    name: String,
    /// Its version
    #[arg(long)]
    version: u32,
    /// The holdout; `sanderling holdouts` lists them
    #[arg(long, value_name = "NAME")]
    holdout: String,
}

#[derive(Deserialize)]
struct Evaluation {
    target: String,
    scores: Scores,
    took_ms: u64,
}

#[derive(Deserialize)]
struct Scores {
    measure: String,
    all: Score,
    slices: Vec<Score>,
}

#[derive(Deserialize)]
struct Score {
    slice: Option<String>,
    frames: u64,
    value: f64,
}

impl Evaluate {
    /// Asks until it is measured.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let coordinator = Coordinator::at(&self.at)?;
        let path = format!(
            "/v1/models/{}/{}/evaluations",
            segment(&self.name),
            self.version
        );
        let body = json!({ "holdout": self.holdout, "by": self.who.name(), "wait_s": 1 });
        let mut said = String::new();
        let answer = loop {
            match coordinator.ask(&path, &body)? {
                Asked::Later(answer) => say_progress(&answer, &mut said)?,
                Asked::Done(answer) => break answer,
                Asked::Refused(refusal) => bail!(message(&refusal)?),
            }
        };
        let evaluation: Value = field(&answer, "evaluation")?;
        let done: Evaluation = field(&answer, "evaluation")?;
        let mut table = Table::new(&[
            ("slice", Align::Left),
            ("frames", Align::Right),
            ("value", Align::Right),
        ]);
        for score in std::iter::once(&done.scores.all).chain(&done.scores.slices) {
            table.row([
                slice(score.slice.as_deref()),
                text::count(score.frames),
                value(&done.scores.measure, score.value),
            ]);
        }
        let text = format!(
            "{} v{} on {}: {}, {} frames in {} (the plan for {})\n{}",
            self.name,
            self.version,
            self.holdout,
            measure(&done.scores.measure),
            text::count(done.scores.all.frames),
            text::duration(done.took_ms as f64 / 1e3),
            done.target,
            table.render()
        );
        Ok(Answer::new(text, evaluation))
    }
}
