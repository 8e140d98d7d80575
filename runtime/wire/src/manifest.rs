//! One release of a model, packed for each target: the statement that release keys sign.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::Message;
use crate::name::Name;
use crate::text::Text;

/// The most packing targets of one release.
pub const MAX_ARTIFACTS: usize = 8;
/// The most deltas of one release.
pub const MAX_DELTAS: usize = 8;
/// The longest address, in bytes.
pub const MAX_URL: usize = 128;
/// The longest manifest, in bytes: eight targets with names of 16 bytes, eight deltas and an address
/// fit; eight names of 48 bytes with all of that do not, and are refused when they are written.
pub const MAX_MANIFEST: usize = 1536;

/// One release packed for one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The packing target: `generic`, `cortex-m4`, …
    pub target: Name,
    /// SHA-256 of the plan file.
    pub digest: Digest,
    /// The plan file's size, in bytes. Nothing beyond it is ever pulled.
    pub size: u64,
    /// The arena that the plan needs, in bytes.
    pub arena: u64,
    /// The flash that a slot needs for it, in bytes; at least the size.
    pub flash: u64,
    /// SHA-256 of the plan's golden vectors: what a robot's self-test has proved.
    pub golden: Digest,
}

/// A shorter way to an artifact for a robot that holds the plan `base`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// The artifact that comes out, by its index.
    pub artifact: u8,
    /// SHA-256 of the plan file that the robot must hold.
    pub base: Digest,
    /// SHA-256 of the delta's bytes.
    pub digest: Digest,
    /// The delta's size, in bytes.
    pub size: u64,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The model's name.
    pub model: Name,
    /// The model's version, at least 1. It only grows, and one version is one set of files.
    pub version: u32,
    /// The lowest version that may replace this one on a robot where this one was active.
    pub floor: u32,
    /// When the release is to be installed no longer, in seconds since 1970; none: never. What runs
    /// already runs on.
    pub expires_s: Option<u64>,
    /// The release, once for each packing target.
    pub artifacts: Vec<Artifact, MAX_ARTIFACTS>,
    /// Ways to it from plans that robots may hold.
    pub deltas: Vec<Delta, MAX_DELTAS>,
    /// Where the files can be had by HTTP range requests, under their digest's hex digits:
    /// `http://HOST/PATH/` or `https://HOST/PATH/`.
    pub url: Option<Text<MAX_URL>>,
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

    /// The delta that makes the artifact with this digest of a plan that the robot holds.
    pub fn delta_from(&self, base: &Digest, to: &Digest) -> Option<&Delta> {
        self.deltas.iter().find(|delta| {
            let artifact = self.artifacts.get(usize::from(delta.artifact));
            delta.base == *base && artifact.is_some_and(|a| a.digest == *to)
        })
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
        let artifacts = self.artifacts.iter().enumerate();
        self.version > 0
            && self.floor <= self.version
            && !self.artifacts.is_empty()
            && artifacts
                .into_iter()
                .all(|(i, a)| a.size > 0 && a.flash >= a.size && unique(i, a))
            && self
                .deltas
                .iter()
                .all(|d| usize::from(d.artifact) < self.artifacts.len() && d.size > 0)
            && self.url.as_ref().is_none_or(|url| {
                let rest = url
                    .strip_prefix("https://")
                    .or_else(|| url.strip_prefix("http://"));
                rest.is_some_and(|rest| !rest.is_empty()) && url.ends_with('/')
            })
    }
}
