//! What the demo's robots see: the terrain recordings where they are, else the digits
//! that a Python package carries.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::process::Job;
use crate::workspace;

/// A model of the zoo and frames for it.
pub struct Recording {
    /// The model's name.
    pub model: &'static str,
    /// What the data is and where it comes from, for the user.
    pub description: &'static str,
    /// The classes' names.
    pub labels: Vec<String>,
    /// One file of frames and true classes for each robot.
    pub frames: Vec<PathBuf>,
}

impl Recording {
    /// Chooses the data and writes `robots` files of frames to `folder`, each in an order of its own.
    pub fn choose(python: &Path, folder: &Path, robots: usize) -> anyhow::Result<Self> {
        let terrain =
            workspace::shared().is_some_and(|shared| shared.join("robot-data/terrain").is_dir());
        let (model, description) = if terrain {
            (
                "terrain",
                "terrain, recorded by a Husky A200 (a large outdoor robot): what surface is it driving on? Runs that training never saw",
            )
        } else {
            (
                "digits",
                "digits, scikit-learn's handwritten ones (the robot recordings are not here): the part that training never saw",
            )
        };
        let models = workspace::root().join("models");
        let mut frames = Vec::new();
        for robot in 0..robots {
            let path = folder.join(format!("frames-{}.npz", robot + 1));
            let mut job = Job::new("writing frames", python)
                .arg(models.join("frames.py"))
                .args([model, "--seed", &robot.to_string(), "--out"])
                .arg(&path);
            if let Some(shared) = workspace::shared() {
                job = job.arg("--shared").arg(shared);
            }
            job.deadline(120).output()?;
            frames.push(path);
        }
        let labels = models.join(model).join("labels.txt");
        let labels = fs::read_to_string(&labels)
            .with_context(|| format!("cannot read {}", labels.display()))?;
        Ok(Recording {
            model,
            description,
            labels: labels.lines().map(str::to_string).collect(),
            frames,
        })
    }

    /// The ONNX file of a version.
    pub fn onnx(&self, version: u32) -> PathBuf {
        workspace::root()
            .join("models")
            .join(self.model)
            .join(format!("{}-v{version}.onnx", self.model))
    }
}

/// The size of a version's plan for Linux robots, as `sanderling models --json` lists it.
pub fn plan_bytes(models: &serde_json::Value, name: &str, version: u32) -> Option<u64> {
    let entry = models.get("models")?.as_array()?.iter().find(|m| {
        m.get("name").is_some_and(|n| n == name) && m.get("version").is_some_and(|v| *v == version)
    })?;
    let plans = entry.get("artifacts")?.as_array()?;
    plans
        .iter()
        .find(|plan| plan.get("target").is_some_and(|t| t == "generic"))?
        .get("size")?
        .as_u64()
}
