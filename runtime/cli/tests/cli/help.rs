//! `--help` teaches with examples, for every subcommand.

use crate::process::sanderling;

const SUBCOMMANDS: [&str; 16] = [
    "compile",
    "compare",
    "inspect",
    "run",
    "bench",
    "keys",
    "sign",
    "enroll",
    "register",
    "push",
    "rollout",
    "devices",
    "models",
    "holdouts",
    "watch",
    "completions",
];

#[test]
fn every_subcommand_is_listed_and_has_examples() {
    let all = sanderling(&["--help"]);
    assert_eq!(all.code, 0);
    for name in SUBCOMMANDS {
        assert!(
            all.stdout.contains(&format!("\n  {name} ")),
            "{name} is not in {}",
            all.stdout
        );
        let help = sanderling(&[name, "--help"]);
        assert_eq!(help.code, 0, "{}", help.stderr);
        assert!(
            help.stdout.contains(&format!("sanderling {name}")),
            "{}",
            help.stdout
        );
        assert!(help.stdout.contains("Examples:"), "{}", help.stdout);
    }
}

#[test]
fn the_version_is_the_package_s() {
    let version = sanderling(&["--version"]);
    assert_eq!(
        version.stdout,
        concat!("sanderling ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn completions_are_written_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = sanderling(&["completions", shell]);
        assert_eq!(script.code, 0, "{}", script.stderr);
        for name in SUBCOMMANDS {
            assert!(
                script.stdout.contains(name),
                "{name} is not completed in {shell}"
            );
        }
    }
}
