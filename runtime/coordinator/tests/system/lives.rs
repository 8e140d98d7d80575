//! Which robot is which, and which of them lives: wiped storage, copied cards, and deaths that nobody tells.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::agent::{Start, can_shift_clocks};
use crate::support::broker::Mosquitto;
use crate::support::plan::classifier;
use crate::support::process::Coordinator;
use crate::support::robot::{Robot, Setup, bytes, name};
use crate::support::within;
use sanderling_coordinator::link::{Incoming, Link, LinkOptions, Outgoing};
use sanderling_plan::Target;
use sanderling_wire::{Arm, Artifact, Desired, Digest, Manifest, Signed, Topic};
use serde_json::Value;
use sha2::Digest as _;

/// What a robot's start says when its clock was never set.
const NO_CLOCK: &str = "@1970-01-01 00:05:00";

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_without_a_clock_whose_storage_was_wiped_loses_no_result() {
    if !can_shift_clocks() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start().await;
    for frames in [252, 127] {
        let Some(start) = Start::new(dir.path(), "robot", &coordinator.mqtt) else {
            return;
        };
        let start = start.frames(frames, 0).at(NO_CLOCK);
        let mut agent = start.spawn();
        assert!(agent.end().await.success(), "{}", agent.log());
        std::fs::remove_dir_all(&start.state).unwrap();
    }
    assert_eq!(coordinator.counted().await, 252 + 127);
}

/// The same with a robot of an older program, which names its starts by a number from its clock alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_robot_that_numbers_as_before_is_counted_apart() {
    let coordinator = Coordinator::start().await;
    let setup = Setup {
        boot: 300,
        ..Setup::new("robot")
    };
    let mut robot = Robot::connect(&coordinator.mqtt, setup.clone()).await;
    for i in 0..200 {
        robot.result(1, None, 1000 + i).await;
    }
    robot.until("receipts", |r| r.outbox.is_empty()).await;
    drop(robot);
    // It lives again with the same numbers, and measures other times.
    let mut robot = Robot::connect(&coordinator.mqtt, setup).await;
    let mut first = Vec::new();
    for i in 0..150 {
        first.push(robot.result(1, None, 2000 + i).await);
        if i == 75 {
            robot.resend().await;
        }
    }
    robot.until("receipts", |r| r.outbox.is_empty()).await;
    assert_eq!(coordinator.counted().await, 350);
    let events = coordinator.get("/v1/events").await;
    let said = events["events"].as_array().unwrap().iter();
    assert_eq!(said.filter(|e| e["kind"] == "renumbered").count(), 1);
    // What it sends once more is not counted once more.
    for (i, frame) in first.into_iter().enumerate() {
        robot.result_of(frame.seq, 1, None, 2000 + i as u32).await;
    }
    robot.until("receipts", |r| r.outbox.is_empty()).await;
    assert_eq!(coordinator.counted().await, 350);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_card_is_named_and_both_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    copied_card(&Coordinator::start().await, dir.path()).await;
}

/// The same where the broker closes a connection for another one without a word.
#[tokio::test(flavor = "multi_thread")]
async fn a_copied_card_on_mosquitto() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mosquitto) = Mosquitto::start(dir.path()).await else {
        return;
    };
    let coordinator = Coordinator::start_with(&["--broker-url", &mosquitto.url()]).await;
    copied_card(&coordinator, dir.path()).await;
}

async fn copied_card(coordinator: &Coordinator, dir: &Path) {
    let Some(start) = Start::new(dir, "robot", &coordinator.mqtt) else {
        return;
    };
    let mut original = start.clone().frames(40, 0).spawn();
    assert!(original.end().await.success(), "{}", original.log());
    assert_eq!(coordinator.counted().await, 40);
    copy(&start.state, &dir.join("copy"));

    let began = Instant::now();
    let mut original = start.clone().frames(100, 10).spawn();
    let mut copy = start.frames(120, 10).state("copy").spawn();
    coordinator
        .until_device("robot", |device| device["clone"].is_string())
        .await;
    let (one, other) = tokio::join!(original.end(), copy.end());
    assert!(one.success() && other.success());
    let took = began.elapsed();
    assert_eq!(coordinator.counted().await, 40 + 100 + 120);
    let events = coordinator.get("/v1/events").await;
    let events = events["events"].as_array().unwrap();
    let of = |kind: &str| events.iter().filter(|event| event["kind"] == kind).count();
    assert_eq!(of("clone"), 1, "{events:?}");
    println!("{} connections in {took:?}", of("online"));
    assert!(of("online") < 20, "{events:?}");
    let lines = [original.log(), copy.log()];
    for log in &lines {
        let said = |words: &str| log.matches(words).count();
        assert!(said("another robot connects as robot too") >= 1, "{log}");
        assert!(said("connected to") <= 4, "{log}");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, beside) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &beside);
        } else if path.is_file() {
            std::fs::copy(&path, &beside).unwrap();
        }
    }
}

/// The broker keeps the robot's birth and loses its will; the robot dies with it. Another robot lives on.
#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_died_with_the_broker_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut mosquitto) = Mosquitto::start_with_memory(dir.path()).await else {
        return;
    };
    let coordinator = Coordinator::start_with(&["--broker-url", &mosquitto.url()]).await;
    let Some(dies) = Start::new(dir.path(), "dies", &coordinator.mqtt) else {
        return;
    };
    let lives = Start::new(dir.path(), "lives", &coordinator.mqtt).unwrap();
    let mut dies = dies.spawn();
    let _lives = lives.spawn();
    let online = |device: &Value| device["online"] == true;
    for device in ["dies", "lives"] {
        coordinator.until_device(device, online).await;
    }
    mosquitto.save().await;
    tokio::join!(mosquitto.kill(), dies.kill());
    mosquitto.restart().await;
    let began = Instant::now();
    let device = coordinator
        .until_device("dies", |device| device["online"] == false)
        .await;
    println!("gone after {:?}", began.elapsed());
    let alive = coordinator.until_device("lives", online).await;
    let ms = |device: &Value| device["seen_ms"].as_i64().unwrap();
    assert!(
        ms(&alive) > ms(&device),
        "what was kept is not a sign of life"
    );

    // A registry that never heard of either finds the birth on the broker, and believes only who answers.
    let other = Coordinator::start_with(&["--broker-url", &mosquitto.url()]).await;
    drop(coordinator);
    other.until_device("lives", online).await;
    let device = other.get("/v1/devices/dies").await;
    assert_eq!(
        (&device["online"], &device["seen_ms"]),
        (&false.into(), &0.into())
    );
}

/// Two coordinators with a registry each and one fleet's name: the broker throws each out for the other.
#[tokio::test(flavor = "multi_thread")]
async fn two_coordinators_of_one_fleet_name_the_cause_and_do_not_fight() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("mosquitto.log");
    let more = format!(
        "persistence false\nlog_dest file {}\nuser root\n",
        log.display()
    );
    let Some(mosquitto) = Mosquitto::start_with(dir.path(), &more).await else {
        return;
    };
    let first = Coordinator::start_with(&["--broker-url", &mosquitto.url()]).await;
    let second = Coordinator::start_with(&["--broker-url", &mosquitto.url()]).await;
    within("the cause is named", async {
        let named = |coordinator: &Coordinator| coordinator.log().contains("second coordinator");
        while !named(&first) || !named(&second) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let text = std::fs::read_to_string(&log).unwrap();
    let connections = text.matches("New client connected").count();
    println!("{connections} connections");
    assert!(connections < 30, "{text}");
}

/// A robot that was moved to a group that its login does not name: it may connect and not subscribe. That is no success,
/// and is not tried over and over.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_subscription_is_tried_less_and_less() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start_with(&["--logins"]).await;
    let (status, login) = coordinator
        .request(
            "POST",
            "/v1/devices/robot/credentials",
            br#"{"group":"halls"}"#,
        )
        .await;
    assert!(status < 300, "{login}");
    let password = dir.path().join("password");
    std::fs::write(&password, login["password"].as_str().unwrap()).unwrap();
    let Some(start) = Start::new(dir.path(), "robot", &coordinator.mqtt) else {
        return;
    };
    let start = start.with(&format!(
        "--group arms --password-file {}",
        password.display()
    ));
    let agent = start.spawn();
    tokio::time::sleep(Duration::from_secs(15)).await;
    let status = std::fs::read_to_string(start.state.with_extension("json")).unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    // The lower half of the session counts connections.
    let connections = status["session"].as_u64().unwrap() & 0xFFFF_FFFF;
    println!("{connections} connections in 15 s");
    assert!((2..=8).contains(&connections), "{}", agent.log());
    let said = agent.log();
    assert_eq!(said.matches("connected to").count(), 0, "{said}");
    assert!(said.contains("refuses the subscriptions"), "{said}");
}

/// Says as a fleet without keys what the group `all` should run, under this serial.
async fn say_desired(broker: &str, plan: &[u8], version: u32, serial: u64) {
    let manifest = bytes(&Manifest {
        model: name("m"),
        version,
        floor: 0,
        expires_s: None,
        artifacts: heapless::Vec::from_slice(&[Artifact {
            target: name("generic"),
            digest: Digest(sha2::Sha256::digest(plan).into()),
            size: plan.len() as u64,
            arena: 64,
            flash: plan.len() as u64,
            golden: Digest([0; 32]),
        }])
        .unwrap(),
        deltas: heapless::Vec::new(),
        url: None,
    });
    let statement = bytes(&Desired {
        group: name("all"),
        serial,
        issued_s: 0,
        expires_s: None,
        chunk_size: 1024,
        salt: [0; 16],
        releases: heapless::Vec::from_slice(&[Signed::unsigned(&manifest)]).unwrap(),
        arms: heapless::Vec::from_slice(&[Arm {
            upto: u32::MAX,
            run: Some(0),
            shadow: None,
        }])
        .unwrap(),
    });
    let (link, mut incoming) = Link::start(LinkOptions {
        broker: broker.parse().unwrap(),
        client_id: "another-fleet".into(),
        filters: vec!["nothing".into()],
        will: None,
        tls: None,
    });
    let up = within("a connection", incoming.recv()).await;
    assert_eq!(up, Some(Incoming::Connected));
    let message = Outgoing {
        topic: Topic::desired(&name("main"), &name("all")).to_string(),
        payload: bytes(&Signed::<4>::unsigned(&statement)),
        at_least_once: true,
        retain: true,
    };
    link.publish_when_room(message).await.unwrap();
    link.leave().await;
}

/// A fleet without keys whose serials came from a clock that was 400 days ahead, and whose registry began anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_registry_goes_above_the_serials_that_robots_hold() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start().await;
    let Some(start) = Start::new(dir.path(), "robot", &coordinator.mqtt) else {
        return;
    };
    let plans = [
        classifier(Target::Generic, &[5]),
        classifier(Target::Generic, &[6]),
    ];
    for (version, plan) in (1..).zip(&plans) {
        coordinator.register("m", version, plan).await;
    }
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let ahead = (now.as_millis() as u64 + 400 * 86_400_000) / 10;
    say_desired(&coordinator.mqtt, &plans[0], 1, ahead).await;
    let mut agent = start.spawn();
    let runs = |version: u64, serial: u64| {
        move |device: &Value| {
            device["running"]["version"] == version
                && device["phase"] == "active"
                && device["serial"].as_u64() >= Some(serial)
        }
    };
    coordinator.until_device("robot", runs(1, ahead)).await;
    agent.kill().await;
    coordinator
        .until_device("robot", |device| device["online"] == false)
        .await;
    let (status, _) = coordinator
        .request("DELETE", "/v1/devices/robot", b"")
        .await;
    assert_eq!(status, 204);
    let serial = coordinator.push("all", "m", 2).await;
    assert!(
        serial < ahead,
        "it is a count, and knows of no robot: {serial}"
    );

    let _agent = start.spawn();
    coordinator.until_device("robot", runs(2, ahead + 1)).await;
    assert!(coordinator.log().contains("its serial goes from"));
    // From then on a push stands above at once.
    assert!(coordinator.push("all", "m", 1).await > ahead);
    coordinator.until_device("robot", runs(1, ahead + 2)).await;
}
