//! Commands against a real coordinator.
//!
//! Its binary stands beside the command's where the whole workspace was built; elsewhere
//! the tests say so and pass.

use crate::onnx_file;
use crate::process::{Scratch, sanderling};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longest that a coordinator may take to start on a loaded machine.
const START: Duration = Duration::from_secs(60);

/// A coordinator on free ports, gone when the test ends.
pub struct Coordinator {
    process: Child,
    url: String,
    pub scratch: Scratch,
}

impl Coordinator {
    pub fn start() -> Option<Self> {
        let program =
            Path::new(env!("CARGO_BIN_EXE_sanderling")).with_file_name("sanderling-coordinator");
        if !program.exists() {
            println!("skipped: no coordinator at {}", program.display());
            return None;
        }
        let scratch = Scratch::new();
        let mut process = Command::new(program)
            .args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"])
            .args(["--data-dir", &scratch.path("data")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the coordinator starts");
        let stdout = process.stdout.take().expect("is piped");
        let (say, hear) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(stdout).read_line(&mut line);
            // A test that gave up no longer listens.
            let _ = say.send(read.map(|_| line));
        });
        let ready = hear
            .recv_timeout(START)
            .expect("is ready in time")
            .expect("is text");
        let ready: Value = serde_json::from_str(&ready).expect("is JSON");
        let url = ready["http"].as_str().expect("has a URL").to_owned();
        Some(Coordinator {
            process,
            url,
            scratch,
        })
    }

    /// Runs a command against it.
    pub fn sanderling(&self, args: &[&str]) -> crate::process::Finished {
        sanderling(&[args, &["--coordinator", &self.url]].concat())
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_model_is_registered_for_two_boards_listed_and_pushed() {
    let Some(fleet) = Coordinator::start() else {
        return;
    };
    let empty = fleet.sanderling(&["models"]);
    assert!(empty.stdout.contains("no models"), "{}", empty.stdout);
    let model = fleet.scratch.put("m.onnx", &onnx_file::integer_model());
    let args = [
        "register",
        &model,
        "--name",
        "m",
        "--targets",
        "generic,cortex-m4",
        "--label",
        "floor=hall 2 & more",
        "--metric",
        "accuracy=0.981",
        "--stage",
        "production",
    ];
    let json = fleet.sanderling(&[&args[..], &["--json"]].concat()).json();
    assert_eq!(json["model"]["version"], 1);
    let plans = json["plans"].as_array().expect("is a list");
    assert_eq!(plans.len(), 2);
    assert!(plans.iter().all(|plan| plan["created"] == true), "{json}");
    assert_eq!(
        plans[0]["artifact"]["size"],
        plans[0]["report"]["flash_bytes"]
    );

    // The same again is the same; without a version it is the next one.
    let again = fleet
        .sanderling(&[&args[..], &["--version", "1", "--json"]].concat())
        .json();
    assert_eq!(again["plans"][0]["created"], false);
    let next = fleet
        .sanderling(&["register", &model, "--name", "m", "--json"])
        .json();
    assert_eq!(next["model"]["version"], 2);

    let models = fleet
        .sanderling(&["models", "--name", "m", "--json"])
        .json();
    let first = &models["models"][0];
    assert_eq!(first["labels"]["floor"], "hall 2 & more");
    assert_eq!(first["metrics"]["accuracy"], 0.981);
    assert_eq!(first["stage"], "production");
    assert_eq!(first["provenance"]["file"], "m.onnx");
    let table = fleet.sanderling(&["models"]);
    for part in ["cortex-m4", "production", "floor=hall 2 & more"] {
        assert!(
            table.stdout.contains(part),
            "no {part:?} in {}",
            table.stdout
        );
    }

    let pushed = fleet
        .sanderling(&["push", "m", "--version", "2", "--json"])
        .json();
    assert_eq!(
        (&pushed["group"], &pushed["version"]),
        (&"all".into(), &2.into())
    );
    let waited = fleet.sanderling(&["push", "m", "--version", "1", "--wait", "5", "--json"]);
    assert_eq!(waited.json()["in_step"], 0, "nobody is there to wait for");
}

#[test]
fn what_the_coordinator_refuses_is_one_line() {
    let Some(fleet) = Coordinator::start() else {
        return;
    };
    fleet
        .sanderling(&["push", "none", "--version", "7"])
        .fails(1, &["none v7 is not registered", "sanderling register"]);
    let model = fleet.scratch.put("m.onnx", &onnx_file::integer_model());
    let plan = fleet.scratch.path("m.plan");
    sanderling(&["compile", &model, "--golden", "2", "-o", &plan, "--json"]).json();
    let json = fleet
        .sanderling(&["register", &plan, "--name", "m", "--version", "1", "--json"])
        .json();
    assert_eq!(
        json["plans"][0]["report"],
        Value::Null,
        "a plan is sent as it is"
    );
    fleet
        .sanderling(&[
            "register",
            &model,
            "--name",
            "m",
            "--version",
            "1",
            "--golden",
            "3",
        ])
        .fails(1, &["m v1 for generic", "another file", "new version"]);
    fleet
        .sanderling(&["register", &model, "--name", "no good/name"])
        .fails(1, &["name"]);
    fleet
        .sanderling(&["register", &plan, "--name", "m", "--targets", "cortex-m4"])
        .fails(1, &["is a plan already"]);
}

#[test]
fn watch_writes_events_and_the_fleet_as_json_lines() {
    let Some(fleet) = Coordinator::start() else {
        return;
    };
    let model = fleet.scratch.put("m.onnx", &onnx_file::integer_model());
    fleet
        .sanderling(&["register", &model, "--name", "m", "--json"])
        .json();
    let watched = fleet.sanderling(&["watch", "--for", "1", "--json"]);
    assert_eq!(watched.code, 0, "{}", watched.stderr);
    let lines: Vec<Value> = watched
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("is JSON"))
        .collect();
    assert_eq!(lines[0]["type"], "event");
    assert_eq!(lines[0]["kind"], "registered");
    let last = lines.last().expect("is not empty");
    assert_eq!(last["type"], "fleet");
    assert_eq!(last["devices"], serde_json::json!([]));
    assert_eq!(last["results"]["total"]["frames"], 0);
    let told = fleet.sanderling(&["watch", "--for", "1"]);
    assert!(
        told.stdout.contains("registered m v1 for generic"),
        "{}",
        told.stdout
    );
}
