//! The 64-bit Arm side: the tests of the crates that run on a robot, built for
//! aarch64 and run by QEMU's user mode.

use crate::outcome::Tally;
use crate::{test, workspace};

/// The crates that a Linux robot runs.
const CRATES: [&str; 5] = [
    "sanderling-plan",
    "sanderling-wire",
    "sanderling-slots",
    "sanderling-engine",
    "sanderling-agent",
];

/// Runs their tests. `.cargo/config.toml` names linker and runner.
pub fn tests() -> anyhow::Result<Tally> {
    let mut arguments = vec![
        "test",
        "--target",
        "aarch64-unknown-linux-gnu",
        "--no-fail-fast",
        "--lib",
        "--bins",
        "--tests",
    ];
    for name in CRATES {
        arguments.extend(["-p", name]);
    }
    test::cargo_tests("aarch64 tests", &workspace::root(), &arguments, &[])
}
