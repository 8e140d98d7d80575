//! What a new machine lacks is installed or named: every program that the sources start comes with Debian's base or Rust, or
//! stands in `cross/packages.toml`.

use sanderling_tests::root;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's essential packages and util-linux, Rust, what makes a clone, and what the README asks for.
const ALWAYS_THERE: &[&str] = &[
    "sh", "bash", "env", "timeout", "kill", "id", "cat", "true", "false", "sleep", "mount",
    "umount", "mkfifo", "prlimit", "setsid", "unshare", "nsenter", "git", "cargo", "rustc",
    "rustup", "python3",
];

/// Looked for before they are started; without them the task says so, or does it in another way.
const OPTIONAL: &[&str] = &["sudo", "apt-get"];

/// Names of programs that sources also start by way of another one, as an argument of it.
const BY_WAY_OF_ANOTHER: &[&str] = &[
    "faketime",
    "ip",
    "tc",
    "nft",
    "iptables",
    "strace",
    "mosquitto",
    "openssl",
    "socat",
    "nc",
    "sshd",
    "ssh",
    "dropbear",
    "debugfs",
    "expect",
    "jq",
];

/// Programs by the places that start them.
fn started() -> BTreeMap<String, BTreeSet<PathBuf>> {
    let mut found: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    let tests_and_tasks = |path: &Path| {
        path.extension().is_some_and(|extension| extension == "rs")
            && (path.starts_with("cross") || path.iter().any(|part| part == "tests"))
            && !path.ends_with("new_machine.rs")
    };
    for path in tracked().into_iter().filter(|path| tests_and_tasks(path)) {
        let text = std::fs::read_to_string(root().join(&path)).unwrap();
        let mut note = |program: &str| {
            found
                .entry(program.to_owned())
                .or_default()
                .insert(path.clone());
        };
        for (at, _) in text.match_indices("Command::new(\"") {
            note(quoted(&text[at..]));
        }
        // The second argument is the program, where it is a literal.
        for (at, _) in text.match_indices("Job::new(") {
            let call = &text[at..text.len().min(at + 200)];
            let arguments = call.split([')', ';']).next().unwrap_or_default();
            if let Some((_, second)) = arguments.rsplit_once(", \"") {
                note(quoted(&format!("\"{second}")));
            }
        }
        for program in BY_WAY_OF_ANOTHER {
            let ways = [
                format!("[\"{program}\""),
                format!("join(\"{program}\")"),
                format!("find_program(\"{program}\")"),
            ];
            let argument = text.lines().any(|line| {
                line.trim() == format!("\"{program}\",")
                    || ways.iter().any(|way| line.contains(way))
            });
            if argument {
                note(program);
            }
        }
    }
    found
}

/// The first text in quotes.
fn quoted(text: &str) -> &str {
    text.split('"').nth(1).unwrap_or_default()
}

fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git")
        .arg("ls-files")
        .current_dir(root())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(PathBuf::from)
        .filter(|path| root().join(path).is_file())
        .collect()
}

#[test]
fn programs_that_are_started_are_set_up() {
    let text = std::fs::read_to_string(root().join("cross/packages.toml")).unwrap();
    let needs: toml::Table = text.parse().unwrap();
    let provided: BTreeSet<&str> = (needs["debian"].as_array().unwrap().iter())
        .filter_map(|package| package.get("provides")?.as_str())
        .filter_map(|path| Path::new(path).file_name()?.to_str())
        .collect();
    let started = started();
    assert!(
        started.contains_key("git") && started.contains_key("qemu-system-arm"),
        "the sources are read wrongly: {started:?}"
    );
    let mut offenders = Vec::new();
    for (program, places) in &started {
        let there = ALWAYS_THERE.contains(&program.as_str())
            || OPTIONAL.contains(&program.as_str())
            || provided.contains(program.as_str());
        // A path, or a name that is put together, is built by this project or asked of the system.
        let named = program
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !there && named && !program.is_empty() {
            offenders.push(format!("{program}, in {places:?}"));
        }
    }
    assert!(
        offenders.is_empty(),
        "these work only where somebody has installed them; put their Debian packages into cross/packages.toml:\n  {}",
        offenders.join("\n  ")
    );
}
