//! `sanderling rollout start`.

use super::{View, picture};
use crate::answer::Answer;
use crate::command::who::Who;
use crate::coordinator::{At, Coordinator};
use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Begin a rollout
#[derive(Debug, Args)]
pub struct Start {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: Who,
    /// The model's name
    name: String,
    /// The new version
    #[arg(long)]
    version: u32,
    /// The group
    #[arg(long, default_value = "all")]
    group: String,
    /// A policy in TOML or JSON; options here override its fields
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// all-at-once, waves, canary, shadow, ab, or bandit [default: waves]
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
    /// The waves' sizes, such as 1%,10%,50% or 5,100%
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    waves: Vec<String>,
    /// Seconds that each stage is watched after enough of its robots have settled
    #[arg(long, value_name = "SECONDS")]
    soak: Option<u64>,
    /// How many robots of a stage must have settled; 0 waits for nobody [default: half of those online]
    #[arg(long, value_name = "ROBOTS")]
    min_reports: Option<u32>,
    /// Seconds after which others are drawn where none of a stage's robots is there [default: the soak time, 10 to 600]
    #[arg(long, value_name = "SECONDS")]
    redraw: Option<u64>,
    /// canary: its size
    #[arg(long, value_name = "SIZE")]
    canary: Option<String>,
    /// shadow: on how many the new version runs without acting
    #[arg(long, value_name = "SIZE")]
    shadow: Option<String>,
    /// ab: the new version's share
    #[arg(long, value_name = "SIZE")]
    split: Option<String>,
    /// A gate's limit, such as fallbacks=0.01, psi=off, or min_robots=20; may be given again
    #[arg(long = "gate", value_name = "NAME=LIMIT")]
    gates: Vec<String>,
    /// What follows when a gate trips: pause or revert
    #[arg(long, value_name = "WHAT")]
    on_trip: Option<String>,
    /// Bytes that a robot asks for at a time, 256 to 65536
    #[arg(long, value_name = "BYTES")]
    chunk_size: Option<u32>,
}

/// A number of robots, or a percentage as text.
fn size(text: &str) -> Value {
    text.parse::<u32>()
        .map_or_else(|_| json!(text), |count| json!(count))
}

impl Start {
    pub fn run(&self) -> anyhow::Result<Answer> {
        let mut body = json!({
            "group": self.group,
            "model": self.name,
            "version": self.version,
            "policy": self.policy()?,
            "by": self.who.name(),
        });
        if let (Some(bytes), Value::Object(body)) = (self.chunk_size, &mut body) {
            body.insert("chunk_size".to_owned(), json!(bytes));
        }
        let answer = Coordinator::at(&self.at)?.post_json("/v1/rollouts", &body)?;
        let text = picture::of(&View::of(&answer)?);
        Ok(Answer::new(text, answer))
    }

    fn policy(&self) -> anyhow::Result<Map<String, Value>> {
        let mut policy = match &self.policy {
            Some(path) => {
                let shown = path.display();
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the policy {shown}"))?;
                let value: Value = if path.extension().is_some_and(|e| e == "json") {
                    serde_json::from_str(&text).with_context(|| format!("{shown} is no JSON"))?
                } else {
                    toml::from_str(&text).with_context(|| format!("{shown} is no TOML"))?
                };
                match value {
                    Value::Object(policy) => policy,
                    _ => bail!("{shown} holds no table of fields"),
                }
            }
            None => Map::new(),
        };
        policy.entry("strategy").or_insert_with(|| json!("waves"));
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                policy.insert(name.to_owned(), value);
            }
        };
        set("strategy", self.strategy.as_ref().map(|name| json!(name)));
        let waves: Vec<Value> = self.waves.iter().map(|wave| size(wave)).collect();
        set("waves", (!waves.is_empty()).then(|| json!(waves)));
        set("soak_s", self.soak.map(|s| json!(s)));
        set("min_reports", self.min_reports.map(|n| json!(n)));
        set("redraw_s", self.redraw.map(|s| json!(s)));
        set("canary", self.canary.as_deref().map(size));
        set("shadow", self.shadow.as_deref().map(size));
        set("split", self.split.as_deref().map(size));
        set("on_trip", self.on_trip.as_ref().map(|what| json!(what)));
        for gate in &self.gates {
            let Some((name, limit)) = gate.split_once('=') else {
                bail!("--gate {gate} has no limit; give NAME=LIMIT, such as fallbacks=0.01");
            };
            let limit: Value = serde_json::from_str(limit).unwrap_or_else(|_| json!(limit));
            let gates = policy.entry("gates").or_insert_with(|| json!({}));
            match gates {
                Value::Object(gates) => gates.insert(name.trim().to_owned(), limit),
                _ => bail!("the policy's `gates` is no table"),
            };
        }
        Ok(policy)
    }
}
