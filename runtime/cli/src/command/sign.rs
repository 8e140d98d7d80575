//! `sanderling sign`: a release key's word for a set of plans, given away from the fleet.

use crate::answer::Answer;
use crate::signing::{delta, key, release};
use crate::write;
use anyhow::{Context, bail};
use clap::Args;
use sanderling_executor::is_plan;
use sanderling_trust::{KeyFile, Role};
use sanderling_wire::{Digest, Manifest, Signed, decode};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  sanderling sign terrain.plan terrain-m4.plan --name terrain --version 2 \\
      --key keys/release.key -o terrain-2.manifest
  sanderling sign terrain-2.manifest --key other/release.key -o terrain-2.manifest
      adds a second key's signature, where the root wants two
  sanderling sign terrain.plan --name terrain --version 2 --delta-from old/terrain.plan \\
      --key keys/release.key -o terrain-2.manifest
      writes a delta beside the manifest, for robots that hold the old plan
  sanderling register terrain.plan --name terrain --version 2 --manifest terrain-2.manifest

It needs no network: keep the release keys where no robot and no coordinator can reach them.";

/// Sign a release of a model
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Sign {
    /// Plans, one for each board; or a manifest that others signed before
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The model's name
    #[arg(long)]
    name: Option<String>,
    /// Its version, from 1; it only grows
    #[arg(long)]
    version: Option<u32>,
    /// A release key; may be given several times
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    terms: release::Terms,
    /// Where the signed manifest goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// A signed manifest and the deltas that it names.
type Written = (Vec<u8>, Vec<Vec<u8>>);

impl Sign {
    /// Reads the plans, signs, and writes.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let keys: Vec<KeyFile> = self
            .keys
            .iter()
            .map(|path| key::read(path, Role::Release))
            .collect::<Result<_, _>>()?;
        let files: Vec<Vec<u8>> = self
            .files
            .iter()
            .map(|path| {
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
            })
            .collect::<Result<_, _>>()?;
        let (bytes, deltas) = match &files[..] {
            [one] if !is_plan(one) => self.again(one, &keys)?,
            plans => self.first(plans, &keys)?,
        };
        for bytes in &deltas {
            let digest = Digest(Sha256::digest(bytes).into());
            write::replace(&delta::beside(&self.output, &digest), bytes)?;
        }
        write::replace(&self.output, &bytes)?;
        let (text, json) = release::describe(&bytes)?;
        Ok(Answer::new(text, json))
    }

    fn first(&self, plans: &[Vec<u8>], keys: &[KeyFile]) -> anyhow::Result<Written> {
        let (Some(name), Some(version)) = (&self.name, self.version) else {
            bail!("a new manifest needs --name and --version");
        };
        if let Some(at) = plans.iter().position(|plan| !is_plan(plan)) {
            bail!(
                "{} is no plan; make one with `sanderling compile`",
                self.files[at].display()
            );
        }
        let made = delta::from(&self.terms.delta_from, plans)?;
        let manifest = release::manifest(name, version, plans, &self.terms, &made)?;
        let signed = release::signed(&release::statement(&manifest)?, &[], keys)?;
        Ok((signed, made.into_iter().map(|made| made.bytes).collect()))
    }

    fn again(&self, file: &[u8], keys: &[KeyFile]) -> anyhow::Result<Written> {
        if !self.terms.delta_from.is_empty() {
            bail!("--delta-from is for a new manifest: a signed one is not changed any more");
        }
        let name = self.files[0].display();
        let signed: Signed<'_> = decode(file)
            .with_context(|| format!("{name} is neither a plan nor a signed manifest"))?;
        let manifest: Manifest = signed.read().with_context(|| name.to_string())?;
        let other = self
            .name
            .as_deref()
            .is_some_and(|n| n != manifest.model.as_str())
            || self.version.is_some_and(|v| v != manifest.version);
        if other {
            bail!(
                "{name} is for {} v{}, which a further signature does not change",
                manifest.model,
                manifest.version
            );
        }
        // Wherever the manifest goes, its deltas go with it.
        let (deltas, _) = delta::found(&self.files[0], &manifest)?;
        let bytes = release::signed(signed.statement, &signed.signatures, keys)?;
        Ok((bytes, deltas))
    }
}
