//! `cargo xtask count`: how many instructions an inference takes on a board, and how many
//! bytes of flash and memory.
//!
//! The number is exact and the same on every machine: a plugin of QEMU counts what is
//! executed between two marks around one inference. Instructions are not cycles; they
//! compare kernels, not clocks. A count stands only when the outputs are bit for bit what
//! the engine gives on this machine.

pub mod board;
pub mod budget;
mod elf;
pub mod frame;
pub mod image;
mod plugin;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::board::Board;
use self::frame::{Port, Source};
use crate::npz::{self, Array};
use crate::process::Job;
use crate::terminal::{say, thousands};
use crate::{firmware, setup, workspace};

const EXAMPLES: &str = "\
Examples:
  cargo xtask count models/digits/digits-v2.onnx --board mps2-an386
  cargo xtask count models/digits/digits-v2.onnx --board a76 --steps
  cargo xtask count --check
  cargo xtask count MODEL.onnx --board mps3-an547 --json | tail -n 1 | jq .instructions

Instructions are not cycles: QEMU has no caches, no pipeline, and no wait states.";

/// The engine's feature that stands for all operators.
pub const EVERY_OPERATOR: &str = "sanderling-engine/every-operator";

/// The features that a Linux program has beside operators.
pub const LINUX: &str = "sanderling-engine/std,sanderling-engine/generic";

/// What to count and where.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// A quantized ONNX model
    #[arg(required_unless_present_any = ["check", "bless"])]
    model: Option<PathBuf>,
    /// mps2-an386 (Cortex-M4), mps3-an547 (Cortex-M55), a72 or a76 (Linux, 64-bit Arm)
    #[arg(long, required_unless_present_any = ["check", "bless"])]
    board: Option<String>,
    /// Pack the plan for this target instead of the board's own (generic runs everywhere)
    #[arg(long, value_name = "PACKING")]
    target: Option<String>,
    /// Compile with 3x3 convolutions by Winograd's algorithm, of at most so many bytes more
    #[arg(long, value_name = "BYTES", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "all")]
    winograd: Option<String>,
    /// A .npz or .npy with frames for the model [default: a pseudo-random frame]
    #[arg(long)]
    input: Option<PathBuf>,
    /// Which of the frames
    #[arg(long, value_name = "N", default_value_t = 0, requires = "input")]
    frame: usize,
    /// Seed of the pseudo-random frame
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also count each step, and show its share of what the processor could do
    #[arg(long)]
    steps: bool,
    /// Build the program with every operator, not just those that the plan has steps of
    #[arg(long)]
    every_operator: bool,
    /// Instead of one model, count all that have a line in cross/budgets.toml, and fail
    /// where one costs more than it says
    #[arg(long, conflicts_with_all = ["model", "board", "bless"])]
    check: bool,
    /// Count all of them and write down what they cost
    #[arg(long, conflicts_with_all = ["model", "board"])]
    bless: bool,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
    /// Give QEMU this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    deadline: u64,
}

/// Compiles, builds, runs, counts, and compares.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if options.check {
        let tally = budget::check()?;
        say(format!(
            "{} within their budgets, {} above, {} skipped",
            tally.passed, tally.failed, tally.skipped
        ));
        return match tally.failed {
            0 => Ok(()),
            n => bail!("{n} above their budgets; the lines that begin with FAILED say which"),
        };
    }
    if options.bless {
        return budget::bless();
    }
    let (Some(model), Some(board)) = (&options.model, &options.board) else {
        bail!("give a model and a board");
    };
    let board = Board::named(board)?;
    setup::for_counting(board.triple)?;
    let source = match &options.input {
        Some(path) => Source::File(path.clone(), options.frame),
        None => Source::Seed(options.seed),
    };
    let subject = Subject::new(model, source)?;
    let how = How {
        packing: options.target.as_deref().unwrap_or(board.packing),
        winograd: options.winograd.as_deref(),
        steps: options.steps,
        every_operator: options.every_operator,
        deadline: options.deadline,
    };
    let count = subject.count(board, &how)?;
    count.print();
    if options.json {
        println!("{}", serde_json::to_string(&count)?);
    }
    Ok(())
}

/// How a subject is counted.
pub struct How<'a> {
    /// What the plan is packed for.
    pub packing: &'a str,
    /// Bytes that convolutions by Winograd's algorithm may take more, or `all`.
    pub winograd: Option<&'a str>,
    /// Whether each step is counted.
    pub steps: bool,
    /// Whether the program holds every operator, or those of the plan alone.
    pub every_operator: bool,
    /// Seconds that QEMU may take.
    pub deadline: u64,
}

impl<'a> How<'a> {
    /// The board's own packing, the plan's operators, no steps.
    pub fn plain(board: &'a Board, deadline: u64) -> Self {
        How {
            packing: board.packing,
            winograd: None,
            steps: false,
            every_operator: false,
            deadline,
        }
    }
}

/// A model, a frame for it, and what this machine answers.
pub struct Subject {
    model: PathBuf,
    source: Source,
    inputs: Vec<Port>,
    frames: Vec<Array>,
    digest: String,
}

/// What was counted; the JSON object has these names.
#[derive(Debug, Serialize)]
pub struct Count {
    /// The model's file.
    pub model: String,
    /// The board.
    pub board: &'static str,
    /// Its processor.
    pub processor: &'static str,
    /// What the plan is packed for.
    pub target: String,
    /// Between the marks, for one inference.
    pub instructions: u64,
    /// Multiply-accumulates of one inference, as the plan states them.
    pub macs: u64,
    /// The quotient of the two.
    pub macs_per_instruction: f64,
    /// That quotient as a share of the most that one instruction does.
    pub peak_share: f64,
    /// Memory that the plan asks for.
    pub arena_bytes: u64,
    /// `.text` of the program: engine, start-up, and file access.
    pub text_bytes: u64,
    /// `.rodata` of the program and the plan.
    pub rodata_bytes: u64,
    /// The plan alone, golden vectors left out.
    pub plan_bytes: u64,
    /// Operators that the program holds.
    pub operators: Vec<String>,
    /// SHA-256 of all outputs, equal to this machine's.
    pub digest: String,
    /// The seed or the file and frame.
    pub input: Value,
    /// Element types of the inputs.
    pub input_dtypes: Vec<&'static str>,
    /// Element types of the outputs.
    pub output_dtypes: Vec<&'static str>,
    /// Each step, where asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepCount>,
}

/// What one step takes.
#[derive(Debug, Serialize)]
pub struct StepCount {
    /// Its number, from 0.
    pub index: usize,
    /// The ONNX node it comes from.
    pub name: String,
    /// What it computes.
    pub operator: String,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Executed from the first read of its record to that of the next one's.
    pub instructions: u64,
    /// Share of the whole inference.
    pub share: f64,
    /// MACs per instruction as a share of the most that one instruction does.
    pub peak_share: f64,
}

impl Subject {
    /// Reads `model`, makes its frame, and computes the outputs here.
    pub fn new(model: &Path, source: Source) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let plan = compile(model, "generic", folder.path())?;
        let about = firmware::inspect(&plan)?;
        let inputs = Port::all(&about, "inputs")?;
        let outputs = Port::all(&about, "outputs")?;
        let frames = source.frames(&inputs)?;
        let digest = host_digest(model, &inputs, &frames, &outputs, folder.path())?;
        Ok(Subject {
            model: model.to_path_buf(),
            source,
            inputs,
            frames,
            digest,
        })
    }

    /// Writes the raw bytes of all inputs.
    pub fn write_input(&self, path: &Path) -> anyhow::Result<()> {
        let bytes: Vec<u8> = self.frames.iter().flat_map(|f| f.bytes.clone()).collect();
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes the frames as `.npz`, named as the inputs; `input` where there is only one.
    pub fn write_frames(&self, path: &Path) -> anyhow::Result<()> {
        let names = names(&self.inputs, "input");
        npz::write_all(path, &names.zip(&self.frames).collect::<Vec<_>>())
    }

    /// Counts one inference on `board`.
    pub fn count(&self, board: &'static Board, how: &How<'_>) -> anyhow::Result<Count> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let path = compile_with(&self.model, how.packing, how.winograd, folder.path())?;
        let about = firmware::inspect(&path)?;
        let plan = fs::read(&path).context("cannot read the plan")?;
        let input: Vec<u8> = self.frames.iter().flat_map(|f| f.bytes.clone()).collect();
        let features = match (how.every_operator, board.is_microcontroller()) {
            // The code is mostly the standard library's, and one build serves all plans.
            (_, false) => format!("{EVERY_OPERATOR},{LINUX}"),
            (true, true) => EVERY_OPERATOR.to_string(),
            (false, true) => firmware::features(&about)?,
        };
        let program = image::build(board, &features)?;
        let run = program.run(board, &plan, &input, how.steps, folder.path(), how.deadline)?;
        let digest = hex(&Sha256::digest(&run.outputs));
        if digest != self.digest {
            bail!(
                "the outputs differ from those of the engine on this machine: SHA-256 {digest} on {}, {} here ({}, {})",
                board.name,
                self.digest,
                workspace::short(&self.model),
                self.source.describe()
            );
        }
        let number = |key: &str| {
            about[key]
                .as_u64()
                .with_context(|| format!("the description of the plan has no {key}"))
        };
        let macs = number("macs")?;
        let instructions = run.counts.instructions;
        let rate = |macs: u64, instructions: u64| macs as f64 / instructions.max(1) as f64;
        let most = f64::from(board.macs_per_instruction);
        let dtypes = |key| {
            let ports = Port::all(&about, key)?;
            anyhow::Ok(ports.iter().map(|port| port.dtype.name()).collect())
        };
        let steps = match (&about["steps"], &run.counts.steps) {
            (_, counted) if counted.is_empty() => Vec::new(),
            (Value::Array(rows), counted) if rows.len() == counted.len() => rows
                .iter()
                .zip(counted)
                .enumerate()
                .map(|(index, (row, &counted))| {
                    let macs = row["macs"].as_u64().unwrap_or(0);
                    let word = |key: &str| row[key].as_str().unwrap_or_default().to_string();
                    StepCount {
                        index,
                        name: word("name"),
                        operator: word("operator"),
                        macs,
                        instructions: counted,
                        share: counted as f64 / instructions as f64,
                        peak_share: rate(macs, counted) / most,
                    }
                })
                .collect(),
            _ => bail!("the plan has other steps than those that were counted"),
        };
        Ok(Count {
            model: self.model.display().to_string(),
            board: board.name,
            processor: board.processor,
            target: about["target"].as_str().unwrap_or_default().to_string(),
            instructions,
            macs,
            macs_per_instruction: rate(macs, instructions),
            peak_share: rate(macs, instructions) / most,
            arena_bytes: number("arena_bytes")?,
            text_bytes: program.image.text,
            rodata_bytes: program.image.rodata + plan.len() as u64,
            plan_bytes: plan.len() as u64,
            operators: features
                .split(',')
                .filter_map(|feature| feature.strip_prefix("sanderling-engine/"))
                .map(str::to_string)
                .collect(),
            digest,
            input: self.source.json(),
            input_dtypes: dtypes("inputs")?,
            output_dtypes: dtypes("outputs")?,
            steps,
        })
    }
}

impl Count {
    /// Prints it for people.
    fn print(&self) {
        if !self.steps.is_empty() {
            println!(
                "{:>4}  {:<28} {:<16} {:>12} {:>12} {:>6} {:>9} {:>8}",
                "step", "node", "operator", "MACs", "instructions", "share", "MACs/ins.", "of peak"
            );
            for step in &self.steps {
                let name: String = step.name.chars().take(28).collect();
                let rate = step.macs as f64 / step.instructions.max(1) as f64;
                let (rate, peak) = match step.macs {
                    0 => (String::new(), String::new()),
                    _ => (
                        format!("{rate:.3}"),
                        format!("{:.1} %", 100.0 * step.peak_share),
                    ),
                };
                println!(
                    "{:>4}  {name:<28} {:<16} {:>12} {:>12} {:>4.1} % {rate:>9} {peak:>8}",
                    step.index,
                    step.operator,
                    thousands(step.macs),
                    thousands(step.instructions),
                    100.0 * step.share,
                );
            }
        }
        let float = |dtypes: &[&str]| dtypes.contains(&"f32");
        say(format!(
            "{} on {} ({}), packed for {}: {} instructions, {} MACs, {:.3} MACs per instruction",
            workspace::short(Path::new(&self.model)),
            self.board,
            self.processor,
            self.target,
            thousands(self.instructions),
            thousands(self.macs),
            self.macs_per_instruction
        ));
        if float(&self.input_dtypes) || float(&self.output_dtypes) {
            say(format!(
                "inputs are {}, outputs are {}: converting them is counted too",
                self.input_dtypes.join(", "),
                self.output_dtypes.join(", ")
            ));
        }
        say(format!(
            "arena {} bytes; .text {} with {}, .rodata and plan {} (plan {})",
            thousands(self.arena_bytes),
            thousands(self.text_bytes),
            self.operators.join(", "),
            thousands(self.rodata_bytes),
            thousands(self.plan_bytes)
        ));
        say(format!(
            "input {}; SHA-256 of the outputs, here and there, {}",
            self.input, self.digest
        ));
    }
}

/// The plan of `model` without golden vectors, which say nothing about the engine's needs.
pub fn compile(model: &Path, packing: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    compile_with(model, packing, None, folder)
}

fn compile_with(
    model: &Path,
    packing: &str,
    winograd: Option<&str>,
    folder: &Path,
) -> anyhow::Result<PathBuf> {
    let plan = folder.join(format!("{packing}.plan"));
    Job::new(
        format!("compiling {}", workspace::short(model)),
        firmware::command_line()?,
    )
    .arg("compile")
    .arg(model)
    .args(winograd.map(|bytes| format!("--winograd={bytes}")))
    .args(["--target", packing, "--golden", "0", "-o"])
    .arg(&plan)
    .deadline(300)
    .output()?;
    Ok(plan)
}

/// SHA-256 of what the engine on this machine answers.
fn host_digest(
    model: &Path,
    inputs: &[Port],
    frames: &[Array],
    outputs: &[Port],
    folder: &Path,
) -> anyhow::Result<String> {
    let [from, to] = ["host-in.npz", "host-out.npz"].map(|name| folder.join(name));
    let named: Vec<(&str, &Array)> = names(inputs, "input").zip(frames).collect();
    npz::write_all(&from, &named)?;
    Job::new(
        format!("running {} here", workspace::short(model)),
        firmware::command_line()?,
    )
    .arg("run")
    .arg(model)
    .args(["--executor", "engine", "--input"])
    .arg(&from)
    .arg("--output")
    .arg(&to)
    .deadline(300)
    .output()?;
    let mut digest = Sha256::new();
    for name in names(outputs, "output") {
        digest.update(npz::read(&to, name)?.bytes);
    }
    Ok(hex(&digest.finalize()))
}

/// What arrays are called: as the ports, or `only` where there is one.
fn names<'a>(ports: &'a [Port], only: &'a str) -> impl Iterator<Item = &'a str> {
    let single = ports.len() == 1;
    ports
        .iter()
        .map(move |port| if single { only } else { port.name.as_str() })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
