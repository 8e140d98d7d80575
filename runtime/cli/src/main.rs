//! The `sanderling` command: compile, inspect, run, bench, push, watch.
//!
//! One file per subcommand under `command`; each gives an [`answer::Answer`] that is
//! printed here, as text or, with `--json`, as one JSON object on one line.
#![deny(unsafe_code)]

mod answer;
mod args;
mod command;
mod coordinator;
mod pool;
mod signing;
mod steps;
mod table;
mod text;
mod write;

use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

/// Serves the threads that infer; see [`pool`].
#[global_allocator]
static POOL: pool::Pool = pool::Pool::new();

fn main() -> ExitCode {
    quiet_tract();
    let args = Args::parse();
    let answer = match &args.command {
        #[cfg(feature = "tract")]
        Command::Compile(compile) => compile.run(),
        #[cfg(feature = "tract")]
        Command::Compare(compare) => compare.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Run(run) => run.run(),
        Command::Bench(bench) => bench.run(),
        Command::Keys(keys) => keys.run(),
        Command::Sign(sign) => sign.run(),
        Command::Enroll(enroll) => enroll.run(),
        Command::Register(register) => register.run(),
        Command::Push(push) => push.run(),
        Command::Rollout(rollout) => rollout.run(args.json),
        Command::Devices(devices) => devices.run(),
        Command::Orders(orders) => orders.run(),
        Command::Models(models) => models.run(args.json),
        Command::Holdouts(holdouts) => holdouts.run(),
        Command::Watch(watch) => watch.run(args.json),
        Command::Completions(completions) => completions.run(),
    };
    match answer.and_then(|answer| answer.print(args.json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", answer::shown(&chain(&error)));
            ExitCode::FAILURE
        }
    }
}

/// The executor turns a panic in tract into an error, which is printed as one; everybody
/// else's panic is a defect and is told in full.
fn quiet_tract() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic
            .location()
            .is_some_and(|at| at.file().contains("/tract-"))
        {
            tell(panic);
        }
    }));
}

/// The error and its causes in one line; a cause that its effect repeats is left out.
fn chain(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}
