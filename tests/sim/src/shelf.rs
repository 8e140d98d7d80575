//! The two versions of the model: their files, and their signed manifests.

use sanderling_trust::Role;
use sanderling_wire::{Artifact, Digest, Manifest, Name};
use sha2::{Digest as _, Sha256};

use crate::chance::Chance;
use crate::keys::{Keys, bytes, signed};

/// One version.
pub struct Release {
    pub version: u32,
    pub file: Vec<u8>,
    pub digest: Digest,
    /// The manifest with its signature, in its envelope.
    pub signed: Vec<u8>,
}

/// A name that is one.
pub fn name(text: &str) -> Name {
    match Name::new(text) {
        Ok(name) => name,
        Err(error) => panic!("the simulation's names are names: {error}"),
    }
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

impl Release {
    pub fn new(keys: &Keys, version: u32, size: u32, seed: u64) -> Release {
        let mut chance = Chance::new(seed, u64::from(version) << 40);
        let mut file = vec![0; usize::try_from(size).unwrap_or(0)];
        for part in file.chunks_mut(8) {
            let random = chance.next().to_le_bytes();
            part.copy_from_slice(&random[..part.len()]);
        }
        let digest = sha256(&file);
        let artifact = Artifact {
            target: name("generic"),
            digest,
            size: u64::from(size),
            arena: 32_768,
            flash: u64::from(size),
            golden: sha256(&digest.0),
        };
        let statement = bytes(&Manifest {
            model: name("terrain"),
            version,
            floor: 1,
            expires_s: None,
            artifacts: [artifact].into_iter().collect(),
            deltas: heapless::Vec::new(),
            url: None,
        });
        let signed = signed(&keys.release, Role::Release, &statement);
        Release {
            version,
            file,
            digest,
            signed,
        }
    }
}
