//! What a compilation came to, for people and for `--json`.

use crate::memory::MemoryPlan;
use crate::program::{Operation, Program, Step, Tensor, TensorId};
use crate::winograd;
use sanderling_plan::Target;
use serde::Serialize;
use std::fmt::Write;

/// The whole compilation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What the constants are packed for.
    pub target: &'static str,
    /// SHA-256 of the ONNX file, in hexadecimal.
    pub source_sha256: String,
    /// Multiply-accumulate operations per inference.
    pub macs: u64,
    /// Bytes of the plan.
    pub flash_bytes: usize,
    /// Bytes of arena, scratch included.
    pub arena_bytes: usize,
    /// The least that the arena could be with the same steps.
    pub arena_lower_bound: usize,
    /// Bytes of weights, biases, multipliers, tables and constant tensors.
    pub weight_bytes: usize,
    /// Bytes of weights that convolutions by Winograd's algorithm take more than direct ones.
    pub winograd_bytes: usize,
    /// The largest tensor in use when most bytes are; absent where there is no tensor.
    pub peak_tensor: Option<PeakTensor>,
    /// The model's inputs.
    pub inputs: Vec<Port>,
    /// The model's outputs.
    pub outputs: Vec<Port>,
    /// Names of the ONNX file's inputs that no output depends on; the plan has none for them.
    pub unread_inputs: Vec<String>,
    /// Every step in the order they run.
    pub steps: Vec<StepReport>,
}

/// The tensor to make smaller where the arena does not fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeakTensor {
    /// The ONNX value it stands for.
    pub name: String,
    /// Its length.
    pub bytes: usize,
    /// Dimensions in stored order.
    pub shape: Vec<usize>,
    /// Index of the first step with the most bytes in use.
    pub step: usize,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Port {
    /// Its name in the ONNX file.
    pub name: String,
    /// Element type, as Rust spells it.
    pub dtype: &'static str,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Real value of one step; 0 where it is not quantized.
    pub scale: f32,
    /// Stored value that stands for real 0.
    pub zero_point: i32,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// Its number, from 0.
    pub index: usize,
    /// The ONNX node it comes from.
    pub name: String,
    /// What it computes, as the plan calls it.
    pub operator: &'static str,
    /// Dimensions of each input.
    pub inputs: Vec<Vec<usize>>,
    /// Dimensions of the output.
    pub output: Vec<usize>,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// Bytes of its constants.
    pub weight_bytes: usize,
    /// Bytes of scratch.
    pub scratch_bytes: usize,
    /// Whether the output takes the bytes of an input.
    pub in_place: bool,
    /// Whether it runs row by row with the steps before or after it.
    pub streamed: bool,
    /// Bytes of arena in use while it runs.
    pub live_bytes: usize,
}

/// The report on `program`, placed by `memory`, written as a plan of `plan_bytes` bytes
/// for `target`, and read from an ONNX file with the SHA-256 `source`.
pub fn report(
    program: &Program,
    memory: &MemoryPlan,
    plan_bytes: usize,
    target: Target,
    source: [u8; 32],
) -> Report {
    let steps: Vec<StepReport> = (0..program.steps.len())
        .map(|index| step_report(program, memory, index))
        .collect();
    Report {
        target: target.name(),
        source_sha256: hex(&source),
        macs: steps.iter().map(|step| step.macs).sum(),
        flash_bytes: plan_bytes,
        arena_bytes: memory.arena_bytes,
        arena_lower_bound: memory.lower_bound,
        weight_bytes: total_weight_bytes(program),
        winograd_bytes: winograd::more_flash(program, target),
        peak_tensor: memory.peak_tensor.map(|id| {
            let tensor = program.tensor(id);
            PeakTensor {
                name: tensor.name.clone(),
                bytes: program.buffers[tensor.buffer.0].bytes,
                shape: tensor.shape.clone(),
                step: memory.peak_step,
            }
        }),
        inputs: program
            .inputs
            .iter()
            .map(|&id| port(program.tensor(id)))
            .collect(),
        outputs: program
            .outputs
            .iter()
            .map(|&id| port(program.tensor(id)))
            .collect(),
        unread_inputs: Vec::new(),
        steps,
    }
}

fn step_report(program: &Program, memory: &MemoryPlan, index: usize) -> StepReport {
    let step = &program.steps[index];
    let shape = |id: TensorId| program.tensor(id).shape.clone();
    let constants: usize = step
        .inputs
        .iter()
        .filter_map(|&id| constant_bytes(program, id))
        .sum();
    StepReport {
        index,
        name: step.name.clone(),
        operator: operator_name(&step.operation),
        inputs: step.inputs.iter().map(|&id| shape(id)).collect(),
        output: shape(step.output),
        macs: step.macs,
        weight_bytes: operation_bytes(step) + constants,
        scratch_bytes: memory.scratch_bytes[index],
        in_place: memory.in_place[index].is_some(),
        streamed: program.stream_of(index).is_some(),
        live_bytes: memory.live_bytes[index],
    }
}

fn port(tensor: &Tensor) -> Port {
    Port {
        name: tensor.name.clone(),
        dtype: tensor.dtype.name(),
        shape: tensor.shape.clone(),
        scale: tensor.scale,
        zero_point: tensor.zero_point,
    }
}

/// The plan's name for what `operation` computes.
fn operator_name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Conv {
            depthwise: false, ..
        } => "conv",
        Operation::Conv {
            depthwise: true, ..
        } => "depthwise-conv",
        Operation::Winograd { .. } => "winograd-conv",
        Operation::FullyConnected { .. } => "fully-connected",
        Operation::Lookup { .. } => "lookup",
        Operation::Softmax { .. } => "softmax",
        Operation::ResizeNearest { .. } => "resize-nearest",
        Operation::Tabled { operator, .. } | Operation::Plain(operator) => operator.name(),
    }
}

/// Bytes of the constants that a step carries itself.
fn operation_bytes(step: &Step) -> usize {
    match &step.operation {
        Operation::Conv { affine, .. } | Operation::FullyConnected { affine, .. } => {
            affine.weights.len() + 4 * affine.bias.len() + 4 * affine.multipliers.len()
        }
        Operation::Winograd { .. } => step.operation.constant_bytes(),
        Operation::Lookup { table } => table.len(),
        Operation::Softmax { table, .. } => 4 * table.len(),
        Operation::ResizeNearest { rows, columns } => 2 * (rows.len() + columns.len()),
        Operation::Tabled { tables, .. } => tables.iter().map(|table| table.len()).sum(),
        Operation::Plain(_) => 0,
    }
}

/// Length of a constant tensor; `None` for one in the arena.
fn constant_bytes(program: &Program, id: TensorId) -> Option<usize> {
    program.buffers[program.tensor(id).buffer.0]
        .constant
        .as_ref()
        .map(Vec::len)
}

/// All constants, those that several steps read counted once.
fn total_weight_bytes(program: &Program) -> usize {
    let mut read: Vec<usize> = program
        .steps
        .iter()
        .flat_map(|step| &step.inputs)
        .filter(|&&id| constant_bytes(program, id).is_some())
        .map(|&id| program.tensor(id).buffer.0)
        .collect();
    read.sort_unstable();
    read.dedup();
    let shared: usize = read
        .into_iter()
        .map(|buffer| program.buffers[buffer].bytes)
        .sum();
    shared + program.steps.iter().map(operation_bytes).sum::<usize>()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
