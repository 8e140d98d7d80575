//! Clocks that were wrong: a coordinator that once lived 400 days ahead, and robots with and without a clock of their own.

use crate::onnx_file;
use crate::process::{Scratch, sanderling};
use crate::rollout::{DEADLINE, FAKETIME, Fleet};
use serde_json::Value;
use std::path::Path;
use std::time::Instant;

/// Waits until every device stands in step with a version.
fn all_run(fleet: &Fleet, version: u64, robots: usize) {
    let start = Instant::now();
    loop {
        let devices = fleet.sanderling(&["devices"]).json();
        let list = devices["devices"].as_array().expect("is a list");
        let done = |device: &&Value| {
            device["running"]["version"] == version && device["standing"] == "in_step"
        };
        if list.iter().filter(done).count() == robots {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "v{version}: {devices:#}");
    }
}

#[test]
fn a_coordinator_that_was_ahead_takes_no_robot_along() {
    if !Path::new(FAKETIME).exists() {
        println!("skipped: faketime is not installed (apt install faketime)");
        return;
    }
    let scratch = Scratch::new();
    let keys = scratch.path("keys");
    sanderling(&["keys", "init", "--dir", &keys, "--json"]).json();
    let Some(mut fleet) = Fleet::start_at(scratch, &["--keys", &keys], Some("+400d")) else {
        return;
    };
    let (root, key) = (format!("{keys}/root"), format!("{keys}/release.key"));
    let model = fleet.scratch.put("m.onnx", &onnx_file::integer_model());
    for version in ["1", "2", "3"] {
        let plan = fleet.scratch.path(&format!("{version}.plan"));
        sanderling(&[
            "compile", &model, "--golden", version, "-o", &plan, "--json",
        ])
        .json();
        let args = [
            "register",
            &plan,
            "--name",
            "m",
            "--version",
            version,
            "--key",
            &key,
        ];
        fleet.sanderling(&args).json();
    }
    fleet.agent_with("has-a-clock", &["--root", &root]);
    let never_set = [
        FAKETIME,
        "--exclude-monotonic",
        "-f",
        "@1970-01-01 00:05:00",
    ];
    let broker = fleet.mqtt().to_owned();
    fleet.agent_at(
        "has-none",
        &never_set,
        &["--broker", &broker, "--root", &root],
    );
    fleet.sanderling(&["push", "m", "--version", "1"]).json();
    all_run(&fleet, 1, 2);

    // The clock is set, and the fleet goes on without another key.
    fleet.kill_coordinator();
    for version in ["2", "3"] {
        fleet
            .sanderling(&["push", "m", "--version", version])
            .json();
        all_run(&fleet, version.parse().expect("is a number"), 2);
    }
}
