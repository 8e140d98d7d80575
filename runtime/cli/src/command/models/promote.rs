//! `sanderling models promote` and `archive`: from stage to stage.

use super::checks::{Comparison, tables};
use super::say_progress;
use crate::answer::{Answer, print_json};
use crate::command::who::Who;
use crate::coordinator::{Asked, At, Coordinator, field, message, segment};
use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};

/// Seconds that the coordinator may wait before it says how far it is.
const PATIENCE: u64 = 1;

/// Bring a version to production, where no slice of the required holdouts is worse than allowed
///
/// The coordinator measures what was not measured before, with the engine itself. A refusal
/// ends with exit code 1 and the table that shows which slice got worse.
#[derive(Debug, Args)]
pub struct Promote {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: Who,
    /// The model's name
    name: String,
    /// Its version
    #[arg(long)]
    version: u32,
    /// Where to: production, or back to staging
    #[arg(long, value_name = "STAGE", default_value = "production", value_parser = ["production", "staging"])]
    to: String,
    /// Compare on this holdout too; may be given several times
    #[arg(long = "holdout", value_name = "NAME")]
    holdouts: Vec<String>,
    /// What a slice may lose this once: points of accuracy or IoU, percent of an error
    #[arg(long, value_name = "PERCENT")]
    allow_worse: Option<f64>,
}

/// Archive a version: it runs on where it runs, and is given to no robot anew
#[derive(Debug, Args)]
pub struct Archive {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: Who,
    /// The model's name
    name: String,
    /// Its version
    #[arg(long)]
    version: u32,
}

impl Promote {
    /// Asks until it is decided.
    pub fn run(&self, json: bool) -> anyhow::Result<Answer> {
        let mut body = json!({
            "stage": self.to,
            "holdouts": self.holdouts,
            "by": self.who.name(),
            "wait_s": PATIENCE,
        });
        if let (Some(percent), Value::Object(body)) = (self.allow_worse, &mut body) {
            body.insert("allow_worse".to_owned(), json!(percent));
        }
        let coordinator = Coordinator::at(&self.at)?;
        let path = path(&self.name, self.version);
        let mut said = String::new();
        loop {
            match coordinator.ask(&path, &body)? {
                Asked::Later(answer) => say_progress(&answer, &mut said)?,
                Asked::Done(answer) => return told(answer),
                Asked::Refused(refusal) => return Err(refused(&refusal, json)?),
            }
        }
    }
}

impl Archive {
    /// Asks once.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let body = json!({ "stage": "archived", "by": self.who.name() });
        let path = path(&self.name, self.version);
        told(Coordinator::at(&self.at)?.post_json(&path, &body)?)
    }
}

fn path(name: &str, version: u32) -> String {
    format!("/v1/models/{}/{version}/stage", segment(name))
}

fn told(answer: Value) -> anyhow::Result<Answer> {
    let name: String = field(&answer, "model")?;
    let version: u32 = field(&answer, "version")?;
    let stage: String = field(&answer, "stage")?;
    let archived: Vec<u32> = field(&answer, "archived")?;
    let checks: Vec<Comparison> = field(&answer, "checks")?;
    let stage = match stage.as_str() {
        "archived" => stage,
        stage => format!("in {stage}"),
    };
    let mut text = tables(&checks);
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&match field(&answer, "changed")? {
        true => format!("{name} v{version} is {stage}"),
        false => format!("{name} v{version} was {stage} before"),
    });
    for version in archived {
        text.push_str(&format!("; v{version} is archived"));
    }
    Ok(Answer::new(text, answer))
}

/// The refusal as an error; with `--json` the whole of it is the answer, beside the exit code.
fn refused(refusal: &Value, json: bool) -> anyhow::Result<anyhow::Error> {
    let error: Value = field(refusal, "error")?;
    let message = message(refusal)?;
    if json {
        print_json(refusal)?;
        return Ok(anyhow!(message));
    }
    let checks: Option<Vec<Comparison>> = field(&error, "checks")?;
    let tables = tables(&checks.unwrap_or_default());
    Ok(match tables.is_empty() {
        true => anyhow!(message),
        false => anyhow!("{message}\n\n{}", tables.trim_end()),
    })
}
