//! The suite's index, as models/opsuite/make.py writes it.

use std::collections::BTreeMap;
use std::path::Path;

#[derive(serde::Deserialize)]
pub struct Index {
    pub seed: u64,
    /// Operators whose node tests were collected; none in a suite without them.
    #[serde(default)]
    pub operators: Vec<String>,
    pub cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
pub struct Case {
    pub name: String,
    /// An ONNX operator, or in lower case what else it is about.
    pub operator: String,
    pub executors: Vec<String>,
    /// `opsuite`, or `onnx` for the package's node tests.
    pub source: String,
    /// Steps by which an output may differ.
    pub tolerance: f64,
    /// Share of an output by which it may differ.
    pub relative: f64,
    /// Amount by which an output may differ.
    pub absolute: f64,
    /// Size of a step, by output.
    pub steps: BTreeMap<String, f64>,
}

impl Index {
    pub fn read(folder: &Path) -> Self {
        let index = folder.join("index.json");
        serde_json::from_slice(&std::fs::read(index).unwrap()).unwrap()
    }
}

impl Case {
    /// Whether every bit must be the same.
    pub fn is_exact(&self) -> bool {
        self.tolerance == 0.0 && self.relative == 0.0 && self.absolute == 0.0
    }

    /// Whether `ours` may stand for `theirs`, where a step is `step`.
    pub fn allows(&self, ours: f64, theirs: f64, step: f64) -> bool {
        if ours == theirs || (ours.is_nan() && theirs.is_nan()) {
            return true;
        }
        // Real outputs are a whole number of steps apart but for their last bits.
        let steps = match self.tolerance {
            0.0 => 0.0,
            tolerance => (tolerance + 1e-3) * step,
        };
        (ours - theirs).abs() <= steps + self.relative * theirs.abs() + self.absolute
    }
}
