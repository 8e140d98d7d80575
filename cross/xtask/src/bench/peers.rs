//! What other engines need: stored figures, and those that can be timed here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use super::Peer;
use crate::process::Job;
use crate::terminal::say;
use crate::{firmware, python, workspace};

/// Seconds that one peer may take, start included.
const DEADLINE: u64 = 180;

/// `cross/peers.toml`.
#[derive(Deserialize)]
pub struct Stored {
    sources: BTreeMap<String, String>,
    /// By network, by board.
    network: BTreeMap<String, BTreeMap<String, Vec<Figure>>>,
}

#[derive(Deserialize)]
struct Figure {
    engine: String,
    value: f64,
    source: String,
}

/// Reads the stored figures.
pub fn stored() -> anyhow::Result<Stored> {
    let path = workspace::root().join("cross/peers.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} does not parse", path.display()))
}

impl Stored {
    /// The figures of the network whose name `network` begins with.
    pub fn of(&self, network: &str, board: &str) -> Vec<Peer> {
        let figures = self
            .network
            .iter()
            .find(|(name, _)| network.starts_with(name.as_str()))
            .and_then(|(_, boards)| boards.get(board));
        let peer = |figure: &Figure| Peer {
            engine: figure.engine.clone(),
            value: figure.value,
            source: self
                .sources
                .get(&figure.source)
                .unwrap_or(&figure.source)
                .clone(),
            live: false,
        };
        figures.into_iter().flatten().map(peer).collect()
    }
}

/// Peers that run on this machine.
pub struct Live {
    python: PathBuf,
}

impl Live {
    /// Installs what is missing.
    pub fn set_up() -> anyhow::Result<Self> {
        Ok(Live {
            python: python::peers()?,
        })
    }

    /// The median time of each on `model` with the frame in `frames`. One that does not run
    /// is named and left out.
    pub fn time(&self, model: &Path, frames: &Path, seconds: f64) -> Vec<Peer> {
        let timed = [
            self.script(
                "ONNX Runtime",
                "onnxruntime_time.py",
                model,
                frames,
                seconds,
            ),
            self.script("LiteRT", "litert_time.py", model, frames, seconds),
            tract(model, seconds),
        ];
        timed
            .into_iter()
            .filter_map(|result| {
                result
                    .inspect_err(|error| {
                        let text = format!("{error:#}");
                        let lines: Vec<&str> = text.lines().collect();
                        let last = lines.last().copied().unwrap_or_default();
                        say(format!(
                            "left out: {}: {last}",
                            lines.first().unwrap_or(&"")
                        ));
                    })
                    .ok()
            })
            .collect()
    }

    fn script(
        &self,
        engine: &str,
        script: &str,
        model: &Path,
        frames: &Path,
        seconds: f64,
    ) -> anyhow::Result<Peer> {
        let said = Job::new(format!("timing {engine}"), &self.python)
            .arg(workspace::root().join("cross/peers").join(script))
            .arg(model)
            .arg(frames)
            .arg(seconds.to_string())
            .env("ORT_DISABLE_TELEMETRY", "1")
            .deadline(DEADLINE)
            .output()?
            .text();
        let object = last_object(&said)?;
        Ok(Peer {
            engine: engine.to_string(),
            value: median(&object)?,
            source: format!(
                "this run, {engine} {}",
                object["version"].as_str().unwrap_or_default()
            ),
            live: true,
        })
    }
}

/// tract, by way of the command line, which the tests' profile builds.
fn tract(model: &Path, seconds: f64) -> anyhow::Result<Peer> {
    let said = Job::new("timing tract", firmware::command_line()?)
        .arg("bench")
        .arg(model)
        .args(["--executor", "tract", "--threads", "1", "--json"])
        .args(["--seconds", &seconds.to_string()])
        .deadline(DEADLINE)
        .output()?
        .text();
    Ok(Peer {
        engine: "tract".to_string(),
        value: median(&last_object(&said)?)?,
        source: "this run, in float, profile dev".to_string(),
        live: true,
    })
}

fn last_object(said: &str) -> anyhow::Result<Value> {
    serde_json::from_str(said.lines().last().unwrap_or_default())
        .context("the last line is no JSON object")
}

fn median(object: &Value) -> anyhow::Result<f64> {
    object["median_us"]
        .as_f64()
        .context("it names no median_us")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_figures_are_found_by_the_beginning_of_a_name() {
        let stored = stored().unwrap();
        let peers = stored.of("ic01_resnet8_int8", "mps2-an386");
        assert_eq!(peers.len(), 1);
        assert!(peers[0].source.contains("QEMU"), "{}", peers[0].source);
        assert!(stored.of("digits-v1", "mps2-an386").is_empty());
    }
}
