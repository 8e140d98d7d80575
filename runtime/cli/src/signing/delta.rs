//! Delta files: made for a release, named by its manifest, and kept beside it.

use anyhow::{Context, bail};
use sanderling_delta::{block_for, make, pays};
use sanderling_executor::is_plan;
use sanderling_wire::{Delta, Digest, MAX_DELTAS, Manifest};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// A delta and its bytes.
pub struct Made {
    /// What the manifest says of it.
    pub delta: Delta,
    /// The file.
    pub bytes: Vec<u8>,
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Makes a delta to one of `plans` from each of the files, which is for the same board. One that does not pay is left
/// out, and said.
pub fn from(files: &[PathBuf], plans: &[Vec<u8>]) -> anyhow::Result<Vec<Made>> {
    let mut made = Vec::new();
    for path in files {
        let name = path.display();
        let old = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
        if !is_plan(&old) {
            bail!("{name} is no plan, and deltas start from the plans that robots hold");
        }
        let target = super::release::artifact(&old)
            .with_context(|| name.to_string())?
            .target;
        let mut same = plans.iter().enumerate().filter_map(|(index, plan)| {
            let artifact = super::release::artifact(plan).ok()?;
            (artifact.target == target).then_some((index, plan))
        });
        let Some((index, new)) = same.next() else {
            bail!("{name} is for {target}, and none of the new plans is");
        };
        if sha256(&old) == sha256(new) {
            bail!("{name} is the new plan itself; give one that robots hold now");
        }
        let bytes = make(&old, new, block_for(new.len())).with_context(|| name.to_string())?;
        if !pays(bytes.len(), new.len()) {
            eprintln!(
                "no delta from {name}: it would have {} of the full {} bytes",
                bytes.len(),
                new.len()
            );
            continue;
        }
        let delta = Delta {
            artifact: u8::try_from(index)?,
            base: sha256(&old),
            digest: sha256(&bytes),
            size: bytes.len() as u64,
        };
        made.push(Made { delta, bytes });
    }
    if made.len() > MAX_DELTAS {
        bail!("a manifest names {MAX_DELTAS} deltas; give --delta-from less often");
    }
    Ok(made)
}

/// Where a delta lies that a manifest names.
pub fn beside(manifest: &Path, delta: &Digest) -> PathBuf {
    manifest.with_file_name(format!("{:.16}.delta", delta.to_string()))
}

/// The delta files that lie beside a manifest, and the names of those that do not.
pub fn found(path: &Path, manifest: &Manifest) -> anyhow::Result<(Vec<Vec<u8>>, Vec<PathBuf>)> {
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    for delta in &manifest.deltas {
        let file = beside(path, &delta.digest);
        if !file.exists() {
            missing.push(file);
            continue;
        }
        let bytes =
            std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if sha256(&bytes) != delta.digest {
            bail!(
                "{} is not the delta that the manifest names; sign again, or bring the right file",
                file.display()
            );
        }
        files.push(bytes);
    }
    Ok((files, missing))
}
