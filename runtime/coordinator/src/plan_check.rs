//! Whether an uploaded file is a whole, sound plan, and what it asks of a robot.

use sanderling_plan::{ALIGNMENT, Plan, PlanError};
use sanderling_wire::{Digest, Name, sendable};

use crate::files::sha256;

/// What a plan says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFacts {
    /// What it is packed for.
    pub target: Name,
    /// The arena it needs, in bytes.
    pub arena: u64,
    /// Multiply-accumulate operations of one inference.
    pub macs: u64,
    /// SHA-256 of the ONNX file it was compiled from.
    pub source: Digest,
    /// SHA-256 of its golden vectors.
    pub golden: Digest,
    /// What robots will not like about it.
    pub warnings: Vec<String>,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotAPlan {
    /// It looks like an ONNX file.
    #[error(
        "this looks like an ONNX file; make a plan of it with `sanderling compile MODEL.onnx --target TARGET -o MODEL.plan` and register that"
    )]
    Onnx,
    /// The plan is damaged or of another version.
    #[error("{0}")]
    Plan(PlanError),
    /// More bytes than the plan has.
    #[error("{extra} bytes follow after the plan; upload the plan alone")]
    Trailing {
        /// How many.
        extra: usize,
    },
}

/// Checks the whole file.
pub fn check(bytes: &[u8]) -> Result<PlanFacts, NotAPlan> {
    // A plan is read in place at an aligned address, which a received body need not have.
    let mut room = vec![0u8; bytes.len() + ALIGNMENT];
    let start = room.as_ptr().align_offset(ALIGNMENT);
    let aligned = room.get_mut(start..start.saturating_add(bytes.len()));
    let aligned = aligned.ok_or(NotAPlan::Plan(PlanError::Misaligned))?;
    aligned.copy_from_slice(bytes);
    let plan = Plan::new(&*aligned).map_err(|error| match error {
        // An ONNX file is a protocol buffer whose first field is the IR version: tag 0x08.
        PlanError::NotAPlan if bytes.first() == Some(&0x08) => NotAPlan::Onnx,
        error => NotAPlan::Plan(error),
    })?;
    let extra = bytes.len() - plan.bytes().len();
    if extra > 0 {
        return Err(NotAPlan::Trailing { extra });
    }
    Ok(PlanFacts {
        target: Name::new(plan.target().name()).map_err(|_| NotAPlan::Plan(PlanError::NotAPlan))?,
        arena: plan.arena_bytes() as u64,
        macs: plan.macs(),
        source: Digest(plan.source_sha256()),
        golden: sha256(plan.golden_section()),
        // A result carries the first output.
        warnings: plan
            .output(0)
            .and_then(|(_, output)| {
                let dims: Vec<usize> = output.shape.dims().iter().map(|&d| d as usize).collect();
                let bytes = output.shape.elements() * output.dtype.bytes();
                sendable(&dims, bytes).err()
            })
            .map(|unsendable| unsendable.to_string())
            .into_iter()
            .collect(),
    })
}
