//! `sanderling compile`: ONNX to plan.

use crate::answer::Answer;
use crate::steps::{self, StepRow};
use crate::{text, write};
use anyhow::Context;
use clap::Args;
use sanderling_compiler::Options;
use sanderling_compiler::guard::without_panic;
use sanderling_compiler::report::{Port, Report, StepReport};
use sanderling_executor::read_model;
use sanderling_plan::{Dtype, Target};
use sanderling_wire::sendable;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  sanderling compile terrain.onnx
      makes terrain.plan, which every board runs
  sanderling compile terrain.onnx --target cortex-m4 -o terrain-m4.plan
      packs the weights for one kind of board
  sanderling compile terrain.onnx --json | jq .arena_bytes";

/// Compile a quantized ONNX model to a plan
///
/// Takes a model that onnxruntime.quantization or the like has quantized to 8 bits, in QDQ
/// or in QOperator form. Where a node cannot run as integers, nothing is written, and
/// every such node is listed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Compile {
    /// The quantized ONNX model
    model: PathBuf,
    /// The board: generic, cortex-m4, cortex-m55, aarch64, aarch64-dotprod, or x86-64
    #[arg(long, default_value = "generic", value_parser = super::target)]
    target: Target,
    /// Where to write the plan [default: the model's name with .plan]
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Golden vectors to put into the plan, for self-tests on the robot
    #[arg(long, default_value_t = 1)]
    golden: usize,
    /// Arena that the board has for the model, such as 40000 or 40K: convolutions run row by
    /// row where that makes it fit
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    max_arena: Option<usize>,
    /// Run 3x3 convolutions by Winograd's algorithm, same bits, where that takes at most so many
    /// bytes of flash more, such as 16K; without a number, all of them (only for cortex-m4)
    #[arg(long, value_name = "BYTES", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "all", value_parser = more_flash)]
    winograd: Option<usize>,
}

/// A number of bytes, or all that there are.
fn more_flash(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        _ => bytes(text),
    }
}

/// A number of bytes; `K` stands for 1024.
fn bytes(text: &str) -> Result<usize, String> {
    let (number, unit) = match text.strip_suffix(['K', 'k']) {
        Some(number) => (number, 1024),
        None => (text, 1),
    };
    (number.parse::<usize>().ok())
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| "give a number of bytes, such as 40000 or 40K".to_owned())
}

impl Compile {
    /// Compiles and writes.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let options = Options {
            target: self.target,
            golden: self.golden,
            max_arena: self.max_arena,
            winograd: self.winograd,
            ..Options::default()
        };
        let (plan, report) = compile(&self.model, &options)?;
        let output = self
            .output
            .clone()
            .unwrap_or_else(|| self.model.with_extension("plan"));
        write::replace(&output, &plan)?;
        let text = format!(
            "{} → {} for {}\n\n{}",
            self.model.display(),
            output.display(),
            self.target,
            describe(&report)
        );
        let warnings = warnings(&report);
        for warning in &warnings {
            eprintln!("warning: {}: {warning}", self.model.display());
        }
        let mut json = serde_json::to_value(&report)?;
        if let Value::Object(object) = &mut json {
            object.insert("warnings".to_owned(), json!(warnings));
            object.insert("plan".to_owned(), json!(output));
        }
        Ok(Answer::new(text, json))
    }
}

/// What an agent will not like about a plan: a result carries its first output.
fn warnings(report: &Report) -> Vec<String> {
    let unsendable = |output: &Port| {
        let named = |dtype: &&Dtype| dtype.name() == output.dtype;
        let element = Dtype::ALL.iter().find(named)?.bytes();
        let bytes = output.shape.iter().product::<usize>() * element;
        sendable(&output.shape, bytes).err()
    };
    let first = report.outputs.first().and_then(unsendable);
    first
        .map(|unsendable| unsendable.to_string())
        .into_iter()
        .collect()
}

/// Compiles the file `model`.
pub fn compile(model: &Path, options: &Options) -> anyhow::Result<(Vec<u8>, Report)> {
    let onnx = read_model(model)?;
    if sanderling_executor::is_plan(&onnx) {
        anyhow::bail!("{} is a plan already; give the ONNX model", model.display());
    }
    let compiled = without_panic(|| sanderling_compiler::compile(&onnx, options))
        .map_err(|why| {
            anyhow::anyhow!(
                "reading it failed unexpectedly ({why}): the file is damaged, or the compiler has a \
                 defect; where `--executor tract` runs it, please report it with the model"
            )
        })
        .and_then(|compiled| Ok(compiled?))
        .with_context(|| model.display().to_string())?;
    super::say_unread(&compiled.report.unread_inputs);
    Ok((compiled.plan, compiled.report))
}

/// The report as people read it.
pub fn describe(report: &Report) -> String {
    let rows: Vec<StepRow> = report.steps.iter().map(row).collect();
    let mut text = steps::table(&rows, report.arena_bytes);
    text.push('\n');
    for (kind, ports) in [("input", &report.inputs), ("output", &report.outputs)] {
        for port in ports {
            text.push_str(&describe_port(kind, port));
        }
    }
    text.push_str(&format!("MACs    {}\n", text::count(report.macs)));
    text.push_str(&format!(
        "flash   {}, of which weights {}\n",
        text::bytes(report.flash_bytes),
        text::bytes(report.weight_bytes)
    ));
    if report.winograd_bytes > 0 {
        let more = text::bytes(report.winograd_bytes);
        text.push_str(&format!("winograd {more} of weights more than direct\n"));
    }
    text.push_str(&format!(
        "arena   {}; no order of the same steps needs less than {}\n",
        text::bytes(report.arena_bytes),
        text::bytes(report.arena_lower_bound)
    ));
    if let Some(peak) = &report.peak_tensor {
        text.push_str(&format!(
            "peak    step {}, where `{}` {} takes {}\n",
            peak.step,
            peak.name,
            text::shape(&peak.shape),
            text::bytes(peak.bytes)
        ));
    }
    text
}

fn describe_port(kind: &str, port: &Port) -> String {
    let quantization = if port.scale == 0.0 {
        String::new()
    } else {
        format!(", scale {}, zero point {}", port.scale, port.zero_point)
    };
    format!(
        "{kind:<7} `{}` {} {}{quantization}\n",
        port.name,
        port.dtype,
        text::shape(&port.shape)
    )
}

fn row(step: &StepReport) -> StepRow {
    StepRow {
        index: step.index,
        name: step.name.clone(),
        operator: step.operator.to_owned(),
        inputs: step.inputs.clone(),
        output: step.output.clone(),
        macs: step.macs,
        weight_bytes: step.weight_bytes,
        scratch_bytes: step.scratch_bytes,
        in_place: step.in_place,
        streamed: step.streamed,
        live_bytes: step.live_bytes,
    }
}
