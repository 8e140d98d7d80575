//! Starts that cannot succeed, and disks that fill up: the true cause, once. And clocks that were never set.

use crate::process::{Scratch, sanderling};
use crate::rollout::{DEADLINE, Fleet, plan, program};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs a program to its end with `folder` on a disk of its own of so many KiB; none where this machine allows no mount.
fn on_small_disk(folder: &str, kib: u32, program: &Path, args: &[&str]) -> Option<Output> {
    std::fs::create_dir_all(folder).expect("a folder");
    let mount = format!("mount -t tmpfs -o size={kib}k tmpfs \"$0\" && exec timeout 60 \"$@\"");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &mount, folder])
        .arg(program)
        .args(args)
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare:") || said.contains("mount:") {
        println!("skipped: no mount in a namespace of its own ({said})");
        return None;
    }
    Some(output)
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_first_start_on_a_full_disk_says_that_it_is_full() {
    let scratch = Scratch::new();
    let folder = scratch.path("disk");
    let data = format!("{folder}/data");
    let (Some(coordinator), Some(agent)) = (
        program("sanderling-coordinator"),
        program("sanderling-agent"),
    ) else {
        return;
    };
    for kib in [4, 16, 48] {
        let args = [
            "--http",
            "127.0.0.1:0",
            "--mqtt",
            "127.0.0.1:0",
            "--data-dir",
            &data,
        ];
        let Some(output) = on_small_disk(&folder, kib, &coordinator, &args) else {
            return;
        };
        let said = errors(&output);
        assert!(!output.status.success(), "{kib} KiB: {said}");
        assert!(
            said.contains("No space left on device") || said.contains("disk is full"),
            "{kib} KiB: {said}"
        );
        assert_eq!(
            said.matches("free some space").count(),
            1,
            "{kib} KiB: {said}"
        );
    }
    let state = format!("{folder}/state");
    let args = ["--device", "robot", "--state-dir", &state];
    let Some(output) = on_small_disk(&folder, 4, &agent, &args) else {
        return;
    };
    let said = errors(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
}

fn healthz(http: &str) -> Option<Value> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut response = agent.get(format!("{http}/healthz")).call().ok()?;
    serde_json::from_str(&response.body_mut().read_to_string().ok()?).ok()
}

#[test]
fn a_disk_that_fills_up_stands_in_healthz_until_there_is_room() {
    let scratch = Scratch::new();
    let folder = scratch.path("disk");
    let ready = scratch.path("ready.json");
    let Some(coordinator) = program("sanderling-coordinator") else {
        return;
    };
    std::fs::create_dir_all(&folder).expect("a folder");
    let script = "mount -t tmpfs -o size=4m tmpfs \"$0\" && exec \"$@\"";
    let mut child = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, &folder])
        .arg(coordinator)
        .args([
            "--http",
            "127.0.0.1:0",
            "--mqtt",
            "127.0.0.1:0",
            "--ready-file",
            &ready,
        ])
        .args(["--data-dir", &format!("{folder}/data")])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare starts");
    let start = Instant::now();
    let ready = loop {
        if let Ok(text) = std::fs::read_to_string(&ready) {
            break serde_json::from_str::<Value>(&text).expect("is JSON");
        }
        if child.try_wait().expect("is known").is_some() {
            println!("skipped: no mount in a namespace of its own");
            return;
        }
        assert!(start.elapsed() < DEADLINE, "the coordinator is ready");
        std::thread::sleep(Duration::from_millis(20));
    };
    let http = ready["http"].as_str().expect("is there");
    let until = |what: &str, done: &dyn Fn(&Value) -> bool| {
        let start = Instant::now();
        loop {
            let health = healthz(http);
            if let Some(health) = health.as_ref().filter(|health| done(health)) {
                return health.clone();
            }
            assert!(start.elapsed() < DEADLINE, "{what}: {health:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until("it is well", &|h| h["status"] == "ok");
    // The process's own view of the disk, from outside its namespace.
    let filler = format!("/proc/{}/root{folder}/filler", child.id());
    let mut file = std::fs::File::create(&filler).expect("there is room yet");
    while file.write_all(&[7; 4096]).is_ok() {}
    let full = until("it says that it is full", &|h| h["status"] == "no_storage");
    let problem = full["storage_problem"].as_str().expect("is text");
    assert!(problem.contains("No space left on device"), "{problem}");
    drop(file);
    std::fs::remove_file(&filler).expect("is removed");
    until("it is well again", &|h| {
        h["status"] == "ok" && h["storage_problem"].is_null()
    });
    child.kill().expect("is killed");
    child.wait().expect("ends");
}

/// Starts a coordinator that must not come up; what it says.
fn refused(data: &str) -> Option<String> {
    let output = Command::new("timeout")
        .arg("60")
        .arg(program("sanderling-coordinator")?)
        .args([
            "--http",
            "127.0.0.1:0",
            "--mqtt",
            "127.0.0.1:0",
            "--data-dir",
            data,
        ])
        .stdin(Stdio::null())
        .output()
        .expect("timeout of the coreutils starts");
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    Some(errors(&output))
}

#[test]
fn a_registry_that_was_lost_is_not_replaced_without_a_word() {
    let Some(mut fleet) = Fleet::start() else {
        return;
    };
    fleet.register(&plan(&fleet.scratch, "1"), "1");
    fleet.stop_coordinator();
    let data = fleet.scratch.path("data");
    let registry = format!("{data}/registry.sqlite");
    for what in ["empty", "missing"] {
        for rest in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{registry}{rest}"));
        }
        match what {
            "empty" => std::fs::write(&registry, b"").expect("is written"),
            _ => std::fs::remove_file(&registry).expect("is removed"),
        }
        let Some(said) = refused(&data) else { return };
        assert!(said.contains(what) && said.contains("backup"), "{said}");
    }
    assert!(!Path::new(&registry).exists(), "nothing was begun");
}

#[test]
fn a_registry_that_somebody_holds_locked_is_named_as_locked() {
    let Some(mut fleet) = Fleet::start() else {
        return;
    };
    fleet.stop_coordinator();
    let data = fleet.scratch.path("data");
    let script = "import sqlite3,sys,time\n\
        held=sqlite3.connect(sys.argv[1]+'/registry.sqlite',isolation_level=None)\n\
        held.execute('PRAGMA locking_mode=EXCLUSIVE')\n\
        held.execute('BEGIN EXCLUSIVE')\n\
        print('held',flush=True)\n\
        time.sleep(100)\n";
    let Ok(mut holder) = Command::new("python3")
        .args(["-c", script, &data])
        .stdout(Stdio::piped())
        .spawn()
    else {
        println!("skipped: no python3 to hold the lock");
        return;
    };
    let mut line = String::new();
    let out = holder.stdout.take().expect("is piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("is text");
    assert_eq!(line, "held\n");
    let said = refused(&data).unwrap_or_default();
    holder.kill().expect("is killed");
    holder.wait().expect("ends");
    assert_eq!(
        said.matches("holds the registry's file locked").count(),
        1,
        "{said}"
    );
}

#[test]
fn a_robot_whose_clock_shows_1970_reaches_its_fleet_over_tls() {
    if Command::new("faketime").arg("--version").output().is_err() {
        println!("skipped: faketime is not installed (apt install faketime)");
        return;
    }
    let more = ["--tls", "127.0.0.1:0", "--tls-name", "localhost"];
    let Some(mut fleet) = Fleet::start_with(Scratch::new(), &more) else {
        return;
    };
    fleet.register(&plan(&fleet.scratch, "1"), "1");
    let port = fleet
        .mqtt()
        .rsplit_once(':')
        .expect("has a port")
        .1
        .to_owned();
    let broker = format!("mqtts://localhost:{port}");
    let folder = fleet.scratch.path("enrolled");
    let enroll = [
        "enroll",
        "robot",
        "--broker",
        &broker,
        "--output",
        &folder,
        "--install-dir",
        &folder,
    ];
    let enrolled = sanderling(&[&enroll[..], &["--coordinator", fleet.http()]].concat());
    assert_eq!(enrolled.code, 0, "{}", enrolled.stderr);
    let settings = ["--config".to_owned(), format!("{folder}/agent.toml")];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    // A second after the beginning, which is what a board without a battery shows when it starts.
    let clock = [
        "faketime",
        "--exclude-monotonic",
        "-f",
        "@1970-01-01 00:00:01",
    ];
    fleet.agent_at("robot", &clock, &settings);
    fleet.until_device("robot", "it is there", |d| d["online"] == true);
    assert!(
        fleet.said("robot").contains("1970-01-01T"),
        "{}",
        fleet.said("robot")
    );
    let pushed = fleet.sanderling(&["push", "m", "--version", "1", "--wait", "90"]);
    assert_eq!(pushed.code, 0, "{}\n{}", pushed.stderr, fleet.said("robot"));
}
