//! Starts the command with a deadline and keeps what it said.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest that a command may take, in seconds; a loaded machine is slow.
const DEADLINE: &str = "120";

/// What a finished command said.
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The one JSON object on standard output, from a command that succeeded.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        assert_eq!(self.stdout.lines().count(), 1, "one line: {}", self.stdout);
        let value: Value = serde_json::from_str(&self.stdout).expect("is JSON");
        assert!(value.is_object(), "{value}");
        value
    }

    /// Asserts a failure with that exit code whose messages hold all of `parts`, on one
    /// line after `error:` but for a list below it.
    pub fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "", "errors belong on standard error");
        let errors = self
            .stderr
            .lines()
            .filter(|line| line.starts_with("error:"))
            .count();
        assert_eq!(errors, 1, "{}", self.stderr);
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "no {part:?} in: {}",
                self.stderr
            );
        }
    }
}

/// Runs `sanderling` with these arguments to its end.
pub fn sanderling(args: &[&str]) -> Finished {
    let output = Command::new("timeout")
        .args(["--kill-after=5", DEADLINE, env!("CARGO_BIN_EXE_sanderling")])
        .args(args)
        .env_remove("SANDERLING_COORDINATOR")
        .output()
        .expect("timeout of the coreutils starts");
    Finished {
        code: output.status.code().expect("was not killed"),
        stdout: String::from_utf8(output.stdout).expect("is text"),
        stderr: String::from_utf8(output.stderr).expect("is text"),
    }
}

/// A directory for one test, gone when it ends.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Self {
        Scratch(tempfile::tempdir().expect("a directory"))
    }

    /// A path in it, as an argument.
    pub fn path(&self, name: &str) -> String {
        self.join(name).to_str().expect("is text").to_owned()
    }

    /// Puts a file into it.
    pub fn put(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.join(name), bytes).expect("writes");
        self.path(name)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Names of the files in it, sorted.
    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.0.path())
            .expect("lists")
            .map(|entry| {
                entry
                    .expect("is there")
                    .file_name()
                    .into_string()
                    .expect("is text")
            })
            .collect();
        names.sort();
        names
    }
}

/// The bytes of a file.
pub fn read(path: impl AsRef<Path>) -> Vec<u8> {
    std::fs::read(path).expect("reads")
}
