//! Rollouts with real processes: a coordinator that is killed on the way, and agents.
//!
//! Their binaries stand beside the command's where the whole workspace was built; elsewhere the test says so and passes.

use crate::onnx_file;
use crate::process::{Finished, Scratch, read, sanderling};
use sanderling_executor::AlignedBytes;
use sanderling_plan::Plan;
use sanderling_plan::golden::Part;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What shifts a program's clock.
pub const FAKETIME: &str = "/usr/bin/faketime";

/// Longest that anything here may take on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(110);

/// A process that is gone when the test ends.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A coordinator and the agents that were started.
pub struct Fleet {
    pub scratch: Scratch,
    coordinator: Process,
    http: String,
    mqtt: String,
    agents: Vec<Process>,
    more: Vec<String>,
}

pub fn program(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_sanderling")).with_file_name(name);
    if !path.exists() {
        println!("skipped: no {}", path.display());
        return None;
    }
    Some(path)
}

/// A program, with the clock that `faketime` makes of `time`.
fn command(program: &Path, time: Option<&str>) -> Command {
    let Some(time) = time else {
        return Command::new(program);
    };
    let mut command = Command::new(FAKETIME);
    command
        .args(["-f", time])
        .arg(program)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

/// Starts a coordinator on that directory, where `time` says so with another clock; where it listens.
fn coordinator(
    program: &Path,
    data: &str,
    more: &[String],
    time: Option<&str>,
) -> (Process, String, String) {
    let mut command = command(program, time);
    command.args(["--http", "127.0.0.1:0", "--data-dir", data]);
    if !more.iter().any(|word| word == "--broker-url") {
        command.args(["--mqtt", "127.0.0.1:0"]);
    }
    let mut child = command
        .args(more)
        .stdout(Stdio::piped())
        .stderr(log(&format!("{data}.log")))
        .spawn()
        .expect("the coordinator starts");
    let stdout = child.stdout.take().expect("is piped");
    let process = Process(child);
    let (say, hear) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        // A test that gave up no longer listens.
        let _ = say.send(read.map(|_| line));
    });
    let ready = hear
        .recv_timeout(DEADLINE)
        .expect("is ready in time")
        .expect("is text");
    let ready: Value = serde_json::from_str(&ready).expect("is JSON");
    let text = |key: &str| ready[key].as_str().expect("is there").to_owned();
    (process, text("http"), text("mqtt"))
}

/// Where a process's messages go, after those of an earlier one.
pub fn log(path: &str) -> Stdio {
    let mut options = std::fs::OpenOptions::new();
    let file = options.create(true).append(true).open(path);
    Stdio::from(file.expect("can be written"))
}

impl Fleet {
    pub fn start() -> Option<Fleet> {
        Fleet::start_with(Scratch::new(), &[])
    }

    /// With more arguments for the coordinator.
    pub fn start_with(scratch: Scratch, more: &[&str]) -> Option<Fleet> {
        Fleet::start_at(scratch, more, None)
    }

    /// With another clock for the coordinator.
    pub fn start_at(scratch: Scratch, more: &[&str], time: Option<&str>) -> Option<Fleet> {
        program("sanderling-agent")?;
        let more: Vec<String> = more.iter().map(|&word| word.to_owned()).collect();
        let program = program("sanderling-coordinator")?;
        let (coordinator, http, mqtt) = coordinator(&program, &scratch.path("data"), &more, time);
        Some(Fleet {
            scratch,
            coordinator,
            http,
            mqtt,
            agents: Vec::new(),
            more,
        })
    }

    pub fn agent(&mut self, name: &str) {
        self.agent_with(name, &[]);
    }

    /// With more arguments for the agent.
    pub fn agent_with(&mut self, name: &str, more: &[&str]) {
        let broker = self.mqtt.clone();
        self.agent_at(name, &[], &[&["--broker", &broker], more].concat());
    }

    /// Started by another program, such as `faketime`, and told everything else by its arguments.
    pub fn agent_at(&mut self, name: &str, by: &[&str], more: &[&str]) {
        let agent = program("sanderling-agent").expect("is there");
        let mut command = match by {
            [] => Command::new(agent),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(agent);
                command
            }
        };
        let child = command
            .args(["--device", name])
            .args(["--state-dir", &self.scratch.path(name)])
            .args(["--trial-seconds", "0.3", "--health-seconds", "1"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log(&self.scratch.path(&format!("{name}.log"))))
            .spawn()
            .expect("the agent starts");
        self.agents.push(Process(child));
    }

    /// Ends the agent that was started as number `index`, without a farewell.
    pub fn kill_agent(&mut self, index: usize) {
        let agent = &mut self.agents[index].0;
        agent.kill().expect("is killed");
        agent.wait().expect("ends");
    }

    /// What the coordinator (`data`) or an agent said so far.
    pub fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.scratch.path(&format!("{name}.log"))).unwrap_or_default()
    }

    /// SIGTERM to the coordinator, and waits for its end.
    pub fn stop_coordinator(&mut self) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill starts").success());
        self.coordinator.0.wait().expect("ends");
    }

    /// Where robots find the broker.
    pub fn mqtt(&self) -> &str {
        &self.mqtt
    }

    /// Where the API listens.
    pub fn http(&self) -> &str {
        &self.http
    }

    /// The coordinator's process.
    pub fn pid(&self) -> u32 {
        self.coordinator.0.id()
    }

    /// A device as the coordinator lists it, once it is as it should be.
    pub fn until_device(&self, name: &str, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let devices = self.sanderling(&["devices"]).json();
            let list = devices["devices"].as_array().expect("is a list");
            let found = list.iter().find(|device| device["name"] == name);
            if let Some(device) = found.filter(|device| done(device)) {
                return device.clone();
            }
            assert!(
                start.elapsed() < DEADLINE,
                "{what}: {found:#?}\n{}",
                self.said(name)
            );
        }
    }

    /// SIGKILL, and another process on the same data.
    pub fn kill_coordinator(&mut self) {
        self.coordinator.0.kill().expect("is killed");
        self.coordinator.0.wait().expect("ends");
        let program = program("sanderling-coordinator").expect("is there");
        let data = self.scratch.path("data");
        let (process, http, mqtt) = coordinator(&program, &data, &self.more, None);
        assert_eq!(
            (&http, &mqtt),
            (&self.http, &self.mqtt),
            "it comes back where robots look for it"
        );
        self.coordinator = process;
    }

    pub fn sanderling(&self, args: &[&str]) -> Finished {
        sanderling(&[args, &["--coordinator", &self.http, "--json"]].concat())
    }

    pub fn register(&self, plan: &str, version: &str) {
        self.sanderling(&["register", plan, "--name", "m", "--version", version])
            .json();
    }

    /// Asks for a rollout's state until it is as it should be.
    pub fn until(&self, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let status = self.sanderling(&["rollout", "status"]).json();
            if done(&status) {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "{what}: {status:#}");
        }
    }

    /// How many devices run that version.
    pub fn running(&self, version: u64) -> usize {
        let devices = self.sanderling(&["devices"]).json();
        let devices = devices["devices"].as_array().expect("is a list");
        devices
            .iter()
            .filter(|d| d["running"]["version"] == version)
            .count()
    }
}

/// A plan with that many golden vectors, so that each is another file.
pub fn plan(scratch: &Scratch, golden: &str) -> String {
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let plan = scratch.path(&format!("golden-{golden}.plan"));
    sanderling(&["compile", &model, "--golden", golden, "-o", &plan, "--json"]).json();
    plan
}

/// The same plan with a promise that no processor keeps: it fails its self-test everywhere.
fn bad(scratch: &Scratch, path: &str) -> String {
    let mut bytes = read(path);
    let aligned = AlignedBytes::copy_of(&bytes);
    let plan = Plan::new(aligned.as_ref()).expect("is a plan");
    let first = plan.golden().next().expect("has a vector");
    let output = first
        .parts(plan.io_tensors())
        .find_map(|part| match part {
            Part::Output(_, bytes) => Some(bytes),
            Part::Input(..) => None,
        })
        .expect("has an output");
    let at = output.as_ptr().addr() - plan.bytes().as_ptr().addr();
    bytes[at] ^= 1;
    scratch.put("bad.plan", &bytes)
}

pub fn acts(status: &Value, act: &str) -> usize {
    let audit = status["audit"].as_array().expect("is a list");
    audit.iter().filter(|line| line["act"] == act).count()
}

#[test]
fn a_bad_model_is_taken_back_and_a_good_one_survives_the_coordinator() {
    let Some(mut fleet) = Fleet::start() else {
        return;
    };
    let first = plan(&fleet.scratch, "1");
    let bad = bad(&fleet.scratch, &plan(&fleet.scratch, "2"));
    let good = plan(&fleet.scratch, "3");
    for (plan, version) in [(&first, "1"), (&bad, "2"), (&good, "3")] {
        fleet.register(plan, version);
    }
    for n in 0..6 {
        fleet.agent(&format!("robot-{n}"));
    }
    fleet.sanderling(&["push", "m", "--version", "1"]).json();
    let start = Instant::now();
    while fleet.running(1) < 6 {
        assert!(start.elapsed() < DEADLINE, "six robots run v1");
    }

    // The gate trips in the first wave, and nobody else ever hears of v2.
    let waves = ["--waves", "2,4", "--soak", "1"];
    let begin = [
        "rollout",
        "start",
        "m",
        "--version",
        "2",
        "--on-trip",
        "revert",
        "--as",
        "anna",
    ];
    let started = fleet.sanderling(&[&begin[..], &waves].concat()).json();
    assert_eq!(
        (&started["by"], &started["base"][1]),
        (&"anna".into(), &1.into())
    );
    fleet
        .sanderling(&["push", "m", "--version", "3"])
        .fails(1, &["rollout", "under way"]);
    let ended = fleet.until("v2 is taken back", |s| s["summary"]["status"] == "aborted");
    assert_eq!(
        (acts(&ended, "tripped"), acts(&ended, "stage")),
        (1, 1),
        "{ended:#}"
    );
    let tried = ended["summary"]["tried"].as_u64().expect("is a number");
    assert!((1..=2).contains(&tried), "{tried} robots tried v2");
    assert_eq!((fleet.running(1), fleet.running(2)), (6, 0));

    // v3 reaches everybody, though the coordinator is killed in every stage.
    let begin = ["rollout", "start", "m", "--version", "3", "--as", "bert"];
    let id = fleet.sanderling(&[&begin[..], &waves].concat()).json()["id"].clone();
    for stage in 1..=3 {
        fleet.until("the stage begins", |s| {
            s["summary"]["stage"].as_u64() >= Some(stage)
        });
        fleet.kill_coordinator();
    }
    let ended = fleet.until("v3 is everywhere", |s| s["summary"]["status"] == "finished");
    assert_eq!(ended["id"], id);
    assert_eq!(
        (acts(&ended, "stage"), acts(&ended, "finished")),
        (3, 1),
        "{ended:#}"
    );
    assert_eq!(fleet.running(3), 6);

    // One that comes late gets what its group has.
    fleet.agent("robot-late");
    let start = Instant::now();
    while fleet.running(3) < 7 {
        assert!(start.elapsed() < DEADLINE, "the late one runs v3");
    }

    let history = fleet.sanderling(&["rollout", "history"]).json();
    let history = history["audit"].as_array().expect("is a list");
    let by = |name: &str| history.iter().filter(|line| line["by"] == name).count();
    assert_eq!((by("anna"), by("bert")), (1, 1));
    let table = sanderling(&["rollout", "history", "--coordinator", &fleet.http]);
    assert!(table.stdout.contains("tripped"), "{}", table.stdout);
    let picture = sanderling(&["rollout", "status", "--coordinator", &fleet.http]);
    assert!(
        picture.stdout.contains("6 of 6 robots run it"),
        "{}",
        picture.stdout
    );
    fleet
        .sanderling(&["rollout", "abort", &id.to_string()])
        .fails(1, &["over"]);
}
