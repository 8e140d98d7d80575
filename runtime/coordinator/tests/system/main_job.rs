//! The main job, against the embedded broker and against Mosquitto: register, push, pull, report,
//! count; then the next version; then back to the one before.

use crate::support::broker::Mosquitto;
use crate::support::plan::plan;
use crate::support::process::Coordinator;
use crate::support::robot::{CREDIT, Robot, Setup};
use sanderling_plan::Target;

#[tokio::test(flavor = "multi_thread")]
async fn with_the_embedded_broker() {
    main_job(Coordinator::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_mosquitto() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mosquitto) = Mosquitto::start(dir.path()).await else {
        return;
    };
    main_job(Coordinator::start_with(&["--broker-url", &mosquitto.url()]).await).await;
}

async fn main_job(coordinator: Coordinator) {
    let v1 = coordinator
        .register("terrain", 1, &plan(Target::Generic, 64, 50_000, 1))
        .await;
    coordinator.push("all", "terrain", 1).await;

    // One robot is there before v2, one joins late, one follows another group.
    let mut early = Robot::connect(&coordinator.mqtt, Setup::new("early")).await;
    let mut other = Robot::connect(
        &coordinator.mqtt,
        Setup {
            group: "other",
            ..Setup::new("other")
        },
    )
    .await;
    early
        .until("v1 runs", |r| {
            r.running.as_ref().is_some_and(|m| m.version == 1)
        })
        .await;
    assert!(early.most_for_one_request <= CREDIT);
    let device = coordinator
        .until_device("early", |d| d["standing"] == "in_step")
        .await;
    assert_eq!(device["running"]["digest"], v1.as_str());
    assert_eq!(device["online"], true);
    assert_eq!(device["group"], "all");

    for i in 0..100 {
        early
            .result(
                i % 5,
                Some(if i < 90 { i % 5 } else { 9 }),
                100 + u32::from(i),
            )
            .await;
    }
    early
        .until("every result has its receipt", |r| r.outbox.is_empty())
        .await;
    // A second delivery is answered again and counted once.
    let again = early.result(0, None, 1).await;
    let payload = early.outbox[&again].clone();
    for _ in 0..3 {
        early
            .send(sanderling_wire::Kind::Result, payload.clone())
            .await;
    }
    early
        .until("the last receipt", |r| r.outbox.is_empty())
        .await;

    let v2 = coordinator
        .register("terrain", 2, &plan(Target::Generic, 64, 70_001, 2))
        .await;
    coordinator.push("all", "terrain", 2).await;
    early
        .until("v2 runs", |r| {
            r.running.as_ref().is_some_and(|m| m.version == 2)
        })
        .await;
    early.result(3, Some(3), 50).await;
    early.until("its receipt", |r| r.outbox.is_empty()).await;
    let mut late = Robot::connect(&coordinator.mqtt, Setup::new("late")).await;
    late.until("v2 runs", |r| {
        r.running.as_ref().is_some_and(|m| m.version == 2)
    })
    .await;
    coordinator
        .until_device("early", |d| d["standing"] == "in_step")
        .await;
    coordinator
        .until_device("late", |d| d["standing"] == "in_step")
        .await;
    other.live(std::time::Duration::from_millis(100)).await;
    assert!(
        other.running.is_none() && other.chunks == 0,
        "nothing is sent unasked"
    );
    let device = coordinator
        .until_device("other", |d| d["online"] == true)
        .await;
    assert_eq!(device["standing"], "nothing_desired");

    let summary = coordinator.get("/v1/results/summary").await;
    let of = |digest: &str| {
        let results = summary["results"].as_array().unwrap();
        results
            .iter()
            .find(|r| r["digest"] == digest)
            .unwrap()
            .clone()
    };
    assert_eq!(of(&v1)["frames"], 101);
    assert_eq!(of(&v1)["labelled"], 100);
    assert_eq!(of(&v1)["correct"], 90);
    assert_eq!(of(&v1)["accuracy"], 0.9);
    assert_eq!(of(&v1)["model"], "terrain");
    assert_eq!(of(&v1)["version"], 1);
    let p50 = of(&v1)["latency_p50_us"].as_u64().unwrap();
    assert!((145..=165).contains(&p50), "{p50}");
    assert_eq!(of(&v2)["frames"], 1);
    assert_eq!(of(&v2)["accuracy"], 1.0);
    assert_eq!(summary["total"]["frames"], 102);
    assert_eq!(summary["coverage"][0]["missing"], 0);

    // Back to v1: an older version, a newer serial.
    let first = coordinator.get("/v1/groups").await["groups"][0]["serial"]
        .as_u64()
        .unwrap();
    assert!(coordinator.push("all", "terrain", 1).await > first);
    early
        .until("v1 runs again", |r| {
            r.running.as_ref().is_some_and(|m| m.version == 1)
        })
        .await;
    coordinator
        .until_device("early", |d| d["standing"] == "in_step")
        .await;

    let events = coordinator.get("/v1/events?limit=1000").await;
    let kinds: Vec<&str> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["kind"].as_str().unwrap())
        .collect();
    for kind in ["registered", "desired", "online", "updating", "running"] {
        assert!(kinds.contains(&kind), "{kind} is missing in {kinds:?}");
    }
}
