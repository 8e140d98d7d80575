//! `cargo xtask setup`: what the other tasks need, installed or asked for.
//!
//! What is needed is data: `cross/packages.toml`. Running it twice changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::process::Job;
use crate::terminal::say;
use crate::{python, workspace};

/// Seconds that one installation may take.
const INSTALL_DEADLINE: u64 = 1200;

/// What to set up.
#[derive(clap::Args, Default)]
pub struct Options {
    /// Also what trains the model zoo (PyTorch and the like)
    #[arg(long)]
    train: bool,
}

#[derive(Deserialize)]
struct Needs {
    target: Vec<Target>,
    debian: Vec<Package>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    why: String,
    #[serde(default)]
    optional: bool,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    why: String,
    provides: Option<PathBuf>,
    provides_module: Option<String>,
    #[serde(default)]
    optional: bool,
}

impl Package {
    fn present(&self) -> bool {
        let program = self.provides.as_deref().is_none_or(|path| {
            path.exists()
                || path
                    .file_name()
                    .is_some_and(|name| in_bin(path) && workspace::find_program(name).is_some())
        });
        program
            && self
                .provides_module
                .as_deref()
                .is_none_or(python::has_module)
    }
}

/// Whether the file is a program, which may as well lie elsewhere in `PATH`.
fn in_bin(path: &Path) -> bool {
    path.parent()
        .and_then(Path::file_name)
        .is_some_and(|folder| folder == "bin" || folder == "sbin")
}

/// Sets everything up, saying what it does.
pub fn run(options: &Options) -> anyhow::Result<()> {
    rust_targets(|target| !target.optional)?;
    debian_packages(|package| !package.optional)?;
    python::environment(options.train)?;
    say("setup: done");
    Ok(())
}

/// Sets up what building for one Linux target needs, optional parts included.
pub fn for_target(triple: &str) -> anyhow::Result<()> {
    rust_targets(|target| target.name == triple)?;
    let wanted: &[&str] = match triple {
        "armv7-unknown-linux-gnueabihf" => &["gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross"],
        _ => &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
    };
    debian_packages(|package| wanted.contains(&package.name.as_str()))
}

/// Sets up what a board under QEMU needs.
pub fn for_board(triple: &str) -> anyhow::Result<()> {
    rust_targets(|target| target.name == triple)?;
    debian_packages(|package| package.name == "qemu-system-arm")
}

/// Sets up what counting instructions for a target needs: the emulator, and a C compiler
/// for its plugin.
pub fn for_counting(triple: &str) -> anyhow::Result<()> {
    rust_targets(|target| target.name == triple)?;
    let wanted = ["gcc", "libc6-dev", "qemu-system-arm", "qemu-user"];
    debian_packages(|package| wanted.contains(&package.name.as_str()))
}

fn needs() -> anyhow::Result<Needs> {
    let path = workspace::root().join("cross/packages.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} does not parse", path.display()))
}

fn rust_targets(wanted: impl Fn(&Target) -> bool) -> anyhow::Result<()> {
    let sysroot = Job::new("asking rustc for its libraries", "rustc")
        .args(["--print", "sysroot"])
        .output()?;
    let libraries = Path::new(sysroot.text().trim()).join("lib/rustlib");
    for target in needs()?.target.iter().filter(|t| wanted(t)) {
        if libraries.join(&target.name).join("lib").is_dir() {
            say(format!("setup: Rust target {} is there", target.name));
            continue;
        }
        say(format!(
            "setup: installing Rust target {} ({})",
            target.name, target.why
        ));
        Job::new(format!("rustup target add {}", target.name), "rustup")
            .args(["target", "add", &target.name])
            .deadline(INSTALL_DEADLINE)
            .run()?;
    }
    Ok(())
}

fn debian_packages(wanted: impl Fn(&Package) -> bool) -> anyhow::Result<()> {
    let needs = needs()?;
    let missing: Vec<&Package> = needs
        .debian
        .iter()
        .filter(|p| wanted(p) && !p.present())
        .collect();
    if missing.is_empty() {
        say("setup: Debian packages are there");
        return Ok(());
    }
    for package in &missing {
        say(format!(
            "setup: Debian package {} is missing ({})",
            package.name, package.why
        ));
    }
    let names: Vec<&str> = missing.iter().map(|p| p.name.as_str()).collect();
    let by_hand = format!(
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
        names.join(" ")
    );
    if workspace::find_program("apt-get").is_none() {
        bail!(
            "this is no Debian or Ubuntu; install what provides these yourself: {}",
            names.join(", ")
        );
    }
    let prefix = privilege().with_context(|| {
        format!("no right to install packages here; run this, then again:\n\n    {by_hand}\n")
    })?;
    for arguments in [
        vec!["update"],
        [vec!["install", "-y", "--no-install-recommends"], names].concat(),
    ] {
        let what = format!("apt-get {}", arguments.join(" "));
        say(format!("setup: {what}"));
        let mut words = prefix.iter().copied().chain(["apt-get"]).chain(arguments);
        let program = words.next().context("no program to run")?;
        Job::new(what, program)
            .args(words)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .deadline(INSTALL_DEADLINE)
            .output()
            .with_context(|| format!("by hand: {by_hand}"))?;
    }
    Ok(())
}

/// What to put before a command that installs: nothing for root, `sudo -n` where that
/// asks for no password, an error otherwise.
fn privilege() -> anyhow::Result<&'static [&'static str]> {
    if rustix::process::geteuid().is_root() {
        return Ok(&[]);
    }
    if workspace::find_program("sudo").is_some() {
        let asked = Job::new("asking for the right to install", "sudo")
            .args(["-n", "true"])
            .deadline(10)
            .finish()?;
        if asked.status.success() {
            return Ok(&["sudo", "-n"]);
        }
    }
    bail!("neither root nor password-free sudo")
}
