//! `cargo xtask fresh`: the README's commands and `.ci/run` as on a machine that nobody has prepared.
//!
//! A clone of the last commit, an empty home directory, no cargo home but the one in it, and of `PATH` only what
//! Debian's packages fill. What works here by an environment, a tool, or a setting of its owner then fails.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::process::Job;
use crate::terminal::say;
use crate::workspace;

/// Seconds that each part may take: it compiles everything.
const DEADLINE: u64 = 6 * 3600;
/// Seconds that a clone may take.
const CLONE_DEADLINE: u64 = 300;

/// Where Debian's packages put programs. What lies elsewhere somebody has put there.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Rust comes by rustup, whose programs are one program under many names.
const RUSTUP: [&str; 8] = [
    "cargo",
    "cargo-clippy",
    "cargo-fmt",
    "clippy-driver",
    "rustc",
    "rustdoc",
    "rustfmt",
    "rustup",
];
/// What a new machine has, too: who and where one is, and how packages are reached.
const KEPT: [&str; 8] = [
    "USER", "LOGNAME", "LANG", "TERM", "TZ", "TMPDIR", "NO_PROXY", "no_proxy",
];
const KEPT_BEGINNINGS: [&str; 7] = [
    "LC_",
    "PIP_",
    "SSL_CERT_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
];

/// Which parts to run.
#[derive(clap::Args)]
pub struct Options {
    /// Only the parts whose name contains this: setup, python, demo, test, ci
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Leave clone and home behind, to look at them
    #[arg(long)]
    keep: bool,
}

/// A part: its name, and the command in the clone.
const PARTS: [(&str, &[&str]); 5] = [
    ("setup", &["cargo", "xtask", "setup"]),
    (
        "python",
        &["cargo", "xtask", "test", "--only", "models, Python"],
    ),
    ("demo", &["cargo", "xtask", "demo"]),
    ("test", &["cargo", "xtask", "test"]),
    ("ci", &[".ci/run"]),
];

/// Clones, and runs the parts one after the other in one home, as a person would.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let word = options.only.as_deref().unwrap_or("");
    let parts: Vec<_> = (PARTS.iter())
        .filter(|(name, _)| name.contains(word))
        .collect();
    if parts.is_empty() {
        let names = PARTS.map(|(name, _)| name).join(", ");
        bail!("no part has a name that contains {word:?}; they are {names}");
    }
    let machine = Machine::make(options.keep)?;
    let mut failed = Vec::new();
    for (name, command) in parts {
        say(format!("== fresh, {name}: {}", command.join(" ")));
        let done = machine.job(name, command)?.run();
        match done {
            Ok(()) => say(format!("fresh, {name}: works")),
            Err(error) => {
                println!("FAILED fresh, {name}: {error:#}");
                failed.push(*name);
            }
        }
    }
    if !failed.is_empty() {
        bail!(
            "with an empty home these fail: {}; what they need beyond the repository belongs into cross/packages.toml, models/requirements.txt, or `cargo xtask setup`",
            failed.join(", ")
        );
    }
    say("fresh: everything works with an empty home");
    Ok(())
}

/// An empty home with a clone beside it, gone at the end.
struct Machine {
    folder: PathBuf,
    rustup_home: OsString,
    keep: bool,
}

impl Machine {
    fn make(keep: bool) -> anyhow::Result<Self> {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let rustup_home = std::env::var_os("RUSTUP_HOME")
            .or_else(|| Some(home.as_ref()?.join(".rustup").into_os_string()))
            .context("neither RUSTUP_HOME nor HOME is set")?;
        let folder = std::env::temp_dir().join(format!("sanderling-fresh-{}", std::process::id()));
        let machine = Machine {
            folder,
            rustup_home,
            keep,
        };
        for name in ["home", "bin"] {
            let path = machine.folder.join(name);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let rustup = workspace::find_program("rustup")
            .context("rustup is not in PATH; install it from https://rustup.rs")?;
        for name in RUSTUP {
            let link = machine.folder.join("bin").join(name);
            std::os::unix::fs::symlink(&rustup, &link)
                .with_context(|| format!("cannot make {}", link.display()))?;
        }
        say(format!(
            "fresh: cloning the last commit into {}",
            machine.folder.display()
        ));
        Job::new("git clone", "git")
            .args(["clone", "-q", "--no-hardlinks"])
            .arg(workspace::root())
            .arg(machine.clone_folder())
            .deadline(CLONE_DEADLINE)
            .output()?;
        if !changes()?.is_empty() {
            say("fresh: what is not committed is not in the clone");
        }
        Ok(machine)
    }

    fn clone_folder(&self) -> PathBuf {
        self.folder.join("sanderling")
    }

    fn job(&self, name: &str, command: &[&str]) -> anyhow::Result<Job> {
        let (program, arguments) = command.split_first().context("an empty command")?;
        let program = match program.strip_prefix("./").unwrap_or(program) {
            "cargo" => self.folder.join("bin/cargo"),
            script => self.clone_folder().join(script),
        };
        let mut path = self.folder.join("bin").into_os_string();
        path.push(":");
        path.push(PATH);
        let mut job = Job::new(format!("fresh, {name}"), program)
            .args(arguments)
            .with_environment(kept(std::env::vars_os()))
            .env("HOME", self.folder.join("home"))
            .env("RUSTUP_HOME", &self.rustup_home)
            .env("PATH", path)
            .folder(&self.clone_folder())
            .deadline(DEADLINE);
        if let Some(shared) = workspace::shared().and_then(|path| path.canonicalize().ok()) {
            job = job.env("SANDERLING_SHARED", shared);
        }
        Ok(job)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.keep {
            say(format!(
                "fresh: clone and home are in {}",
                self.folder.display()
            ));
        } else if let Err(error) = fs::remove_dir_all(&self.folder) {
            let folder = self.folder.display();
            say(format!("fresh: cannot remove {folder}: {error}"));
        }
    }
}

/// What of the environment a new machine has, too.
fn kept(
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    environment.filter(|(name, _)| {
        let name = name.to_string_lossy();
        KEPT.contains(&name.as_ref()) || KEPT_BEGINNINGS.iter().any(|b| name.starts_with(b))
    })
}

/// What git calls changed in the checkout.
fn changes() -> anyhow::Result<String> {
    let asked = Job::new("git status", "git")
        .args(["status", "--porcelain", "--untracked-files=no"])
        .folder(Path::new(&workspace::root()))
        .output()?;
    Ok(asked.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_owner_are_not_taken_along() {
        let all = [
            "HOME",
            "PATH",
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "XDG_CACHE_HOME",
            "PYTHONPATH",
            "SANDERLING_PYTHON",
            "LANG",
            "LC_ALL",
            "https_proxy",
            "PIP_INDEX_URL",
        ];
        let pairs = all.map(|name| (OsString::from(name), OsString::from("x")));
        let left: Vec<OsString> = kept(pairs.into_iter()).map(|(name, _)| name).collect();
        assert_eq!(left, ["LANG", "LC_ALL", "https_proxy", "PIP_INDEX_URL"]);
    }
}
