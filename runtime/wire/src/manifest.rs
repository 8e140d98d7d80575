//! What a group should run: the statement that is signed.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::Message;
use crate::layout::{MAX_CHUNK, MIN_CHUNK};
use crate::name::Name;

/// The most packing targets of one release.
pub const MAX_ARTIFACTS: usize = 8;

/// The longest manifest, in bytes.
pub const MAX_MANIFEST: usize = 1280;

/// One release packed for one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The packing target: `generic`, `cortex-m4`, …
    pub target: Name,
    /// SHA-256 of the plan file.
    pub digest: Digest,
    /// The plan file's size, in bytes; it is also the flash that a slot needs.
    pub size: u64,
    /// The arena that the plan needs, in bytes.
    pub arena: u64,
}

/// The desired state of a group. Which byte says what is fixed by the envelope's version; a later
/// version adds delta bases and download addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Grows with every change of the group's desired state, also when an older model is wanted
    /// again. A robot ignores a serial lower than one it has accepted.
    pub serial: u64,
    /// The group, so that a manifest cannot be shown to another one.
    pub group: Name,
    /// The model's name.
    pub model: Name,
    /// The model's version.
    pub version: u32,
    /// The size of a chunk that the fleet proposes, in bytes. A robot may ask in smaller ones.
    pub chunk_size: u32,
    /// When the manifest is to be believed no longer, in seconds since 1970; none: never.
    pub expires_s: Option<u64>,
    /// The release, once for each packing target.
    pub artifacts: Vec<Artifact, MAX_ARTIFACTS>,
}

impl Manifest {
    /// The artifact for the first of `targets` that there is one for.
    pub fn artifact_for<'t>(
        &self,
        targets: impl IntoIterator<Item = &'t Name>,
    ) -> Option<&Artifact> {
        targets
            .into_iter()
            .find_map(|t| self.artifacts.iter().find(|a| a.target == *t))
    }
}

impl Message<'_> for Manifest {
    const MAX_LEN: usize = MAX_MANIFEST;

    fn is_sound(&self) -> bool {
        let unique = |i: usize, a: &Artifact| {
            self.artifacts
                .iter()
                .skip(i + 1)
                .all(|b| b.target != a.target)
        };
        self.serial > 0
            && (MIN_CHUNK..=MAX_CHUNK).contains(&self.chunk_size)
            && !self.artifacts.is_empty()
            && self
                .artifacts
                .iter()
                .enumerate()
                .all(|(i, a)| a.size > 0 && unique(i, a))
    }
}
