//! `sanderling completions`: lets a shell complete the command line.

use crate::answer::Answer;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  sanderling completions bash > ~/.local/share/bash-completion/completions/sanderling
  sanderling completions zsh > \"${fpath[1]}/_sanderling\"
  sanderling completions fish > ~/.config/fish/completions/sanderling.fish";

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// The script.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let mut script = Vec::new();
        let mut command = crate::args::Args::command();
        clap_complete::generate(self.shell, &mut command, "sanderling", &mut script);
        let script = String::from_utf8(script)?;
        let json = json!({ "shell": self.shell.to_string(), "script": script });
        Ok(Answer::new(script, json))
    }
}
