//! The coordinator as a program: options, logs, signals.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::IsTerminal;

use clap::Parser;
use sanderling_coordinator::config::Options;
use sanderling_coordinator::run::Coordinator;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

fn main() -> std::process::ExitCode {
    let options = Options::parse();
    // The broker's own reports are for those who ask for them.
    let filter = format!("warn,mqtt5=error,{}", by_crate(&options.log_filter()));
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(options) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sanderling-coordinator: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// A bare level is meant for this program; anything longer is a filter as it stands.
fn by_crate(filter: &str) -> String {
    let bare = filter.chars().all(|c| c.is_ascii_alphabetic());
    if bare {
        format!("sanderling_coordinator={filter}")
    } else {
        filter.to_owned()
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
