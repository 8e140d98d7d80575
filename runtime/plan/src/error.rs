//! Why a byte string is not a plan.

use crate::Target;
use core::fmt;

/// What [`Plan::new`](crate::Plan::new) found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// Shorter than its header or than the length its header states.
    Truncated {
        /// Bytes that should be there.
        need: u32,
        /// Bytes that are there.
        have: u32,
    },
    /// The first eight bytes are not a plan's.
    NotAPlan,
    /// Written in a format version that this build does not read.
    Version(u16),
    /// Packed for a target that this build does not know.
    UnknownTarget(u8),
    /// Packed for another target than [the only one](Target::ONLY) whose plans this build
    /// reads.
    Target(Target),
    /// The bytes do not start at a 16-byte boundary in memory.
    Misaligned,
    /// A section lies outside the plan, off its alignment, or has a partial record.
    Section(&'static str),
    /// A tensor's record contradicts itself or reaches outside arena or constants.
    Tensor(u16),
    /// A step's record contradicts itself, its operands, or the plan.
    Step {
        /// Index of the step.
        index: u16,
        /// What is wrong with it.
        fault: StepFault,
    },
    /// The list of inputs and outputs names a tensor that cannot be one.
    Io,
    /// The golden vectors do not have the size of the inputs and outputs.
    Golden,
}

/// What is wrong with one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepFault {
    /// No such operator.
    UnknownOperator(u8),
    /// The operator of this number is behind a feature that this build leaves out.
    NotBuiltIn(u8),
    /// The step belongs to a stream, and streams are behind a feature that this build
    /// leaves out.
    StreamNotBuiltIn,
    /// An operand that the operator needs is absent, or names no tensor.
    Operand,
    /// An operand has a dtype that the operator does not take.
    Dtype,
    /// Shapes do not fit each other or the parameters.
    Shape,
    /// A parameter is out of its range (a stride of 0, a multiplier that is not finite).
    Parameter,
    /// Weights, biases, or tables reach outside the constants or off their alignment.
    Constant,
    /// Output or scratch overlaps an operand that is still read.
    Overlap,
    /// The scratch is too small or reaches outside the arena.
    Scratch,
    /// The output is a constant.
    WritesConstant,
    /// Steps that should run row by row do not fit together.
    Stream,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { need, have } => write!(
                f,
                "plan is truncated: {have} of {need} bytes are there; fetch or compile it again"
            ),
            Self::NotAPlan => f.write_str(
                "not a plan (wrong magic); make one with `sanderling compile MODEL.onnx -o MODEL.plan`",
            ),
            Self::Version(v) => write!(
                f,
                "plan has format version {v}, this build reads version {}; compile the model again with this build",
                crate::header::VERSION
            ),
            Self::UnknownTarget(t) => {
                write!(f, "plan is packed for target number {t}, which this build does not know")
            }
            Self::Target(target) => {
                let only = Target::ONLY.map_or("?", Target::name);
                write!(
                    f,
                    "plan is packed for {target}, and this build reads plans for {only} alone; \
                     compile the model with `--target {only}`"
                )
            }
            Self::Misaligned => f.write_str("plan is not loaded at a 16-byte boundary"),
            Self::Section(name) => write!(f, "plan is corrupt: section `{name}` does not fit"),
            Self::Tensor(id) => write!(f, "plan is corrupt: tensor {id} does not fit"),
            Self::Step {
                index,
                fault: fault @ (StepFault::NotBuiltIn(_) | StepFault::StreamNotBuiltIn),
            } => write!(f, "step {index}: {fault}"),
            Self::Step { index, fault } => write!(f, "plan is corrupt: step {index}: {fault}"),
            Self::Io => f.write_str("plan is corrupt: its inputs and outputs do not fit"),
            Self::Golden => f.write_str("plan is corrupt: its golden vectors do not fit"),
        }
    }
}

impl fmt::Display for StepFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOperator(op) => write!(f, "unknown operator {op}"),
            Self::NotBuiltIn(op) => {
                let name = crate::Operator::name_of(*op).unwrap_or("?");
                write!(
                    f,
                    "operator `{name}` is not built into this program; \
                     build it with the feature `{name}` of sanderling-engine"
                )
            }
            Self::StreamNotBuiltIn => f.write_str(
                "streams are not built into this program; \
                 build it with the feature `stream` of sanderling-engine",
            ),
            Self::Operand => f.write_str("operand missing or unknown"),
            Self::Dtype => f.write_str("operand has the wrong dtype"),
            Self::Shape => f.write_str("shapes do not fit"),
            Self::Parameter => f.write_str("parameter out of range"),
            Self::Constant => f.write_str("constant out of range or misaligned"),
            Self::Overlap => f.write_str("output or scratch overlaps an operand"),
            Self::Scratch => f.write_str("scratch too small or outside the arena"),
            Self::WritesConstant => f.write_str("output is a constant"),
            Self::Stream => f.write_str("steps of a stream do not fit together"),
        }
    }
}

impl core::error::Error for PlanError {}
impl core::error::Error for StepFault {}
