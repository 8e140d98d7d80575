//! `sanderling models policy`: what versions of a model must pass before production.

use crate::answer::Answer;
use crate::command::who::Who;
use crate::coordinator::{At, Coordinator, field, segment};
use clap::Args;
use serde_json::{Map, Value, json};

/// Show or set what versions of a model must pass before production
///
/// Without options it shows the policy. A slice may lose --allow-worse, 1 unless said
/// otherwise: percentage points of accuracy or mean IoU, percent of a mean absolute error.
#[derive(Debug, Args)]
pub struct Policy {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: Who,
    /// The model's name
    name: String,
    /// The holdouts that each version is compared on with the one in production
    #[arg(long, value_name = "HOLDOUTS", value_delimiter = ',')]
    require: Vec<String>,
    /// Ask for no holdout
    #[arg(long, conflicts_with = "require")]
    require_nothing: bool,
    /// What a slice may lose
    #[arg(long, value_name = "PERCENT")]
    allow_worse: Option<f64>,
    /// Slices with fewer frames are shown and do not count
    #[arg(long, value_name = "FRAMES")]
    min_frames: Option<u64>,
}

impl Policy {
    /// Shows or sets it.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let coordinator = Coordinator::at(&self.at)?;
        let path = format!("/v1/models/{}/policy", segment(&self.name));
        let mut body = Map::new();
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(key.to_owned(), value);
            }
        };
        let holdouts = self.require_nothing || !self.require.is_empty();
        set("holdouts", holdouts.then(|| json!(self.require)));
        set(
            "allow_worse",
            self.allow_worse.map(|percent| json!(percent)),
        );
        set("min_frames", self.min_frames.map(|frames| json!(frames)));
        let answer = if body.is_empty() {
            coordinator.get(&path, &[])?
        } else {
            body.insert("by".to_owned(), json!(self.who.name()));
            coordinator.put(&path, &Value::Object(body))?
        };
        let holdouts: Vec<String> = field(&answer, "holdouts")?;
        let allow_worse: f64 = field(&answer, "allow_worse")?;
        let min_frames: u64 = field(&answer, "min_frames")?;
        let text = match holdouts.as_slice() {
            [] => format!(
                "{}: no holdout is required; `--require NAME` asks for one",
                self.name
            ),
            names => format!(
                "{}: on {}, no slice of {min_frames} frames or more may lose more than {allow_worse} \
                 (points of accuracy or IoU, percent of an error)",
                self.name,
                names.join(" and ")
            ),
        };
        Ok(Answer::new(text, answer))
    }
}
