//! What can go wrong, each with what to do next.

use core::fmt;
use sanderling_plan::{ALIGNMENT, Target};

/// Why a plan and an arena make no engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineError {
    /// The arena is shorter than the plan needs.
    ArenaTooSmall {
        /// Bytes that the plan needs.
        need: usize,
        /// Bytes that were given.
        have: usize,
    },
    /// The arena does not start at a multiple of 16 in memory.
    ArenaMisaligned,
    /// The plan is packed for another kind of processor.
    Target(Target),
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ArenaTooSmall { need, have } => {
                write!(
                    f,
                    "arena has {have} bytes, the plan needs {need}; give it a larger one"
                )
            }
            Self::ArenaMisaligned => {
                write!(
                    f,
                    "arena does not start at a {ALIGNMENT}-byte boundary; align it"
                )
            }
            Self::Target(target) => write!(
                f,
                "plan is packed for {target}, which this processor does not run; \
                 compile the model for this board or with `--target generic`"
            ),
        }
    }
}

impl core::error::Error for EngineError {}

/// A step found its memory other than [`Plan::new`](sanderling_plan::Plan::new) left it.
///
/// This cannot happen while the bytes behind the plan and the arena stay what they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunError {
    /// Index of the step that did not run; those before it did.
    pub step: usize,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "step {} does not exist or its memory changed since the plan was checked; \
             load the plan again",
            self.step
        )
    }
}

impl core::error::Error for RunError {}

/// What the golden vectors showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTestError {
    /// An output differs from the one that the compiler's reference gave.
    Differs {
        /// Which golden vector, from 0.
        vector: usize,
        /// Which output, from 0.
        output: usize,
        /// First byte that differs.
        byte: usize,
        /// What the vector says.
        expected: u8,
        /// What this processor computed.
        got: u8,
    },
    /// A golden vector did not run.
    Run(RunError),
}

impl fmt::Display for SelfTestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs {
                vector,
                output,
                byte,
                expected,
                got,
            } => write!(
                f,
                "golden vector {vector}, output {output}, byte {byte}: expected {expected:#04x}, \
                 got {got:#04x}; do not use this plan on this processor"
            ),
            Self::Run(error) => write!(f, "golden vectors did not run: {error}"),
        }
    }
}

impl core::error::Error for SelfTestError {}

impl From<RunError> for SelfTestError {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}
