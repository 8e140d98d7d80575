//! The subcommands, one file each.

pub mod bench;
#[cfg(feature = "tract")]
pub mod compare;
#[cfg(feature = "tract")]
pub mod compile;
pub mod completions;
pub mod devices;
pub mod enroll;
pub mod holdouts;
pub mod inspect;
pub mod keys;
pub mod models;
pub mod orders;
pub mod push;
mod recording;
pub mod register;
pub mod rollout;
pub mod run;
pub mod sign;
pub mod watch;
pub mod who;

use clap::ValueEnum;
use sanderling_executor::{Choice, Kind, Model, ModelError, read_model};
use sanderling_plan::Target;
use serde_json::{Value, json};
use std::path::Path;

/// Which executor is asked for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Executor {
    /// The engine for plans and quantized models, tract for float ones
    Auto,
    /// The integer engine, or an error
    Engine,
    /// tract, which computes quantized models in float, or an error
    Tract,
    /// The engine for the integer regions of a partly float model, tract for the rest
    Mixed,
}

impl From<Executor> for Choice {
    fn from(executor: Executor) -> Self {
        match executor {
            Executor::Auto => Choice::Auto,
            Executor::Engine => Choice::Engine,
            Executor::Tract => Choice::Tract,
            Executor::Mixed => Choice::Mixed,
        }
    }
}

/// A name that some target has.
fn target(name: &str) -> Result<Target, String> {
    Target::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Target::ALL.iter().map(|t| t.name()).collect();
        format!("the targets are {}", known.join(", "))
    })
}

/// Opens the model at `path`; what is made of an ONNX file is packed for `target`, by default
/// the fastest that this processor runs.
fn open(path: &Path, executor: Executor, target: Option<Target>) -> Result<Model, ModelError> {
    let Some(target) = target else {
        return Model::open(path, executor.into());
    };
    let bytes = read_model(path)?;
    Model::for_target(&path.display().to_string(), bytes, executor.into(), target)
}

/// Says on standard error what runs the model, and why.
fn say_executor(model: &Model) {
    eprintln!("executor: {}, because {}", model.executor(), model.reason());
    say_unread(model.unread_inputs());
}

/// Says on standard error which inputs of an ONNX file are none.
fn say_unread(inputs: &[String]) {
    for input in inputs {
        let input = input.escape_debug();
        eprintln!("note: nothing reads the input `{input}`; it is left out and not fed");
    }
}

/// `the engine`, `tract`, or both.
fn where_it_ran(model: &Model) -> &'static str {
    match model.executor() {
        Kind::Engine => "the engine",
        Kind::Tract => "tract",
        Kind::Mixed => "the engine and tract",
    }
}

/// The inputs or outputs of a model for `--json`.
fn ports(infos: &[sanderling_executor::TensorInfo]) -> Value {
    infos
        .iter()
        .map(|info| {
            json!({
                "name": info.name,
                "dtype": info.dtype.name(),
                "shape": info.shape,
                "scale": info.scale,
                "zero_point": info.zero_point,
            })
        })
        .collect()
}

/// The integer regions of a model for `--json`; null where one executor runs all of it.
fn regions(model: &Model) -> Value {
    #[cfg(feature = "tract")]
    let regions = model.regions().map(|cut| &cut.regions);
    #[cfg(not(feature = "tract"))]
    let regions = None::<()>;
    json!(regions)
}
