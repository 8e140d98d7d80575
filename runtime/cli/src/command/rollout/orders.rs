//! `sanderling rollout pause`, `resume`, and `abort`.

use super::{View, picture, views};
use crate::answer::Answer;
use crate::command::who::Who;
use crate::coordinator::{At, Coordinator};
use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

/// Which rollout, and who asks.
#[derive(Debug, Args)]
pub struct Which {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: Who,
    /// The rollout's number [default: the newest that is under way]
    rollout: Option<i64>,
}

/// Stop a rollout where it stands; robots keep what they have
#[derive(Debug, Args)]
pub struct Pause {
    #[command(flatten)]
    which: Which,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

/// Let a rollout go on; what a gate measured is accepted
#[derive(Debug, Args)]
pub struct Resume {
    #[command(flatten)]
    which: Which,
}

/// End a rollout as it stands, or with the old version put back
#[derive(Debug, Args)]
pub struct Abort {
    #[command(flatten)]
    which: Which,
    /// Put the old version back
    #[arg(long)]
    revert: bool,
}

impl Which {
    fn order(&self, order: &str, mut body: Value) -> anyhow::Result<Answer> {
        let coordinator = Coordinator::at(&self.at)?;
        let id = match self.rollout {
            Some(id) => id,
            None => newest(&coordinator)?,
        };
        if let Value::Object(body) = &mut body {
            body.insert("order".to_owned(), json!(order));
            body.insert("by".to_owned(), json!(self.who.name()));
        }
        let answer = coordinator.post_json(&format!("/v1/rollouts/{id}/orders"), &body)?;
        let text = picture::of(&View::of(&answer)?);
        Ok(Answer::new(text, answer))
    }
}

fn newest(coordinator: &Coordinator) -> anyhow::Result<i64> {
    for value in views(&coordinator.get("/v1/rollouts", &[])?)? {
        let view = View::of(&value)?;
        if !view.is_over() {
            return Ok(view.id);
        }
    }
    bail!("no rollout is under way; `sanderling rollout history` lists those that were")
}

impl Pause {
    pub fn run(&self) -> anyhow::Result<Answer> {
        self.which.order("pause", json!({ "why": self.why }))
    }
}

impl Resume {
    pub fn run(&self) -> anyhow::Result<Answer> {
        self.which.order("resume", json!({}))
    }
}

impl Abort {
    pub fn run(&self) -> anyhow::Result<Answer> {
        self.which
            .order("abort", json!({ "revert": self.revert }))
            .context("the rollout was not aborted")
    }
}
