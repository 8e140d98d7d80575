//! `sanderling models`: what is registered, how good it is, and which stage it is in.

mod checks;
mod evaluate;
mod list;
mod policy;
mod promote;

use crate::answer::Answer;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;

const EXAMPLES: &str = "\
Examples:
  sanderling models
  sanderling models --name terrain --json | jq '.models[-1].version'
  sanderling holdouts add husky-held-out frames.npz
  sanderling models policy terrain --require husky-held-out --allow-worse 1
  sanderling models evaluate terrain --version 2 --holdout husky-held-out
  sanderling models promote terrain --version 2 --to production
  sanderling models archive terrain --version 1
  sanderling rollout history --model terrain
      who promoted, measured, was refused, and archived what, and when

A new version is in staging. On its way to production the coordinator runs it, and the
version that is there now, over each required holdout, and refuses it where a slice gets
worse than allowed. Promoting a version archives the one before; an archived version runs
on where it runs, and is given to no robot anew.";

/// List the registered models, measure them, and bring them from stage to stage
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Models {
    #[command(flatten)]
    list: list::List,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    Promote(promote::Promote),
    Archive(promote::Archive),
    Evaluate(evaluate::Evaluate),
    Policy(policy::Policy),
}

impl Models {
    /// Does it.
    pub fn run(&self, json: bool) -> anyhow::Result<Answer> {
        match &self.what {
            None => self.list.run(),
            Some(What::Promote(promote)) => promote.run(json),
            Some(What::Archive(archive)) => archive.run(),
            Some(What::Evaluate(evaluate)) => evaluate.run(),
            Some(What::Policy(policy)) => policy.run(),
        }
    }
}

/// An evaluation that is waited for.
#[derive(Debug, Deserialize)]
struct Progress {
    model: String,
    version: u32,
    holdout: String,
    done: u64,
    frames: u64,
}

/// Says on standard error what is waited for, once for each change.
fn say_progress(answer: &Value, said: &mut String) -> anyhow::Result<()> {
    let under_way: Vec<Progress> = crate::coordinator::field(answer, "under_way")?;
    let lines: Vec<String> = under_way
        .iter()
        .map(|job| {
            format!(
                "measuring {} v{} on {}: {} of {} frames",
                job.model,
                job.version,
                job.holdout,
                crate::text::count(job.done),
                crate::text::count(job.frames)
            )
        })
        .collect();
    let lines = lines.join("\n");
    if lines != *said {
        eprintln!("{lines}");
        *said = lines;
    }
    Ok(())
}
