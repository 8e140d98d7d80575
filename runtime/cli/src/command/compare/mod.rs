//! `sanderling compare`: the engine against ONNX Runtime under each of its settings.

mod difference;
mod python;

use super::recording::{Recording, answer_all};
use super::{Executor, say_executor};
use crate::answer::Answer;
use crate::table::{Align, Table};
use crate::text;
use anyhow::{Context, bail};
use clap::Args;
use difference::Difference;
use python::{Report, Setting};
use sanderling_executor::frames::{self, Array};
use sanderling_executor::{Model, is_plan};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  sanderling compare keyword.onnx --input words.npz
  sanderling compare keyword.onnx --input words.npz --python ort/bin/python --json
  sanderling compare partly-float.onnx --input frames.npz --executor mixed

ONNX Runtime gives other answers under other settings, and on some processors its integer
kernels saturate. Each setting is run over all frames. Whether a kernel that it uses is exact on
this processor is found by running it on operands that saturate and by integer arithmetic.
Python is --python, or SANDERLING_PYTHON, or the environment that `cargo xtask setup` makes, or
python3: the first that has the packages onnxruntime, onnx, and numpy.";

/// Compare the engine's answers with ONNX Runtime's, under each of its settings
///
/// Says for each setting how many values differ from the engine's, by how much, and how often
/// another class comes first; which setting computes exactly on this processor; and why the
/// others do not.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Compare {
    /// An ONNX model
    model: PathBuf,
    /// What is held against ONNX Runtime
    #[arg(long, value_enum, default_value = "engine")]
    executor: Executor,
    #[command(flatten)]
    recording: Recording,
    /// The Python that runs ONNX Runtime
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Seconds that ONNX Runtime may take for all settings
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    deadline: u64,
}

impl Compare {
    /// Runs both and compares.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let bytes = fs::read(&self.model)
            .with_context(|| format!("cannot open {}", self.model.display()))?;
        if is_plan(&bytes) {
            bail!(
                "{} is a plan, which ONNX Runtime cannot read; give the ONNX model that it was compiled from",
                self.model.display()
            );
        }
        let mut model = super::open(&self.model, self.executor, None)?;
        say_executor(&model);
        let feed = self.recording.feed(&model)?;
        let python = python::find(self.python.as_deref())?;
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let names: Vec<String> = (model.outputs().iter().map(|o| o.name.clone())).collect();
        let request = json!({
            "model": fs::canonicalize(&self.model)?,
            "inputs": feed.arrays.len(),
            "frames": feed.frames,
            "outputs": names,
        });
        fs::write(folder.path().join("request.json"), request.to_string())?;
        let numbered = feed.arrays.iter().enumerate().map(|(number, array)| {
            let mut header = array.header.clone();
            header.name = format!("in{number}");
            Array::new(header, array.bytes().to_vec())
        });
        let numbered: Vec<Array> = numbered.collect::<Result<_, _>>()?;
        frames::write_npz(&folder.path().join("frames.npz"), &numbered)?;
        let ours = answer_all(&mut model, &feed)?;
        let deadline = Duration::from_secs(self.deadline);
        let report = python::run(&python, folder.path(), deadline, |name| {
            eprintln!("ONNX Runtime: {name}");
        })?;
        let mut rows = Vec::new();
        for setting in &report.settings {
            let difference = match setting.error {
                Some(_) => None,
                None => {
                    let theirs = folder.path().join(format!("{}.npz", setting.name));
                    let apart = Difference::of(&ours, model.outputs(), &report.steps, &theirs)?;
                    Some(apart)
                }
            };
            rows.push((setting, difference));
        }
        let text = self.text(&model, feed.frames, &report, &rows);
        let settings: Vec<Value> = rows.iter().map(|(s, d)| as_json(s, d.as_ref())).collect();
        let json = json!({
            "model": self.model,
            "digest": text::hex(&model.digest()),
            "executor": model.executor().name(),
            "frames": feed.frames,
            "onnxruntime": report.onnxruntime,
            "python": python,
            "python_version": report.python,
            "numpy": report.numpy,
            "processor": report.processor,
            "exact": exact(&rows).map(|(setting, _)| &setting.name),
            "agrees": exact(&rows).map(|(_, apart)| apart.differing == 0),
            "settings": settings,
        });
        Ok(Answer::new(text, json))
    }

    fn text(
        &self,
        model: &Model,
        frames: usize,
        report: &Report,
        rows: &[(&Setting, Option<Difference>)],
    ) -> String {
        let mut table = Table::new(&[
            ("ONNX Runtime's setting", Align::Left),
            ("values differ", Align::Right),
            ("by at most", Align::Right),
            ("top-1 differs", Align::Right),
            ("exact here", Align::Left),
        ]);
        for (setting, apart) in rows {
            let [differ, worst, top1] = match apart {
                Some(apart) => [
                    format!(
                        "{} of {}",
                        text::count(apart.differing as u64),
                        text::count(apart.values as u64)
                    ),
                    distance(apart),
                    match apart.top1_differs {
                        Some(count) => format!("{} of {}", text::count(count as u64), frames),
                        None => "–".to_owned(),
                    },
                ],
                None => ["–".to_owned(), "–".to_owned(), "–".to_owned()],
            };
            let exact = if setting.exact { "yes" } else { "no" }.to_owned();
            table.row([title(setting), differ, worst, top1, exact]);
        }
        let mut text = format!(
            "{} in {} over {} frames, against ONNX Runtime {} (Python {}, numpy {}) on {}\n\n{}",
            self.model.display(),
            super::where_it_ran(model),
            text::count(frames as u64),
            report.onnxruntime,
            report.python,
            report.numpy,
            report.processor,
            table.render(),
        );
        text.push('\n');
        for (setting, _) in rows.iter().filter(|(setting, _)| !setting.exact) {
            text.push_str(&format!("{}: {}\n", title(setting), why(setting)));
        }
        text.push_str(&verdict(rows));
        text
    }
}

/// The first setting that is exact on this processor, with its answers' distance.
fn exact<'a>(
    rows: &'a [(&'a Setting, Option<Difference>)],
) -> Option<(&'a Setting, &'a Difference)> {
    rows.iter().find_map(|(setting, apart)| {
        apart
            .as_ref()
            .filter(|_| setting.exact)
            .map(|d| (*setting, d))
    })
}

fn verdict(rows: &[(&Setting, Option<Difference>)]) -> String {
    match exact(rows) {
        Some((setting, apart)) if apart.differing == 0 => format!(
            "On this processor ONNX Runtime computes this model exactly with {}: the same bits.\n",
            title(setting)
        ),
        Some((setting, apart)) => format!(
            "On this processor ONNX Runtime computes this model exactly with {}, and {} of {} values differ by up to {}: \
             please report it, with the model.\n",
            title(setting),
            text::count(apart.differing as u64),
            text::count(apart.values as u64),
            distance(apart)
        ),
        None => "No setting of ONNX Runtime computes all of this model in exact integers on this processor: \
             where it leaves operators in float, one step more or less is rounding.\n"
            .to_owned(),
    }
}

fn distance(apart: &Difference) -> String {
    match apart.worst_steps {
        Some(steps) => format!("{} steps", (steps * 100.0).round() / 100.0),
        None => format!("{:.3e}", apart.worst),
    }
}

/// The setting as a user would make it.
fn title(setting: &Setting) -> String {
    let options: Vec<String> = (setting.options.iter())
        .map(|(name, value)| match value.as_str() {
            "ORT_DISABLE_ALL" => "optimizations off".to_owned(),
            value => format!("{name}={value}"),
        })
        .collect();
    match (setting.name.as_str(), options.is_empty()) {
        ("widened", _) => format!(
            "{}, weights of the saturating kernels made uint8",
            options.join(", ")
        ),
        (_, true) => "as it comes".to_owned(),
        (_, false) => options.join(", "),
    }
}

/// Why a setting is not exact on this processor.
fn why(setting: &Setting) -> String {
    if let Some(error) = &setting.error {
        // Its messages go on with what else it could have run; `--json` has all of them.
        let first = error.split(". ").next().unwrap_or(error);
        return format!("ONNX Runtime cannot run the model so: {first}");
    }
    let mut reasons = Vec::new();
    if !setting.saturating.is_empty() {
        let kinds: Vec<String> = (setting.saturating.iter())
            .map(|(kind, nodes)| format!("{kind} ({nodes})"))
            .collect();
        reasons.push(format!(
            "these kernels saturate 16-bit sums on this processor: {}",
            kinds.join(", ")
        ));
    }
    if !setting.float_operators.is_empty() {
        reasons.push(format!(
            "these operators are computed in float: {}",
            setting.float_operators.join(", ")
        ));
    }
    if !setting.int8_as_uint8.is_empty() {
        reasons.push(format!(
            "int8 activations become uint8, on which these round ties in another way: {}",
            setting.int8_as_uint8.join(", ")
        ));
    }
    reasons.join("; ")
}

fn as_json(setting: &Setting, apart: Option<&Difference>) -> Value {
    json!({
        "name": setting.name,
        "options": setting.options,
        "exact": setting.exact,
        "why": if setting.exact { None } else { Some(why(setting)) },
        "error": setting.error,
        "saturating": setting.saturating,
        "float_operators": setting.float_operators,
        "int8_as_uint8": setting.int8_as_uint8,
        "difference": apart,
    })
}
