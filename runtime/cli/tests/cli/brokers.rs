//! Brokers that take less than Sanderling would send, lack what it needs, or want a login: a coordinator, an agent, and
//! Mosquitto with the setting in question.

use crate::onnx_file;
use crate::process::Scratch;
use crate::rollout::{DEADLINE, Fleet, log};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TERRAIN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/terrain/terrain-v2.onnx"
);

/// A running Mosquitto; its log is in the scratch directory.
struct Mosquitto {
    process: Child,
    port: u16,
    log: String,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("has an address").port()
}

fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|dir| dir.join(name))
        .find(|program| program.is_file());
    if found.is_none() {
        println!("skipped: {name} is not installed (apt install mosquitto)");
    }
    found
}

impl Mosquitto {
    /// Starts one with these lines in its configuration, or prints why not.
    fn start(scratch: &Scratch, lines: &str) -> Option<Mosquitto> {
        let program = installed("mosquitto")?;
        let port = free_port();
        let anonymous = !lines.contains("password_file");
        let text = format!(
            "user root\nlistener {port} 127.0.0.1\nallow_anonymous {anonymous}\npersistence false\n{lines}\n"
        );
        let config = scratch.put("mosquitto.conf", text.as_bytes());
        let path = scratch.path("mosquitto.log");
        let process = Command::new(program)
            .args(["-v", "-c", &config])
            .stdout(Stdio::null())
            .stderr(log(&path))
            .spawn()
            .expect("mosquitto starts");
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < DEADLINE, "mosquitto listens");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Mosquitto {
            process,
            port,
            log: path,
        })
    }

    fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// How many connections it saw.
    fn connections(&self) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.matches("New connection from").count()
    }
}

fn health(fleet: &Fleet) -> Value {
    let mut response = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .new_agent()
        .get(format!("{}/healthz", fleet.http()))
        .call()
        .expect("the coordinator answers");
    let text = response.body_mut().read_to_string().expect("is text");
    serde_json::from_str(&text).expect("is JSON")
}

/// Asks for the coordinator's health until it is as it should be.
fn until_health(fleet: &Fleet, what: &str, done: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let health = health(fleet);
        if done(&health) {
            return health;
        }
        assert!(start.elapsed() < DEADLINE, "{what}: {health:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn problem(health: &Value) -> &str {
    health["broker_problem"].as_str().unwrap_or_default()
}

/// A model whose plan is larger than each of the limits comes through, and the coordinator's connection is lost no more
/// often than it takes to learn the limit.
fn comes_through(lines: &str, refusals: usize) {
    let scratch = Scratch::new();
    let Some(mosquitto) = Mosquitto::start(&scratch, lines) else {
        return;
    };
    let url = mosquitto.url();
    let Some(mut fleet) = Fleet::start_with(scratch, &["--broker-url", &url]) else {
        return;
    };
    let args = ["register", TERRAIN, "--name", "terrain", "--version", "1"];
    fleet.sanderling(&args).json();
    fleet.agent("robot");
    fleet.until_device("robot", "it is there", |d| d["online"] == true);
    let before = mosquitto.connections();
    let pushed = fleet.sanderling(&["push", "terrain", "--version", "1", "--wait", "90"]);
    assert_eq!(
        pushed.code,
        0,
        "{lines}: {}\n{}\n{}",
        pushed.stderr,
        fleet.said("data"),
        fleet.said("robot")
    );
    fleet.until_device("robot", "it runs v1", |d| d["running"]["version"] == 1);
    let lost = mosquitto.connections() - before;
    assert!(
        lost <= refusals,
        "{lines}: {lost} connections\n{}",
        fleet.said("data")
    );
}

#[test]
fn chunks_fit_a_broker_that_takes_packets_of_20000_bytes() {
    comes_through("max_packet_size 20000", 0);
}

#[test]
fn chunks_fit_a_broker_that_takes_packets_of_2000_bytes() {
    comes_through("max_packet_size 2000", 0);
}

#[test]
fn chunks_fit_a_broker_that_takes_messages_of_8000_bytes() {
    comes_through("message_size_limit 8000", 4);
}

/// The broker lacks something: coordinator and agent each say it once, and neither hammers it.
fn is_refused(lines: &str, hint: &str) {
    let scratch = Scratch::new();
    let Some(mosquitto) = Mosquitto::start(&scratch, lines) else {
        return;
    };
    let url = mosquitto.url();
    let Some(mut fleet) = Fleet::start_with(scratch, &["--broker-url", &url]) else {
        return;
    };
    let health = until_health(&fleet, lines, |health| problem(health).contains(hint));
    assert_eq!(health["status"], "no_broker");
    fleet.agent("robot");
    let start = Instant::now();
    while !fleet.said("robot").contains(hint) {
        assert!(start.elapsed() < DEADLINE, "{}", fleet.said("robot"));
        std::thread::sleep(Duration::from_millis(50));
    }
    let before = mosquitto.connections();
    std::thread::sleep(Duration::from_secs(5));
    let tries = mosquitto.connections() - before;
    assert!(tries <= 8, "{lines}: {tries} connections in 5 s");
    for name in ["data", "robot"] {
        let said = fleet.said(name);
        assert_eq!(said.matches(hint).count(), 1, "{name}: {said}");
    }
}

#[test]
fn a_broker_without_retained_messages_is_refused_for_that() {
    is_refused("retain_available false", "retain_available true");
}

#[test]
fn a_broker_without_acknowledgements_is_refused_for_that() {
    is_refused("max_qos 0", "max_qos 1");
}

/// Answers every CONNECT of MQTT 5 as brokers do that know MQTT 3.1.1 alone: with the CONNACK of that version, code 1,
/// and the end of the connection.
fn older_broker() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("has an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut packet = [0; 512];
            if stream.read(&mut packet).is_ok_and(|read| read > 8) {
                let code = u8::from(packet[8] != 4);
                let _ = stream.write_all(&[0x20, 2, 0, code]);
            }
        }
    });
    port
}

#[test]
fn a_broker_of_mqtt_3_is_named_as_one() {
    let url = format!("mqtt://127.0.0.1:{}", older_broker());
    let scratch = Scratch::new();
    let Some(mut fleet) = Fleet::start_with(scratch, &["--broker-url", &url]) else {
        return;
    };
    until_health(&fleet, "it is named", |health| {
        problem(health).contains("MQTT 3.1.1 only")
    });
    fleet.agent("robot");
    let start = Instant::now();
    while !fleet.said("robot").contains("MQTT 3.1.1 only") {
        assert!(start.elapsed() < DEADLINE, "{}", fleet.said("robot"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_login_in_the_brokers_url_is_taken_and_written_nowhere() {
    let scratch = Scratch::new();
    let Some(tool) = installed("mosquitto_passwd").or_else(|| {
        let tool = PathBuf::from("/usr/bin/mosquitto_passwd");
        tool.is_file().then_some(tool)
    }) else {
        return;
    };
    let (user, password) = ("a@b", "hunter2:/%x");
    let file = scratch.put("passwords", b"");
    let made = Command::new(tool)
        .args(["-b", &file, user, password])
        .status()
        .expect("it starts");
    assert!(made.success());
    let Some(mosquitto) = Mosquitto::start(&scratch, &format!("password_file {file}")) else {
        return;
    };
    let url = format!(
        "mqtt://a%40b:hunter2%3A%2F%25x@127.0.0.1:{}",
        mosquitto.port
    );
    let Some(mut fleet) = Fleet::start_with(scratch, &["--broker-url", &url, "--log", "debug"])
    else {
        return;
    };
    let model = fleet.scratch.put("m.onnx", &onnx_file::integer_model());
    fleet.register(&model, "1");
    fleet.agent_at("robot", &[], &["--broker", &url]);
    fleet.until_device("robot", "it is there", |d| d["online"] == true);
    let health = health(&fleet);
    for text in [
        fleet.said("data"),
        fleet.said("robot"),
        health.to_string(),
        crate::process::read(fleet.scratch.path("data/ports.json"))
            .iter()
            .map(|&byte| char::from(byte))
            .collect(),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    fleet.agent_at(
        "wrong",
        &[],
        &["--broker", &url.replace("hunter2", "hunter3")],
    );
    let start = Instant::now();
    while !fleet.said("wrong").contains("check the user name") {
        assert!(start.elapsed() < DEADLINE, "{}", fleet.said("wrong"));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!fleet.said("wrong").contains("hunter3"));
}
