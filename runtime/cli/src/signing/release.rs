//! Manifests: made of plans, and signed by release keys.

use super::delta::Made;
use anyhow::{Context, anyhow, bail};
use sanderling_plan::{ALIGNMENT, Plan};
use sanderling_trust::{KeyFile, Role};
use sanderling_wire::{
    Artifact, Digest, MAX_ARTIFACTS, MAX_MANIFEST, MAX_SMALL_MESSAGE, MAX_URL, Manifest, Name,
    Signed, Text, decode, encode,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is said of a release beside its files.
#[derive(Debug, clap::Args)]
pub struct Terms {
    /// The lowest version that may replace this one once it has run on a robot [default: 0, any]
    #[arg(long, value_name = "VERSION", default_value_t = 0)]
    pub floor: u32,
    /// Days after which it is installed no longer; what runs by then runs on [default: never]
    #[arg(long, value_name = "DAYS")]
    pub expires_days: Option<u64>,
    /// Where robots may fetch the files by HTTP range requests, a folder: https://HOST/PATH/
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// A plan that robots hold: what differs from it is put into a delta, which they pull instead; may be given several
    /// times
    #[arg(long, value_name = "PLAN")]
    pub delta_from: Vec<PathBuf>,
}

/// The time in seconds since 1970, so many days from now.
pub fn in_days(days: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
        .saturating_add(days.saturating_mul(24 * 3600))
}

/// The manifest of some plans, each for another target.
pub fn manifest(
    name: &str,
    version: u32,
    plans: &[Vec<u8>],
    terms: &Terms,
    deltas: &[Made],
) -> anyhow::Result<Manifest> {
    let mut artifacts = heapless::Vec::new();
    for plan in plans {
        artifacts
            .push(artifact(plan)?)
            .map_err(|_| anyhow!("a manifest holds {MAX_ARTIFACTS} packing targets"))?;
    }
    if terms.url.as_ref().is_some_and(|url| url.len() > MAX_URL) {
        bail!("--url is longer than {MAX_URL} bytes");
    }
    Ok(Manifest {
        model: Name::new(name).with_context(|| format!("the name `{name}`"))?,
        version,
        floor: terms.floor,
        expires_s: terms.expires_days.map(in_days),
        artifacts,
        deltas: deltas.iter().map(|made| made.delta.clone()).collect(),
        url: terms.url.as_deref().map(Text::cut),
    })
}

/// What a manifest says of a plan.
pub fn artifact(bytes: &[u8]) -> anyhow::Result<Artifact> {
    // A plan is read in place at an aligned address, which a file's bytes need not have.
    let mut room = vec![0u8; bytes.len() + ALIGNMENT];
    let start = room.as_ptr().align_offset(ALIGNMENT);
    let aligned = room
        .get_mut(start..start.saturating_add(bytes.len()))
        .context("no aligned memory")?;
    aligned.copy_from_slice(bytes);
    let plan = Plan::new(&*aligned)?;
    let sha256 = |bytes: &[u8]| Digest(Sha256::digest(bytes).into());
    Ok(Artifact {
        target: Name::new(plan.target().name())?,
        digest: sha256(bytes),
        size: bytes.len() as u64,
        arena: plan.arena_bytes() as u64,
        flash: bytes.len() as u64,
        golden: sha256(plan.golden_section()),
    })
}

/// The manifest's bytes, which signatures cover.
pub fn statement(manifest: &Manifest) -> anyhow::Result<Vec<u8>> {
    let mut buffer = [0; MAX_MANIFEST];
    let bytes = encode(manifest, &mut buffer).with_context(|| {
        format!(
            "{} v{} makes no manifest: check that the version is at least 1 and not below --floor, that --url ends with /, that each target is there once, and that eight targets do not come with eight deltas",
            manifest.model, manifest.version
        )
    })?;
    Ok(bytes.to_vec())
}

/// Adds these keys' signatures to a statement that may have some already.
pub fn signed(
    statement: &[u8],
    before: &[sanderling_wire::Signature],
    keys: &[KeyFile],
) -> anyhow::Result<Vec<u8>> {
    let mut signed: Signed<'_> = Signed::unsigned(statement);
    let new = keys
        .iter()
        .map(|file| file.key.sign(Role::Release, statement));
    for signature in before.iter().cloned().chain(new) {
        signed.signatures.retain(|s| s.key != signature.key);
        signed
            .signatures
            .push(signature)
            .map_err(|_| anyhow!("a manifest holds 4 signatures"))?;
    }
    let mut buffer = [0; MAX_SMALL_MESSAGE];
    Ok(encode(&signed, &mut buffer)?.to_vec())
}

/// A signed manifest in words and as JSON.
pub fn describe(bytes: &[u8]) -> anyhow::Result<(String, Value)> {
    let signed: Signed<'_> = decode(bytes)?;
    let manifest: Manifest = signed.read()?;
    let keys: Vec<String> = signed
        .signatures
        .iter()
        .map(|signature| crate::text::hex(&signature.key))
        .collect();
    let targets: Vec<&str> = manifest
        .artifacts
        .iter()
        .map(|a| a.target.as_str())
        .collect();
    let text = format!(
        "{} v{}, floor {}, for {}: signed by {}\n",
        manifest.model,
        manifest.version,
        manifest.floor,
        targets.join(", "),
        if keys.is_empty() {
            "nobody".to_owned()
        } else {
            keys.join(", ")
        },
    );
    let mut text = text;
    let mut deltas = Vec::new();
    for delta in &manifest.deltas {
        let Some(made) = manifest.artifacts.get(usize::from(delta.artifact)) else {
            continue;
        };
        text.push_str(&format!(
            "delta for {} from {}: {} of {}\n",
            made.target,
            delta.base.short(),
            crate::text::bytes(usize::try_from(delta.size)?),
            crate::text::bytes(usize::try_from(made.size)?),
        ));
        deltas.push(json!({
            "target": made.target.as_str(),
            "base": delta.base.to_string(),
            "digest": delta.digest.to_string(),
            "size": delta.size,
        }));
    }
    let artifacts: Vec<Value> = manifest
        .artifacts
        .iter()
        .map(|a| {
            json!({
                "target": a.target.as_str(),
                "digest": a.digest.to_string(),
                "size": a.size,
                "arena": a.arena,
                "flash": a.flash,
                "golden": a.golden.to_string(),
            })
        })
        .collect();
    let json = json!({
        "model": manifest.model.as_str(),
        "version": manifest.version,
        "floor": manifest.floor,
        "expires_s": manifest.expires_s,
        "url": manifest.url.as_ref().map(|url| url.as_str()),
        "artifacts": artifacts,
        "deltas": deltas,
        "keys": keys,
    });
    Ok((text, json))
}
