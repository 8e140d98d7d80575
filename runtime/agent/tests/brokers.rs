//! A broker that accepts each connection and closes it at once: the agent comes back less and less often, says so in one
//! line, and goes on answering.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::agent::Start;
use support::broker::Broker;
use support::fleet::{Fleet, pause};
use support::models;

/// Grants the connection, and nothing after it: MQTT 5's CONNACK without properties.
const CONNACK: [u8; 5] = [0x20, 3, 0, 0, 0];

#[test]
fn a_broker_that_accepts_and_closes_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let port = listener.local_addr().expect("it is bound").port();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            count.fetch_add(1, Ordering::SeqCst);
            let mut connect = [0; 512];
            if stream.read(&mut connect).is_ok() {
                let _ = stream.write_all(&CONNACK);
            }
        }
    });
    let (frames, model) = (
        folder.path().join("frames.npz"),
        folder.path().join("first.plan"),
    );
    models::record(&frames, 64);
    std::fs::write(&model, models::largest().bytes).expect("writable");
    let mut agent = Start::new(folder.path(), "r1", &format!("mqtt://127.0.0.1:{port}"))
        .with("--fleet test --rate 50 --loop --trial-inferences 10")
        .with_path("--source", &frames)
        .with_path("--model", &model)
        .spawn();
    pause(Duration::from_secs(12));
    let accepted = accepted.load(Ordering::SeqCst);
    println!("{accepted} connections in 12 s");
    assert!((2..=7).contains(&accepted), "{}", agent.log());
    let lines = agent.log().matches("trying again").count()
        + agent.log().matches("tries again").count()
        + agent.log().matches("connected to").count();
    assert!(lines <= 2, "{}", agent.log());
    agent.wait_for("answers all the while", |status| {
        status["frames_out"].as_u64() > Some(100) && status["outbox_depth"].as_u64() > Some(100)
    });
}

/// A robot moved from a group with high serials to one with low ones takes what its new group wants.
#[test]
fn a_robot_that_changes_its_group_counts_serials_anew() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(broker) = Broker::start(folder.path()) else {
        return;
    };
    let mut fleet = Fleet::start(broker.port);
    fleet.want_in("halls", &models::largest(), 1, 179_541_366_100);
    let start = |group: &str| {
        Start::new(folder.path(), "r1", &broker.url())
            .with("--fleet test --trial-seconds 0.2")
            .with(&format!("--group {group}"))
    };
    let runs = |version: u64| {
        move |status: &serde_json::Value| {
            status["running"]["version"] == version && status["phase"] == "active"
        }
    };
    let mut agent = start("halls").spawn();
    agent.wait_for("the model of its group", runs(1));
    // Within the group, what is older is not listened to, also after a restart.
    fleet.want_in("halls", &models::smallest(0), 2, 5);
    agent.terminate();
    let mut agent = start("halls").spawn();
    agent.wait_for("it is up again", |status| status["connected"] == true);
    pause(Duration::from_millis(500));
    agent.wait_for("the model of its group", runs(1));
    agent.terminate();

    fleet.want_in("arms", &models::smallest(100), 3, 5);
    let mut agent = start("arms").spawn();
    agent.wait_for("the model of its new group", runs(3));
    assert_eq!(
        agent.status().expect("it runs")["serial"],
        5,
        "{}",
        agent.log()
    );
}
