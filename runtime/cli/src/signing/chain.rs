//! The file `root`: the chain of signed roots, as robots and coordinator read it.

use anyhow::{Context, anyhow};
use sanderling_trust::{Role, SigningKey, Trust};
use sanderling_wire::{
    MAX_ROOT, MAX_ROOT_SIGNATURES, MAX_SMALL_MESSAGE, Root, Roots, Signed, decode, encode,
};
use std::path::Path;

/// Reads the chain; the newest root in it counts.
pub fn read(path: &Path) -> anyhow::Result<(Vec<u8>, Trust)> {
    let bytes = std::fs::read(path).with_context(|| {
        format!(
            "cannot read the root {}; `sanderling keys init` makes one",
            path.display()
        )
    })?;
    let trust = Trust::anchor(&bytes).with_context(|| path.display().to_string())?;
    Ok((bytes, trust))
}

/// A root with the signatures of these keys.
pub fn link(root: &Root, keys: &[SigningKey]) -> anyhow::Result<Vec<u8>> {
    let mut inner = [0; MAX_ROOT];
    let statement = encode(root, &mut inner)?;
    let mut signed: Signed<'_, MAX_ROOT_SIGNATURES> = Signed::unsigned(statement);
    for key in keys {
        let signature = key.sign(Role::Root, statement);
        signed
            .signatures
            .push(signature)
            .map_err(|_| anyhow!("a root holds {MAX_ROOT_SIGNATURES} signatures"))?;
    }
    let mut outer = [0; MAX_SMALL_MESSAGE];
    Ok(encode(&signed, &mut outer)?.to_vec())
}

/// The chain with one more link. The oldest links go where the chain grows too long to be published:
/// a robot that is so far behind gets the file by hand.
pub fn append(chain: Option<&[u8]>, link: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut links: Vec<&[u8]> = match chain {
        Some(bytes) => decode::<Roots<'_>>(bytes)?.iter().collect(),
        None => Vec::new(),
    };
    links.push(link);
    loop {
        let mut chain = Vec::new();
        for link in &links {
            chain.extend(u16::try_from(link.len())?.to_le_bytes());
            chain.extend_from_slice(link);
        }
        let mut buffer = [0; MAX_SMALL_MESSAGE];
        match encode(&Roots { chain: &chain }, &mut buffer) {
            Ok(bytes) => return Ok(bytes.to_vec()),
            Err(_) if links.len() > 1 => drop(links.remove(0)),
            Err(error) => return Err(error.into()),
        }
    }
}
