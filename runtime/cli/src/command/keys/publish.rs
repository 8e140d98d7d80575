//! `sanderling keys publish`: gives a newer root to the coordinator, which passes it on.

use crate::answer::Answer;
use crate::coordinator::{At, Coordinator, field};
use crate::signing::chain;
use clap::Args;
use std::path::PathBuf;

/// Give the newest root to the coordinator and so to every robot
#[derive(Debug, Args)]
pub struct Publish {
    #[command(flatten)]
    at: At,
    /// The directory with `root`
    #[arg(long, default_value = "keys")]
    dir: PathBuf,
}

impl Publish {
    pub fn run(&self) -> anyhow::Result<Answer> {
        let (bytes, _) = chain::read(&self.dir.join("root"))?;
        let answer = Coordinator::at(&self.at)?.put_file("/v1/root", &bytes)?;
        let version: u32 = field(&answer, "version")?;
        let epoch: u32 = field(&answer, "epoch")?;
        let text = format!(
            "root {version} (epoch {epoch}) is published; `sanderling devices --json` shows which robots hold it\n"
        );
        Ok(Answer::new(text, answer))
    }
}
