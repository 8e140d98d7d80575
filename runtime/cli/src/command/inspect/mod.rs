//! `sanderling inspect`: what is in a plan or a model.

mod arena_map;
mod profile;
#[cfg(feature = "tract")]
mod regions;

use super::ports;
use crate::answer::Answer;
use crate::steps::{Life, StepRow};
use crate::table::{Align, Table};
use crate::{steps, text};
use anyhow::Context;
use arena_map::arena_map;
use clap::Args;
use profile::Profile;
use sanderling_executor::{AlignedBytes, Choice, Model, TensorInfo, is_plan, read_model};
use sanderling_plan::{Place, Plan, Target};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  sanderling inspect terrain.plan
  sanderling inspect terrain.onnx
      compiles the model in memory, if it is quantized, and shows the plan
  sanderling inspect terrain.plan --tensors
  sanderling inspect terrain.onnx --profile
      times every step on this machine, to see which layer is worth changing
  sanderling inspect terrain.onnx --profile --board mps2-an386
      counts every step's instructions on a Cortex-M4 instead (in a checkout of Sanderling)
  sanderling inspect partly-float.onnx --regions
  sanderling inspect terrain.plan --json | jq '.steps[].operator'";

/// Show what is in a plan or an ONNX model
///
/// Shows identity, inputs and outputs, every step, and which tensor takes which bytes of
/// the arena while which step runs. A plan for another kind of board is shown as well; one
/// that runs here is also tested against its golden vectors.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Inspect {
    /// A plan or an ONNX model
    model: PathBuf,
    /// List every tensor
    #[arg(long)]
    tensors: bool,
    /// Show what each step takes: median time on this machine, MACs per nanosecond
    #[arg(long)]
    profile: bool,
    /// Count instructions on this board under QEMU instead, by `cargo xtask count`:
    /// mps2-an386, mps3-an547, a72, or a76
    #[arg(long, requires = "profile")]
    board: Option<String>,
    /// Show which nodes of a partly float ONNX model run as integer regions in the engine and
    /// which in tract, as with `--executor mixed`
    #[cfg(feature = "tract")]
    #[arg(long, conflicts_with = "tensors")]
    regions: bool,
}

impl Inspect {
    /// Reads the file and describes it.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let name = self.model.display().to_string();
        let bytes = read_model(&self.model)?;
        #[cfg(feature = "tract")]
        if self.regions {
            let mut model = Model::for_target(&name, bytes, Choice::Mixed, Target::Generic)?;
            let vectors = model.self_test()?;
            let cut = model.regions().context("it has no regions")?;
            return Ok(regions::describe(&self.model, &model, cut, vectors));
        }
        let digest = text::hex(&Sha256::digest(&bytes));
        if is_plan(&bytes) {
            let plan = Plan::new(AlignedBytes::copy_of(&bytes)).context(name.clone())?;
            let here = Here::of(&name, bytes)?;
            return self.plan(&plan, "plan", &digest, &here);
        }
        let mut model = Model::for_target(&name, bytes, Choice::Auto, Target::Generic)?;
        let vectors = model.self_test()?;
        match model.plan() {
            Some(plan) => self.plan(plan, "onnx", &digest, &Here::Passed(vectors)),
            None if self.profile => {
                anyhow::bail!(
                    "{name} runs in tract: only what the engine runs has steps to profile"
                )
            }
            None => Ok(self.float(&model, &digest)),
        }
    }

    /// A plan, read from a file or compiled from an ONNX file of that digest.
    fn plan(
        &self,
        plan: &Plan<AlignedBytes>,
        kind: &str,
        digest: &str,
        here: &Here,
    ) -> anyhow::Result<Answer> {
        let rows = steps::rows(plan);
        let profile = self.profile_of(plan, &rows)?;
        let arena = plan.arena_bytes();
        let peak = plan.peak_tensor().and_then(|id| plan.tensor(id));
        let mut text = format!("{}\n\n", self.model.display());
        let mut line = |key: &str, value: String| text.push_str(&format!("{key:<9}{value}\n"));
        line("sha256", digest.to_owned());
        if kind == "plan" {
            line("source", text::hex(&plan.source_sha256()));
            line("target", plan.target().to_string());
        }
        line("flash", text::bytes(plan.bytes().len()));
        line("arena", text::bytes(arena));
        if let Some(tensor) = &peak {
            let bytes = text::bytes(tensor.bytes as usize);
            line(
                "peak",
                format!(
                    "`{}` {} takes {bytes}",
                    plan.tensor_name(tensor),
                    tensor.shape
                ),
            );
        }
        line("MACs", text::count(plan.macs()));
        line("golden", here.describe(plan.golden_count()));
        for (kind, infos) in [("input", inputs(plan)), ("output", outputs(plan))] {
            for info in &infos {
                line(kind, port(info));
            }
        }
        text.push('\n');
        text.push_str(&steps::table(&rows, arena));
        text.push('\n');
        text.push_str(&arena_map(plan));
        if self.tensors {
            text.push('\n');
            text.push_str(&tensor_table(plan));
        }
        if let Some(profile) = &profile {
            text.push('\n');
            text.push_str(&profile.describe());
        }
        let mut json = json!({
            "kind": kind,
            "file": self.model,
            "sha256": digest,
            "source_sha256": text::hex(&plan.source_sha256()),
            "target": plan.target().name(),
            "executor": "engine",
            "macs": plan.macs(),
            "flash_bytes": plan.bytes().len(),
            "arena_bytes": arena,
            "peak_tensor": peak.map(|tensor| json!({
                "name": plan.tensor_name(&tensor),
                "bytes": tensor.bytes,
                "shape": tensor.shape.dims(),
            })),
            "golden": plan.golden_count(),
            "self_test": here.word(),
            "inputs": ports(&inputs(plan)),
            "outputs": ports(&outputs(plan)),
            "features": features(plan),
            "steps": rows,
            "tensors": tensors(plan),
        });
        if let (Some(profile), Value::Object(object)) = (profile, &mut json) {
            object.insert("profile".to_owned(), serde_json::to_value(profile)?);
        }
        Ok(Answer::new(text, json))
    }

    fn profile_of(
        &self,
        plan: &Plan<AlignedBytes>,
        rows: &[StepRow],
    ) -> anyhow::Result<Option<Profile>> {
        match (self.profile, &self.board) {
            (false, _) => Ok(None),
            (true, None) => profile::here(plan, rows).map(Some),
            (true, Some(board)) => profile::on_board(&self.model, board).map(Some),
        }
    }

    /// A model that tract runs.
    fn float(&self, model: &Model, digest: &str) -> Answer {
        let mut text = format!("{}\n\n", self.model.display());
        let mut line = |key: &str, value: String| text.push_str(&format!("{key:<9}{value}\n"));
        line("sha256", digest.to_owned());
        line(
            "runs in",
            format!("{}, because {}", model.executor(), model.reason()),
        );
        for (kind, infos) in [("input", model.inputs()), ("output", model.outputs())] {
            for info in infos {
                line(kind, port(info));
            }
        }
        let json = json!({
            "kind": "onnx",
            "file": self.model,
            "sha256": digest,
            "executor": model.executor().name(),
            "reason": model.reason(),
            "inputs": ports(model.inputs()),
            "outputs": ports(model.outputs()),
        });
        Answer::new(text, json)
    }
}

/// The features that an engine needs to run it.
fn features(plan: &Plan<AlignedBytes>) -> BTreeSet<&'static str> {
    plan.steps()
        .flat_map(|step| {
            [
                Some(step.operator.name()),
                (step.stream > 0).then_some("stream"),
            ]
        })
        .flatten()
        .collect()
}

/// What the golden vectors show on this machine.
enum Here {
    /// All of them passed.
    Passed(usize),
    /// The plan is packed for another processor.
    Elsewhere,
}

impl Here {
    fn of(name: &str, bytes: Vec<u8>) -> anyhow::Result<Self> {
        match Model::from_bytes(name, bytes, Choice::Engine) {
            Ok(mut model) => Ok(Here::Passed(model.self_test()?)),
            Err(sanderling_executor::ModelError::Engine { .. }) => Ok(Here::Elsewhere),
            Err(error) => Err(error.into()),
        }
    }

    fn describe(&self, count: usize) -> String {
        match self {
            Here::Passed(0) => "none: a robot cannot test itself with it".to_owned(),
            Here::Passed(1) => "1 vector, passed on this machine".to_owned(),
            Here::Passed(n) => format!("{n} vectors, passed on this machine"),
            Here::Elsewhere => format!("{count}, not tested: packed for another processor"),
        }
    }

    fn word(&self) -> Value {
        match self {
            Here::Passed(0) => Value::Null,
            Here::Passed(_) => json!("passed"),
            Here::Elsewhere => json!("not run here"),
        }
    }
}

fn inputs(plan: &Plan<AlignedBytes>) -> Vec<TensorInfo> {
    plan.inputs()
        .map(|(_, tensor)| TensorInfo::of_plan(plan, &tensor))
        .collect()
}

fn outputs(plan: &Plan<AlignedBytes>) -> Vec<TensorInfo> {
    plan.outputs()
        .map(|(_, tensor)| TensorInfo::of_plan(plan, &tensor))
        .collect()
}

fn port(info: &TensorInfo) -> String {
    let quantization = if info.scale == 0.0 {
        String::new()
    } else {
        format!(", scale {}, zero point {}", info.scale, info.zero_point)
    };
    format!(
        "`{}` {} {}{quantization}",
        info.name,
        info.dtype,
        text::shape(&info.shape)
    )
}

/// Every tensor with its place and the steps that need it.
fn tensor_table(plan: &Plan<AlignedBytes>) -> String {
    let mut table = Table::new(&[
        ("tensor", Align::Right),
        ("name", Align::Left),
        ("dtype", Align::Left),
        ("shape", Align::Left),
        ("scale", Align::Right),
        ("zero", Align::Right),
        ("place", Align::Left),
        ("from", Align::Right),
        ("bytes", Align::Right),
    ]);
    for index in 0..plan.tensor_count() {
        let Some(tensor) = tensor_at(plan, index) else {
            continue;
        };
        table.row([
            index.to_string(),
            text::shortened(plan.tensor_name(&tensor), 40),
            tensor.dtype.to_string(),
            tensor.shape.to_string(),
            if tensor.scale == 0.0 {
                String::new()
            } else {
                tensor.scale.to_string()
            },
            tensor.zero_point.to_string(),
            place(tensor.place).to_owned(),
            text::count(tensor.offset.into()),
            text::count(tensor.bytes.into()),
        ]);
    }
    table.render()
}

fn tensors(plan: &Plan<AlignedBytes>) -> Value {
    let lives: HashMap<usize, Life> = steps::lives(plan)
        .into_iter()
        .map(|life| (usize::from(life.id.0), life))
        .collect();
    let one = |index: usize| {
        let tensor = tensor_at(plan, index)?;
        let life = lives.get(&index);
        Some(json!({
            "index": index,
            "name": plan.tensor_name(&tensor),
            "dtype": tensor.dtype.name(),
            "shape": tensor.shape.dims(),
            "scale": tensor.scale,
            "zero_point": tensor.zero_point,
            "place": place(tensor.place),
            "offset": tensor.offset,
            "bytes": tensor.bytes,
            "first_step": life.map(|life| life.first),
            "last_step": life.map(|life| life.last),
        }))
    };
    (0..plan.tensor_count()).filter_map(one).collect()
}

fn tensor_at(plan: &Plan<AlignedBytes>, index: usize) -> Option<sanderling_plan::Tensor> {
    plan.tensor(sanderling_plan::TensorId(u16::try_from(index).ok()?))
}

fn place(place: Place) -> &'static str {
    match place {
        Place::Arena => "arena",
        Place::Constants => "constants",
    }
}
