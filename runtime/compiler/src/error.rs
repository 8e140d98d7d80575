//! Why a model has no plan.

use crate::memory::MemoryPlan;
use crate::program::Program;
use std::fmt;

/// A node that cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The node's name.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// What stands in the way, and where it helps, what to change in the model.
    pub why: String,
}

impl Refusal {
    /// A refusal of `node`.
    pub fn new(
        node: impl Into<String>,
        operator: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Refusal {
            node: node.into(),
            operator: operator.into(),
            why: why.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A refusal is a line of a list, whatever the file's names hold.
        let line = format!("{} ({}): {}", self.node, self.operator, self.why);
        for c in line.chars() {
            match c.is_control() {
                true => write!(f, "{}", c.escape_default())?,
                false => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// Why a model has no plan.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The bytes are no ONNX model.
    #[error("not an ONNX model: {0}")]
    NotOnnx(String),
    /// The model's graph does not hold together.
    #[error("the model's graph does not hold together: {0}; export the model again")]
    Graph(String),
    /// The model is of an operator set whose operators are not known here.
    #[error(
        "the model is of operator set {version}, and {oldest} to {newest} are supported; export \
         it with one of them"
    )]
    OperatorSet {
        /// The model's.
        version: i64,
        /// The oldest that is supported.
        oldest: i64,
        /// The newest.
        newest: i64,
    },
    /// The model asks for more than its size lets it.
    #[error(
        "the model asks for too much: {what} is more than the {limit} {unit} that a file of \
         {file} bytes may ask for"
    )]
    Oversized {
        /// What takes so much.
        what: String,
        /// How much it may be.
        limit: u64,
        /// Of what.
        unit: &'static str,
        /// Bytes of the file.
        file: u64,
    },
    /// The model contradicts itself, or tract cannot work out its shapes.
    #[error("the model's shapes cannot be worked out: {0}")]
    Shapes(String),
    /// An input has a dimension that is not known before the model runs.
    #[error(
        "input `{input}` has the open dimension `{dimension}` at axis {axis}; only the first may be \
         open (it becomes 1): export the model with fixed shapes"
    )]
    OpenDimension {
        /// The input.
        input: String,
        /// Its dimension's name.
        dimension: String,
        /// Which axis.
        axis: usize,
    },
    /// Nodes that the engine cannot run as integers.
    #[error("{}", refusals(.0))]
    Unplaced(Vec<Refusal>),
    /// Nodes that no executor computes as the file has them.
    #[error("{}", nobodys(.0))]
    Nobodys(Vec<Refusal>),
    /// No part of the model runs as integers; the nodes that stand in the way, or none where
    /// the whole model is in float.
    #[error("{}", no_region(.0))]
    NoRegion(Vec<Refusal>),
    /// A tensor or the whole is larger than a plan can say.
    #[error("the model is too large for a plan: {0}")]
    TooLarge(String),
    /// The model needs more arena than it may have.
    #[error(
        "the model needs an arena of {need} bytes, {} more than the {limit} it may have, with          everything run row by row that can be: at step {step} ({node}) the tensor `{tensor}`          takes {bytes} bytes; make that layer smaller", need - limit
    )]
    Arena {
        /// Bytes that it needs.
        need: usize,
        /// Bytes that it may have.
        limit: usize,
        /// The step with most bytes in use.
        step: usize,
        /// Its node.
        node: String,
        /// The largest tensor in use there.
        tensor: String,
        /// Its bytes.
        bytes: usize,
    },
    /// The target has no convolutions by Winograd's algorithm.
    #[error(
        "convolutions for {0} have no Winograd's algorithm; compile for cortex-m4, or leave \
         `--winograd` out"
    )]
    Winograd(sanderling_plan::Target),
    /// The plan that came out is refused by its own reader: a defect of the compiler.
    #[error("the compiler wrote a plan that does not hold ({0}); please report it with the model")]
    Invalid(sanderling_plan::PlanError),
}

impl CompileError {
    /// That `memory` needs more than `limit` bytes for `program`.
    pub(crate) fn arena(program: &Program, memory: &MemoryPlan, limit: usize) -> Self {
        let peak = memory.peak_tensor.map(|id| program.tensor(id));
        let step = program.steps.get(memory.peak_step);
        CompileError::Arena {
            need: memory.arena_bytes,
            limit,
            step: memory.peak_step,
            node: step.map_or_else(String::new, |step| step.name.clone()),
            tensor: peak.map_or_else(String::new, |tensor| tensor.name.clone()),
            bytes: peak.map_or(0, |tensor| program.buffers[tensor.buffer.0].bytes),
        }
    }

    /// The nodes that cannot be placed.
    pub fn refusals(&self) -> &[Refusal] {
        match self {
            Self::Unplaced(nodes) | Self::NoRegion(nodes) | Self::Nobodys(nodes) => nodes,
            _ => &[],
        }
    }
}

fn refusals(nodes: &[Refusal]) -> String {
    let text = format!(
        "the integer engine cannot take {} of the model's nodes; quantize them \
         (QuantizeLinear and DequantizeLinear around each), or run these in float and the rest in \
         the engine with `--executor mixed` (`--executor tract` runs the whole model in float):",
        nodes.len()
    );
    listed(text, nodes)
}

fn nobodys(nodes: &[Refusal]) -> String {
    let text = format!(
        "{} of the model's nodes cannot be computed as the file has them, by no executor; export \
         the model again without what is named here:",
        nodes.len()
    );
    listed(text, nodes)
}

fn no_region(nodes: &[Refusal]) -> String {
    let advice = "quantize it (QuantizeLinear and DequantizeLinear around its nodes), or run it in \
                  float with `--executor tract`";
    if nodes.is_empty() {
        return format!("no part of the model runs as integers, for no node quantizes; {advice}");
    }
    listed(
        format!("no part of the model runs as integers; {advice}; what stands in the way:"),
        nodes,
    )
}

fn listed(mut text: String, nodes: &[Refusal]) -> String {
    for node in nodes {
        text.push_str("\n  ");
        text.push_str(&node.to_string());
    }
    text
}
