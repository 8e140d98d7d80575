//! `sanderling models` alone: what is registered.

use crate::answer::Answer;
use crate::coordinator::{At, Coordinator, field};
use crate::table::{Align, Table};
use crate::text;
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Which models are listed.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    at: At,
    /// Only versions of this model
    #[arg(long)]
    name: Option<String>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
    version: u32,
    stage: String,
    labels: Map<String, Value>,
    artifacts: Vec<Artifact>,
}

#[derive(Deserialize)]
struct Artifact {
    target: String,
    digest: String,
    size: u64,
    arena: u64,
    macs: u64,
}

impl List {
    /// Asks and lists.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let query: Vec<(&str, &str)> = self
            .name
            .iter()
            .map(|name| ("name", name.as_str()))
            .collect();
        let answer = Coordinator::at(&self.at)?.get("/v1/models", &query)?;
        let models: Vec<Model> = field(&answer, "models")?;
        if models.is_empty() {
            return Ok(Answer::new(
                "no models; `sanderling register` adds one",
                answer,
            ));
        }
        let mut table = Table::new(&[
            ("model", Align::Left),
            ("version", Align::Right),
            ("stage", Align::Left),
            ("target", Align::Left),
            ("flash", Align::Right),
            ("arena", Align::Right),
            ("MACs", Align::Right),
            ("digest", Align::Left),
            ("labels", Align::Left),
        ]);
        for model in &models {
            for artifact in &model.artifacts {
                table.row([
                    model.name.clone(),
                    model.version.to_string(),
                    model.stage.clone(),
                    artifact.target.clone(),
                    format!("{} B", text::count(artifact.size)),
                    format!("{} B", text::count(artifact.arena)),
                    text::count(artifact.macs),
                    artifact.digest.chars().take(12).collect(),
                    labels(&model.labels),
                ]);
            }
        }
        Ok(Answer::new(table.render(), answer))
    }
}

fn labels(labels: &Map<String, Value>) -> String {
    let one = |(key, value): (&String, &Value)| match value {
        Value::String(text) => format!("{key}={text}"),
        other => format!("{key}={other}"),
    };
    labels.iter().map(one).collect::<Vec<_>>().join(" ")
}
