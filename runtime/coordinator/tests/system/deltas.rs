//! Deltas that the coordinator makes, and those that it is given.

use std::path::PathBuf;

use sanderling_delta::{apply, make};
use sanderling_plan::Target;
use sanderling_wire::{Digest, Order};
use serde_json::Value;

use crate::support::broker::Mosquitto;
use crate::support::plan::plan;
use crate::support::postgres::Postgres;
use crate::support::process::Coordinator;
use crate::support::robot::{Robot, Setup};

fn first() -> Vec<u8> {
    plan(Target::Generic, 64, 50_000, 1)
}

/// The same weights in a plan with another arena.
fn second() -> Vec<u8> {
    plan(Target::Generic, 128, 50_000, 1)
}

/// Other weights throughout.
fn third() -> Vec<u8> {
    plan(Target::Generic, 64, 50_000, 9)
}

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

fn stored(coordinator: &Coordinator, objects: Option<PathBuf>, digest: &Digest) -> Vec<u8> {
    let objects = objects.unwrap_or_else(|| coordinator.data_dir().join("objects"));
    let hex = digest.to_string();
    let path = objects.join("sha256").join(&hex[..2]).join(&hex[2..]);
    std::fs::read(path).expect("the file lies under its digest")
}

/// Pushes a version; the deltas that its manifest names.
async fn offers(coordinator: &Coordinator, robot: &mut Robot, version: u32) -> Vec<Digest> {
    coordinator.push("all", "terrain", version).await;
    robot
        .until("it runs that version", |robot| {
            robot.running.as_ref().is_some_and(|r| r.version == version)
        })
        .await;
    let offered = robot.offered.iter();
    offered.map(|delta| delta.digest).collect()
}

async fn makes_what_pays(coordinator: &Coordinator, objects: Option<PathBuf>) {
    for (version, plan) in [(1, first()), (2, second()), (3, third())] {
        coordinator.register("terrain", version, &plan).await;
    }
    let mut robot = Robot::connect(&coordinator.mqtt, Setup::new("robot")).await;
    // Nobody can have made one to the first version before it is wanted.
    let back = offers(coordinator, &mut robot, 1).await;
    let on = offers(coordinator, &mut robot, 2).await;
    for (offers, from, to) in [(&back, second(), first()), (&on, first(), second())] {
        assert_eq!(offers.len(), 1, "{}", coordinator.log());
        let delta = stored(coordinator, objects.clone(), &offers[0]);
        assert!(delta.len() * 20 < to.len(), "{} bytes", delta.len());
        assert_eq!(apply(&from, &delta).expect("it applies"), to);
    }
    assert_eq!(offers(coordinator, &mut robot, 3).await, []);
    // What was found not to pay is not tried again.
    let tried = coordinator.log().matches("does not pay").count();
    assert_eq!(offers(coordinator, &mut robot, 2).await, on);
    assert_eq!(offers(coordinator, &mut robot, 3).await, []);
    assert_eq!(coordinator.log().matches("does not pay").count(), tried);
}

#[tokio::test(flavor = "multi_thread")]
async fn deltas_between_versions_are_made_where_they_pay() {
    makes_what_pays(&Coordinator::start().await, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_postgres_too() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mosquitto) = Mosquitto::start(dir.path()).await else {
        return;
    };
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let objects = dir.path().join("objects");
    let text = objects.display().to_string();
    let (broker, database) = (mosquitto.url(), postgres.url());
    let args = [
        "--broker-url",
        &broker,
        "--database",
        &database,
        "--objects",
        &text,
    ];
    makes_what_pays(&Coordinator::start_with(&args).await, Some(objects)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn none_are_made_where_nobody_wants_to_wait() {
    let coordinator = Coordinator::start_with(&["--delta-seconds", "0"]).await;
    coordinator.register("terrain", 1, &first()).await;
    coordinator.register("terrain", 2, &second()).await;
    let mut robot = Robot::connect(&coordinator.mqtt, Setup::new("robot")).await;
    assert_eq!(offers(&coordinator, &mut robot, 2).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_is_offered_no_more_and_made_again() {
    let mut coordinator = Coordinator::start().await;
    coordinator.register("terrain", 1, &first()).await;
    coordinator.register("terrain", 2, &second()).await;
    let mut robot = Robot::connect(&coordinator.mqtt, Setup::new("robot")).await;
    let before = offers(&coordinator, &mut robot, 2).await;
    drop(robot);
    coordinator.kill().await;
    let hex = before[0].to_string();
    let objects = coordinator.data_dir().join("objects/sha256");
    std::fs::remove_file(objects.join(&hex[..2]).join(&hex[2..])).expect("it is there");
    coordinator.restart().await;
    assert!(
        coordinator
            .log()
            .contains("is missing; robots pull the full file")
    );
    let mut robot = Robot::connect(&coordinator.mqtt, Setup::new("another")).await;
    assert_eq!(offers(&coordinator, &mut robot, 2).await, before);
    stored(&coordinator, None, &before[0]);
    let unknown = |order: &Order| matches!(order, Order::Refused(..));
    assert!(!robot.orders.iter().any(unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_that_is_given_is_tried_first() {
    let coordinator = Coordinator::start().await;
    let put = async |body: &[u8]| coordinator.request("PUT", "/v1/deltas", body).await;
    let delta = make(&first(), &second(), 4096).expect("a delta");
    let (status, body) = put(&delta).await;
    assert_eq!((status, code(&body)), (409, "file_missing"), "{body}");
    coordinator.register("terrain", 1, &first()).await;
    coordinator.register("terrain", 2, &second()).await;
    for damaged in [40, delta.len() / 2, delta.len() - 1] {
        let mut bytes = delta.clone();
        bytes[damaged] ^= 1;
        let (status, body) = put(&bytes).await;
        assert_eq!(
            (status, code(&body)),
            (400, "bad_delta"),
            "byte {damaged}: {body}"
        );
    }
    for short in [&delta[..50], &delta[..delta.len() - 1], b"", &second()[..]] {
        let (status, body) = put(short).await;
        assert_eq!((status, code(&body)), (400, "bad_delta"), "{body}");
    }
    let (status, body) = put(&delta).await;
    assert_eq!(
        (status, body["size"].as_u64()),
        (200, Some(delta.len() as u64))
    );
    // The coordinator had made the same one when the second version was registered.
    assert_eq!(body["created"], false);
}
