//! Which artifact of a release a board takes, if any.

use sanderling_wire::{Artifact, Manifest, Name};

/// What a board can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits<'t> {
    /// Packing targets, the preferred one first.
    pub targets: &'t [Name],
    /// Bytes of arena.
    pub arena: u64,
    /// Bytes of a slot.
    pub flash: u64,
}

/// Why a board takes none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The release is packed for none of its targets.
    Target,
    /// The plan needs more arena.
    Arena {
        /// Bytes that it needs.
        needs: u64,
    },
    /// The plan needs more flash.
    Flash {
        /// Bytes that it needs.
        needs: u64,
    },
}

/// The artifact for the board's best target. Its signed size is the most that may ever be pulled.
pub fn fit<'m>(manifest: &'m Manifest, limits: &Limits<'_>) -> Result<&'m Artifact, Misfit> {
    let artifact = manifest
        .artifact_for(limits.targets)
        .ok_or(Misfit::Target)?;
    if artifact.arena > limits.arena {
        let needs = artifact.arena;
        return Err(Misfit::Arena { needs });
    }
    // A sound manifest's flash is at least its size.
    if artifact.flash > limits.flash {
        let needs = artifact.flash;
        return Err(Misfit::Flash { needs });
    }
    Ok(artifact)
}
