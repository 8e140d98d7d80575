//! `sanderling sign`: a release key's word for a set of plans, given away from the fleet.

use crate::answer::Answer;
use crate::signing::{key, release};
use crate::write;
use anyhow::{Context, bail};
use clap::Args;
use sanderling_executor::is_plan;
use sanderling_trust::{KeyFile, Role};
use sanderling_wire::{Manifest, Signed, decode};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  sanderling sign terrain.plan terrain-m4.plan --name terrain --version 2 \\
      --key keys/release.key -o terrain-2.manifest
  sanderling sign terrain-2.manifest --key other/release.key -o terrain-2.manifest
      adds a second key's signature, where the root wants two
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
        let bytes = match &files[..] {
            [one] if !is_plan(one) => self.again(one, &keys)?,
            plans => self.first(plans, &keys)?,
        };
        write::replace(&self.output, &bytes)?;
        let (text, json) = release::describe(&bytes)?;
        Ok(Answer::new(text, json))
    }

    fn first(&self, plans: &[Vec<u8>], keys: &[KeyFile]) -> anyhow::Result<Vec<u8>> {
        let (Some(name), Some(version)) = (&self.name, self.version) else {
            bail!("a new manifest needs --name and --version");
        };
        if let Some(at) = plans.iter().position(|plan| !is_plan(plan)) {
            bail!(
                "{} is no plan; make one with `sanderling compile`",
                self.files[at].display()
            );
        }
        let manifest = release::manifest(name, version, plans, &self.terms)?;
        release::signed(&release::statement(&manifest)?, &[], keys)
    }

    fn again(&self, file: &[u8], keys: &[KeyFile]) -> anyhow::Result<Vec<u8>> {
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
        release::signed(signed.statement, &signed.signatures, keys)
    }
}
