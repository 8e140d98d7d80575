//! Why a model cannot be opened or run, each with what to do about it.

use crate::NotFinite;
use sanderling_plan::PlanError;
use std::io;
use std::path::PathBuf;

/// Why a model could not be opened or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Data of an ONNX model that lie in files beside it.
    #[cfg(feature = "tract")]
    #[error(transparent)]
    ExternalData(Box<sanderling_compiler::import::ReadError>),
    /// Neither a plan nor ONNX.
    #[error(
        "{name} is neither a plan nor an ONNX model; give the .onnx file, or what `sanderling compile` made of it"
    )]
    NotAModel {
        /// The file.
        name: String,
    },
    /// Starts as an ONNX file does and cannot be read to its end.
    #[error("{name} is a truncated or damaged ONNX model; copy or export it again")]
    DamagedOnnx {
        /// The file.
        name: String,
    },
    /// A plan that does not pass its checks.
    #[error("{name}: {source}")]
    Plan {
        /// The file.
        name: String,
        /// What is wrong with it.
        source: PlanError,
    },
    /// A plan that this engine does not run.
    #[error("{name}: {source}")]
    Engine {
        /// The file.
        name: String,
        /// Why not.
        source: sanderling_engine::EngineError,
    },
    /// The answers of this processor are not those in the plan.
    #[error("{name} fails its self-test: {source}")]
    SelfTest {
        /// The file.
        name: String,
        /// Which vector, which output, which byte.
        source: sanderling_engine::SelfTestError,
    },
    /// The model is not run by as many threads as asked for.
    #[error("{name} cannot be run by {threads} threads: {why}; take 1")]
    Threads {
        /// The file.
        name: String,
        /// As many as were asked for.
        threads: usize,
        /// Why not.
        why: String,
    },
    /// A step found its memory changed.
    #[error("{name}: {source}")]
    Run {
        /// The file.
        name: String,
        /// Which step.
        source: sanderling_engine::RunError,
    },
    /// tract was asked for, and the file is a plan.
    #[error(
        "{name} is a plan, which only the engine runs; give the ONNX file it was compiled from to run it in tract"
    )]
    PlanInTract {
        /// The file.
        name: String,
    },
    /// An ONNX file, and this build runs plans only.
    #[error(
        "{name} is an ONNX model, and this build runs plans only; make a plan of it elsewhere with `sanderling compile`"
    )]
    PlansOnly {
        /// The file.
        name: String,
    },
    /// The compiler has no plan for the ONNX file; its first line says what to do, and the
    /// nodes that the integer engine cannot take follow, one line each.
    #[cfg(feature = "tract")]
    #[error("{name}: {source}")]
    Refused {
        /// The file.
        name: String,
        /// Why not.
        source: Box<sanderling_compiler::CompileError>,
    },
    /// tract cannot load or run the model.
    #[error("{name}: tract {what}: {why}")]
    Tract {
        /// The file.
        name: String,
        /// What it was to do.
        what: &'static str,
        /// What it said, in one line.
        why: String,
    },
    /// An input or output that no robot can feed or read.
    #[error("{name}: `{tensor}` {why}")]
    Tensor {
        /// The file.
        name: String,
        /// The input or output.
        tensor: String,
        /// What is wrong with it.
        why: String,
    },
    /// A frame holds NaN or infinity.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
}
