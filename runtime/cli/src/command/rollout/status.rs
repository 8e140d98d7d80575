//! `sanderling rollout status`: how far a rollout is, once or as it goes on.

use super::{View, picture, views};
use crate::answer::{Answer, draw, print, print_json, shown};
use crate::coordinator::{At, Coordinator, field};
use anyhow::bail;
use clap::Args;
use serde_json::Value;
use std::io::IsTerminal;
use std::time::Duration;

/// Show how far a rollout is
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    at: At,
    /// The rollout's number [default: the newest]
    rollout: Option<i64>,
    /// The newest of this group
    #[arg(long)]
    group: Option<String>,
    /// Show every change until it is over
    #[arg(long)]
    watch: bool,
}

impl Status {
    pub fn run(&self, json: bool) -> anyhow::Result<Answer> {
        let coordinator = Coordinator::at(&self.at)?;
        let id = match self.rollout {
            Some(id) => id,
            None => self.newest(&coordinator)?,
        };
        let path = format!("/v1/rollouts/{id}");
        let mut said = String::new();
        let live = !json && std::io::stdout().is_terminal();
        let mut next: Option<i64> = None;
        loop {
            let answer = coordinator.get(&path, &[])?;
            let view = View::of(&answer)?;
            let text = picture::of(&view);
            if !self.watch || view.is_over() {
                return Ok(Answer::new(text, answer));
            }
            if text != said {
                if json {
                    print_json(&answer)?;
                } else if live {
                    draw(&format!("\x1b[2J\x1b[H{}", shown(&text)))?;
                } else {
                    print(&text)?;
                }
                said = text;
            }
            next = Some(news(&coordinator, next)?);
        }
    }

    fn newest(&self, coordinator: &Coordinator) -> anyhow::Result<i64> {
        let mut query = vec![("limit", "1")];
        query.extend(self.group.as_deref().map(|group| ("group", group)));
        let found: Vec<Value> = views(&coordinator.get("/v1/rollouts", &query)?)?;
        match found.first() {
            Some(value) => Ok(View::of(value)?.id),
            None => bail!("there was no rollout yet; `sanderling rollout start` begins one"),
        }
    }
}

/// Waits for something to happen in the fleet, for two seconds at most.
fn news(coordinator: &Coordinator, after: Option<i64>) -> anyhow::Result<i64> {
    let after = after.map(|id| id.to_string());
    let mut query = vec![("wait_s", "2")];
    query.extend(after.as_deref().map(|id| ("after", id)));
    let answer = coordinator.get_waiting("/v1/events", &query, Duration::from_secs(2))?;
    field(&answer, "next")
}
