//! `sanderling-agent`: reads what was set, and runs one agent.

mod heap;
mod sys;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use sanderling_agent::settings::Settings;
use sanderling_agent::system::System;
use sanderling_agent::{agent, config, error};

#[global_allocator]
static ALLOCATOR: heap::Counting = heap::Counting;

/// The robot's part of Sanderling: feeds frames to a model, sends the answers to the fleet, and changes the model
/// when the fleet wants another, without missing a frame.
#[derive(Parser, Debug)]
#[command(name = "sanderling-agent", version, max_term_width = 110, after_help = EXAMPLES)]
struct Arguments {
    /// A TOML file; its keys are the long flags without the dashes
    #[arg(long, env = "SANDERLING_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the configuration that these flags, the environment and the file give, as TOML, and end
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Tell the agent that runs in --state-dir about its robot: docked=true battery=0.8 mission=false reward=0.5
    Tell {
        /// What holds, as KEY=VALUE
        #[arg(required = true, value_name = "KEY=VALUE")]
        words: Vec<String>,
    },
}

const EXAMPLES: &str = "\
Examples:
  Replay recorded frames at 50 Hz and follow the coordinator on this machine:
    sanderling-agent --device robot-1 --source frames.npz --rate 50 --loop

  Without a fleet: answer frames with a model from a file, as fast as it goes, and stop at the end:
    sanderling-agent --model terrain.plan --source frames.npz --rate 0 --queue-policy block \\
        --results json --exit-at-end

  Frames from another program, each one raw tensor of the model's input:
    camera-to-tensors | sanderling-agent --source - --priority 50 --cpus 3

  Write a configuration file to change and to use:
    sanderling-agent --device robot-1 --print-config > agent.toml
    sanderling-agent --config agent.toml

  Say from another program on the robot that it may be updated, where --update-when docked,battery>0.5 is set:
    sanderling-agent --state-dir /var/lib/sanderling tell docked=true battery=0.8

Flags win over the environment (SANDERLING_RATE=10), and that over the file (rate = 10.0).
A frames file is .npz with the array `input` (first axis: the frames) and, optionally, `label`; or .npy.
SIGTERM finishes the frames that wait, sends what it can, and ends with 0.";

fn main() -> ExitCode {
    // A thread that panicked would leave an agent that looks alive. Whoever supervises it starts it again, and a
    // model that is the cause is given up after a few starts.
    std::panic::set_hook(Box::new(|panic| {
        error!("agent", "this is a bug, please report it: {panic}");
        std::process::abort();
    }));
    sys::close_new_files();
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("agent", "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let file = match &arguments.config {
        Some(path) => Settings::read(path)?,
        None => Settings::default(),
    };
    let settings = config::complete(arguments.settings.or(file), &sys::hostname());
    if arguments.print_config {
        print!("{}", toml::to_string(&config::presentable(&settings))?);
        return Ok(());
    }
    if let Some(Command::Tell { words }) = &arguments.command {
        let path = settings
            .state_dir
            .clone()
            .unwrap_or_default()
            .join("agent.sock");
        let answer = sanderling_agent::local::tell(&path, words).with_context(|| {
            format!(
                "no agent listens at {}; give its --state-dir before `tell`",
                path.display()
            )
        })?;
        if answer != "ok" {
            bail!("{answer}");
        }
        return Ok(());
    }
    let system = System {
        lock_memory: || Ok(sys::lock_memory()?),
        bind_thread: |cpus| Ok(sys::bind_thread(cpus)?),
        raise_thread: |priority| Ok(sys::raise_thread(priority)?),
        allocator_calls: heap::calls,
    };
    agent::run(config::check(&settings)?, system)
}
