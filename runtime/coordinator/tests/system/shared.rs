//! Two coordinators with one PostgreSQL database, one broker, and one folder of model files: they
//! share the work, and when one is killed the other goes on.

use std::time::Duration;

use crate::support::broker::Mosquitto;
use crate::support::plan::plan;
use crate::support::postgres::Postgres;
use crate::support::process::Coordinator;
use crate::support::robot::{Robot, Setup};
use sanderling_plan::Target;

const FRAMES: usize = 600;

#[tokio::test(flavor = "multi_thread")]
async fn one_is_killed_and_the_other_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mosquitto) = Mosquitto::start(dir.path()).await else {
        return;
    };
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let objects = dir.path().join("objects").display().to_string();
    let (broker, database) = (mosquitto.url(), postgres.url());
    let shared = [
        "--broker-url",
        &broker,
        "--database",
        &database,
        "--objects",
        &objects,
    ];
    let mut first = Coordinator::start_with(&shared).await;
    let second = Coordinator::start_with(&shared).await;

    // What one is told, the other knows.
    first
        .register("terrain", 1, &plan(Target::Generic, 64, 100_000, 1))
        .await;
    second.push("all", "terrain", 1).await;
    let mut robot = Robot::connect(&first.mqtt, Setup::new("robot")).await;
    robot
        .until("v1 is downloaded", |r| r.running.is_some())
        .await;
    for coordinator in [&first, &second] {
        coordinator
            .until_device("robot", |d| {
                d["standing"] == "in_step" && d["online"] == true
            })
            .await;
    }

    // Results go to either; one of the two is killed in the middle.
    for i in 0..FRAMES {
        robot.result(1, None, 100).await;
        if i == FRAMES / 2 {
            robot.live(Duration::from_millis(5)).await;
            first.kill().await;
        }
    }
    robot
        .until("every result has its receipt", |r| r.outbox.is_empty())
        .await;
    assert_eq!(robot.receipted.len(), FRAMES);
    assert_eq!(second.counted().await, FRAMES as u64);

    // The other registers, publishes, and supplies a new release alone.
    second
        .register("terrain", 2, &plan(Target::Generic, 64, 100_000, 2))
        .await;
    second.push("all", "terrain", 2).await;
    robot
        .until("v2 runs", |r| {
            r.running
                .as_ref()
                .is_some_and(|running| running.version == 2)
        })
        .await;
    second
        .until_device("robot", |d| d["standing"] == "in_step")
        .await;

    // The first comes back and knows all of it.
    first.restart().await;
    first
        .until_device("robot", |d| {
            d["standing"] == "in_step" && d["running"]["version"] == 2
        })
        .await;
    assert_eq!(first.counted().await, FRAMES as u64);
}
