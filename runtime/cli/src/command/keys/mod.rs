//! `sanderling keys`: whom the fleet's robots believe.

mod init;
mod publish;
mod rotate;
mod show;

use crate::answer::Answer;
use clap::{Args, Subcommand, ValueEnum};
use sanderling_trust::Role;

const EXAMPLES: &str = "\
Examples:
  sanderling keys init --dir keys
      makes root.key, release.key, fleet.key, and `root`, which names their public halves
  sanderling keys show --dir keys
  sanderling keys rotate release --dir keys
      after a release key was lost or stolen: what it signed is refused from then on
  sanderling keys publish --dir keys
      gives the newer root to the coordinator, and through it to every robot

Keep root.key and release.key offline. The coordinator needs fleet.key and root (--keys), each
robot needs root (--root).";

/// Make, rotate, and show the keys that robots believe
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Keys {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Init(init::Init),
    Rotate(rotate::Rotate),
    Show(show::Show),
    Publish(publish::Publish),
}

impl Keys {
    /// Does it.
    pub fn run(&self) -> anyhow::Result<Answer> {
        match &self.what {
            What::Init(init) => init.run(),
            What::Rotate(rotate) => rotate.run(),
            What::Show(show) => show.run(),
            What::Publish(publish) => publish.run(),
        }
    }
}

/// A role on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleName {
    /// Names the other keys
    Root,
    /// Signs releases
    Release,
    /// Signs what groups run
    Fleet,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Role {
        match name {
            RoleName::Root => Role::Root,
            RoleName::Release => Role::Release,
            RoleName::Fleet => Role::Fleet,
        }
    }
}
