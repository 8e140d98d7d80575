//! The coordinator as a program: options, logs, signals.
#![forbid(unsafe_code)]

use std::error::Error;

use clap::{CommandFactory, FromArgMatches};
use sanderling_coordinator::config::Options;
use sanderling_coordinator::run::Coordinator;
use sanderling_coordinator::{logs, secrets};
use sanderling_wire::Printable;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> std::process::ExitCode {
    secrets::close_new_files();
    let given = Options::command().get_matches();
    let options = Options::from_arg_matches(&given).unwrap_or_else(|error| error.exit());
    logs::start(&options.log_filter());
    options.warn_of_passwords(|option| {
        given.value_source(option) == Some(clap::parser::ValueSource::CommandLine)
    });
    match run(options) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            let line = error.to_string();
            eprintln!("sanderling-coordinator: {}", Printable(&line));
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let config = options.complete()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut coordinator = Coordinator::start(config).await?;
        println!("{}", serde_json::to_string(coordinator.ready())?);
        let failed = tokio::select! {
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            error = coordinator.failed() => Some(error),
        };
        if let Some(error) = failed {
            return Err(error.into());
        }
        tracing::info!("stopping");
        coordinator.stop().await;
        Ok(())
    })
}
