//! The Python environment of models/: made once in the user's cache, and made again
//! when the list of packages changes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::process::Job;
use crate::terminal::say;
use crate::workspace;

/// The oldest Python that the packages of `models/requirements.txt` run on.
const OLDEST: (u32, u32) = (3, 11);

/// Seconds that an installation of packages may take.
const INSTALL_DEADLINE: u64 = 1500;

/// Whether the system's Python can import `module`.
pub fn has_module(module: &str) -> bool {
    let asked = Job::new("asking Python for a module", "python3")
        .args(["-c", &format!("import {module}")])
        .finish();
    asked.is_ok_and(|finished| finished.status.success())
}

/// The environment's Python, after making sure that the environment has what
/// `models/requirements.txt` lists (and `requirements-train.txt` when `train`).
pub fn environment(train: bool) -> anyhow::Result<PathBuf> {
    let models = workspace::root().join("models");
    let lists = ["requirements.txt", "requirements-train.txt"].map(|list| models.join(list));
    made("venv", &lists[..if train { 2 } else { 1 }])
}

/// The Python of the engines that this project is compared with, in an environment of
/// their own: they want other versions of the same packages.
pub fn peers() -> anyhow::Result<PathBuf> {
    made(
        "venv-peers",
        &[workspace::root().join("cross/peers/requirements.txt")],
    )
}

/// The Python of the environment `name` with the packages of `lists`.
fn made(name: &str, lists: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let folder = workspace::cache()?.join(name);
    let python = folder.join("bin/python");
    if !python.is_file() {
        new_enough()?;
        say(format!(
            "setup: making a Python environment in {}",
            folder.display()
        ));
        Job::new("python3 -m venv", "python3")
            .args(["-m", "venv"])
            .arg(&folder)
            .deadline(120)
            .output()?;
    }
    for list in lists {
        install(&python, &folder, list)?;
    }
    Ok(python)
}

/// An error where the system's Python is too old, before pip says so in its own way.
fn new_enough() -> anyhow::Result<()> {
    let asked = Job::new("asking Python for its version", "python3")
        .args(["-c", "import sys; print(*sys.version_info[:2])"])
        .output()?;
    let said = asked.text();
    let mut numbers = said.split_whitespace().map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        bail!("python3 does not say its version: {said}");
    };
    if (major, minor) < OLDEST {
        bail!(
            "python3 is Python {major}.{minor}; numpy and ONNX Runtime of models/requirements.txt need {}.{} or newer, first in PATH",
            OLDEST.0,
            OLDEST.1
        );
    }
    Ok(())
}

fn install(python: &Path, folder: &Path, list: &Path) -> anyhow::Result<()> {
    let wanted =
        fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    let stamp = folder.join(list.file_name().unwrap_or_default());
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        say(format!(
            "setup: Python packages of {} are there",
            workspace::short(list)
        ));
        return Ok(());
    }
    say(format!(
        "setup: installing the Python packages of {}",
        workspace::short(list)
    ));
    Job::new("pip install", python)
        .args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "-q",
            "-r",
        ])
        .arg(list)
        .deadline(INSTALL_DEADLINE)
        .output()?;
    // Written last, so that an installation which broke off is done again.
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}
