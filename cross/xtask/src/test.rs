//! `cargo xtask test`: every test there is, one profile, one table at the end.

use std::path::Path;

use anyhow::{Context, bail};

use crate::count::budget;
use crate::outcome::{self, Report, Tally};
use crate::process::Job;
use crate::terminal::say;
use crate::{aarch64, agent_build, firmware, oracle, python, setup, snapshots, updates, workspace};

/// Seconds that building and running the workspace's tests may take.
const WORKSPACE_DEADLINE: u64 = 3600;

/// Which tests to run.
#[derive(clap::Args)]
pub struct Options {
    /// Only what runs on this machine itself: no QEMU, no release build, no Python
    #[arg(long)]
    quick: bool,
    /// Write the firmware's snapshots and the page of operators anew instead of comparing with them
    #[arg(long)]
    bless: bool,
    /// Run only the suites whose name contains this
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
}

/// Sets up and runs the suites; an error when a test fails.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if !options.quick {
        setup::run(&setup::Options::default())?;
    }
    let root = workspace::root();
    let mut report = Report::default();
    let wanted = |suite: &str| {
        options
            .only
            .as_deref()
            .is_none_or(|word| suite.contains(word))
    };
    let mut suite = |name: &str, run: &dyn Fn() -> anyhow::Result<Tally>| {
        if wanted(name) {
            report.suite(name, run);
        }
    };

    suite("workspace", &|| workspace_tests(&root, options.bless));
    suite("workspace, documentation", &|| {
        cargo_tests(
            "documentation tests",
            &root,
            &["test", "--doc", "--workspace"],
            &[],
        )
    });
    suite("engine, portable twins of the loops in assembly", &|| {
        cargo_tests(
            "engine tests with the Cortex-M4's twin",
            &root,
            &[
                "test",
                "-p",
                "sanderling-engine",
                "--features",
                "cortex-m4,std",
                "--tests",
            ],
            &[],
        )
    });
    suite("compiler, plans for Cortex-M4 in the twin", &|| {
        cargo_tests(
            "compiler tests with the Cortex-M4's twin",
            &root,
            &[
                "test",
                "--workspace",
                "--features",
                "sanderling-engine/cortex-m4",
                "--test",
                "backend",
                "--test",
                "random_graphs",
            ],
            &[],
        )
    });
    suite("firmware, sensor drivers", &|| {
        let target = workspace::target()?.join("firmware");
        cargo_tests(
            "firmware tests",
            &root.join("firmware"),
            &["test", "-p", "sanderling-robot"],
            &[("CARGO_TARGET_DIR", &target)],
        )
    });
    suite("firmware, updates", &|| {
        let target = workspace::target()?.join("firmware");
        cargo_tests(
            "updates' tests",
            &root.join("firmware"),
            &["test", "-p", "sanderling-updates"],
            &[("CARGO_TARGET_DIR", &target)],
        )
    });
    if !options.quick {
        suite("firmware, snapshots under QEMU", &|| {
            snapshots::run(options.bless)
        });
        suite("firmware, updates over the UART", &updates::check);
        suite("firmware, memory functions under QEMU", &firmware::memory);
        match workspace::shared().map(|folder| folder.join("models")) {
            Some(models) if models.is_dir() => {
                suite("reference networks under QEMU", &|| oracle::run(&models));
            }
            _ if wanted("reference networks under QEMU") => {
                report.skip(
                    "reference networks under QEMU",
                    "no shared models (set SANDERLING_SHARED)",
                );
            }
            _ => {}
        }
        let mut suite = |name: &str, run: &dyn Fn() -> anyhow::Result<Tally>| {
            if wanted(name) {
                report.suite(name, run);
            }
        };
        suite("aarch64 under QEMU", &aarch64::tests);
        suite("aarch64 under QEMU, models", &aarch64::zoo);
        suite("instructions, arena, code within budgets", &budget::check);
        suite("agent within its size budget", &|| {
            agent_build::build("aarch64-unknown-linux-musl")?;
            Ok(Tally {
                passed: 1,
                ..Tally::default()
            })
        });
        suite("models, Python", &|| python_tests(&root));
    }
    report.close()
}

/// The workspace's tests: by nextest where it is installed (it ends a test that hangs),
/// else by `cargo test`.
fn workspace_tests(root: &Path, bless: bool) -> anyhow::Result<Tally> {
    let bless: &[(&str, &Path)] = match bless {
        true => &[("SANDERLING_BLESS", Path::new("1"))],
        false => &[],
    };
    if workspace::find_program("cargo-nextest").is_none() {
        say(
            "cargo-nextest is not installed: using cargo test, in which a single test has no deadline",
        );
        return cargo_tests(
            "workspace tests",
            root,
            &[
                "test",
                "--workspace",
                "--no-fail-fast",
                "--lib",
                "--bins",
                "--tests",
            ],
            bless,
        );
    }
    let config = root.join("cross/nextest.toml");
    let config = config
        .to_str()
        .context("the checkout's path is not UTF-8")?;
    cargo_tests(
        "workspace tests",
        root,
        &[
            "nextest",
            "run",
            "--workspace",
            "--no-fail-fast",
            "--config-file",
            config,
        ],
        bless,
    )
}

/// Runs a cargo command that runs tests, and reads its counts.
pub fn cargo_tests(
    what: &str,
    folder: &Path,
    arguments: &[&str],
    environment: &[(&str, &Path)],
) -> anyhow::Result<Tally> {
    let log = workspace::target()?.join(format!("{}.log", what.replace([' ', ','], "-")));
    let mut job = Job::cargo(what, folder)
        .args(arguments)
        .log(&log)
        .deadline(WORKSPACE_DEADLINE)
        .echo(worth_showing);
    for (name, value) in environment {
        job = job.env(name, value);
    }
    let finished = job.env("CARGO_TERM_COLOR", "never").finish()?;
    let said = [
        String::from_utf8_lossy(&finished.stdout),
        String::from_utf8_lossy(&finished.stderr),
    ]
    .join("\n");
    let mut tally = outcome::counts(&said);
    let skipped = said
        .lines()
        .filter(|line| line.trim_start().starts_with("skipped:"))
        .count();
    tally.skipped += u32::try_from(skipped).unwrap_or(u32::MAX);
    if !finished.status.success() && tally.failed == 0 {
        bail!(
            "{what} did not run ({}):\n{}\n(all of it: {})",
            finished.status,
            finished.last_words(40),
            log.display()
        );
    }
    if tally.failed > 0 {
        println!("{}", finished.last_words(120));
        println!("(all of it: {})", log.display());
    }
    Ok(tally)
}

/// The lines of a test run that a person waits for.
fn worth_showing(line: &str) -> bool {
    if line.starts_with("test result:") || line.ends_with("... FAILED") {
        return true;
    }
    let line = line.trim_start();
    let starts = [
        "Compiling sanderling",
        "Finished",
        "error",
        "FAIL",
        "SLOW",
        "TIMEOUT",
        "skipped:",
        "Summary [",
    ];
    starts.iter().any(|start| line.starts_with(start))
}

/// The zoo's own checks, whose last line has the counts.
fn python_tests(root: &Path) -> anyhow::Result<Tally> {
    let mut job = Job::new("the zoo's checks", python::environment(false)?)
        .arg(root.join("models/check.py"))
        .env("ORT_DISABLE_TELEMETRY", "1")
        .deadline(900)
        .echo(|line| line.starts_with("failed:") || line.starts_with("skipped:"));
    if let Some(shared) = workspace::shared() {
        job = job.arg("--shared").arg(shared);
    }
    let finished = job.finish()?;
    let tally = finished
        .text()
        .lines()
        .last()
        .map(outcome::plain_counts)
        .unwrap_or_default();
    if tally == Tally::default() || (!finished.status.success() && tally.failed == 0) {
        bail!(
            "the zoo's checks did not run ({}):\n{}",
            finished.status,
            finished.last_words(30)
        );
    }
    Ok(tally)
}
