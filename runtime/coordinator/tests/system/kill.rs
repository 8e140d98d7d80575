//! Whatever is killed, whenever: no result that was acknowledged is lost, none is counted twice, and
//! what robots should run is still said.

use std::time::Duration;

use crate::support::broker::Mosquitto;
use crate::support::plan::plan;
use crate::support::process::Coordinator;
use crate::support::robot::{Robot, Setup};
use sanderling_plan::Target;
use sanderling_wire::Order;

const FRAMES: usize = 1500;

#[tokio::test(flavor = "multi_thread")]
async fn coordinator_with_the_embedded_broker() {
    kill_the_coordinator(Coordinator::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinator_beside_mosquitto() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mosquitto) = Mosquitto::start(dir.path()).await else {
        return;
    };
    kill_the_coordinator(Coordinator::start_with(&["--broker-url", &mosquitto.url()]).await).await;
}

async fn kill_the_coordinator(mut coordinator: Coordinator) {
    coordinator
        .register("terrain", 1, &plan(Target::Generic, 64, 200_000, 1))
        .await;
    coordinator.push("all", "terrain", 1).await;
    let mut robot = Robot::connect(&coordinator.mqtt, Setup::new("robot")).await;

    // In the middle of a download.
    robot.until("some chunks came", |r| r.chunks > 10).await;
    coordinator.kill().await;
    coordinator.restart().await;
    robot
        .until("the download is finished", |r| r.running.is_some())
        .await;
    coordinator
        .until_device("robot", |d| {
            d["standing"] == "in_step" && d["online"] == true
        })
        .await;

    // In the middle of results, at moments that differ from round to round.
    for round in 0..5 {
        for i in 0..FRAMES / 5 {
            robot.result(1, None, 100).await;
            if i == 60 * round {
                robot.live(Duration::from_millis(round as u64 * 3)).await;
                coordinator.kill().await;
                coordinator.restart().await;
                let safe = robot.receipted.len() as u64;
                let counted = coordinator.counted().await;
                assert!(
                    counted >= safe,
                    "round {round}: {counted} counted, {safe} acknowledged"
                );
            }
        }
        robot.live(Duration::from_millis(5)).await;
    }
    robot
        .until("every result has its receipt", |r| r.outbox.is_empty())
        .await;
    assert_eq!(robot.receipted.len(), FRAMES);
    assert_eq!(coordinator.counted().await, FRAMES as u64);
    let summary = coordinator.get("/v1/results/summary").await;
    assert_eq!(summary["coverage"][0]["missing"], 0);
    assert_eq!(summary["coverage"][0]["counted"], FRAMES);

    // A robot that was never seen before learns what to run from a coordinator that was killed.
    coordinator.kill().await;
    coordinator.restart().await;
    let mut late = Robot::connect(&coordinator.mqtt, Setup::new("late")).await;
    late.until("v1 runs", |r| r.running.is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_vanishes_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut mosquitto) = Mosquitto::start(dir.path()).await else {
        return;
    };
    let coordinator = Coordinator::start_with(&["--broker-url", &mosquitto.url()]).await;
    coordinator
        .register("terrain", 1, &plan(Target::Generic, 64, 1000, 1))
        .await;
    coordinator.push("all", "terrain", 1).await;
    let mut robot = Robot::connect(&coordinator.mqtt, Setup::new("robot")).await;
    robot.until("v1 runs", |r| r.running.is_some()).await;

    mosquitto.kill().await;
    crate::support::within("the API says so", async {
        while coordinator.request("GET", "/healthz", b"").await.0 != 503 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // Meanwhile work goes on: the push is taken and said when the broker is back.
    coordinator
        .register("terrain", 2, &plan(Target::Generic, 64, 1000, 2))
        .await;
    coordinator.push("all", "terrain", 2).await;
    robot.result(1, None, 100).await;
    mosquitto.restart().await;
    robot
        .until("v2 runs", |r| {
            r.running.as_ref().is_some_and(|m| m.version == 2)
        })
        .await;
    robot
        .until("the result has its receipt", |r| r.outbox.is_empty())
        .await;
    assert_eq!(coordinator.counted().await, 1);
    coordinator
        .until_device("robot", |d| d["standing"] == "in_step")
        .await;
    let said = coordinator
        .log()
        .matches("no connection to the broker")
        .count();
    assert_eq!(said, 1, "one line for one outage");
}

/// A will that nobody heard, because the coordinator was down with its broker: the robot is taken for
/// gone when it stays silent. One that is there never goes offline in the table.
#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_went_unheard_is_found_missing() {
    let mut coordinator = Coordinator::start().await;
    let gone = Robot::connect(&coordinator.mqtt, Setup::new("gone")).await;
    let mut there = Robot::connect(&coordinator.mqtt, Setup::new("there")).await;
    for name in ["gone", "there"] {
        coordinator
            .until_device(name, |d| d["online"] == true)
            .await;
    }
    coordinator.kill().await;
    drop(gone);
    coordinator.restart().await;
    assert_eq!(coordinator.get("/v1/devices/there").await["online"], true);
    let missing = coordinator.until_device("gone", |d| d["online"] == false);
    tokio::select! {
        _ = missing => {}
        () = there.until("it lives until then", |_| false) => {}
    }
    let device = coordinator.get("/v1/devices/there").await;
    assert_eq!(device["online"], true);
    let events = coordinator.get("/v1/events").await;
    let offline: Vec<_> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["kind"] == "offline")
        .map(|e| e["device"].as_str().unwrap())
        .collect();
    assert_eq!(offline, ["gone"]);
}

/// Serials come from the clock, so robots that saw those of the lost data follow the new ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_lost_its_data_is_still_followed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mosquitto) = Mosquitto::start(dir.path()).await else {
        return;
    };
    let url = mosquitto.url();
    let first = Coordinator::start_with(&["--broker-url", &url]).await;
    first
        .register("terrain", 1, &plan(Target::Generic, 64, 1000, 1))
        .await;
    first.push("all", "terrain", 1).await;
    let mut robot = Robot::connect(&url, Setup::new("robot")).await;
    robot.until("v1 runs", |r| r.running.is_some()).await;
    drop(first);

    let second = Coordinator::start_with(&["--broker-url", &url]).await;
    // The broker kept what runs; that the robot is there it proves by an answer.
    let known = second.until_device("robot", |d| {
        d["online"] == true && d["running"]["version"] == 1
    });
    tokio::select! {
        _ = known => {}
        () = robot.until("it answers", |_| false) => {}
    }
    second
        .register("terrain", 2, &plan(Target::Generic, 64, 1000, 2))
        .await;
    second.push("all", "terrain", 2).await;
    robot
        .until("v2 runs", |r| {
            r.running.as_ref().is_some_and(|m| m.version == 2)
        })
        .await;
    second
        .until_device("robot", |d| d["standing"] == "in_step")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_in_order() {
    let mut coordinator = Coordinator::start().await;
    coordinator
        .register("terrain", 1, &plan(Target::Generic, 64, 1000, 1))
        .await;
    assert!(coordinator.terminate().await.success());
    coordinator.restart().await;
    assert_eq!(
        coordinator.get("/v1/models").await["models"][0]["name"],
        "terrain"
    );
}

/// A result gets its receipt only when it is on the disk: on a full one robots get none, keep their
/// results, and lose nothing once there is room again.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing() {
    let mut coordinator = Coordinator::start_on_small_disk(600).await;
    let mut robot = Robot::connect(&coordinator.mqtt, Setup::new("robot")).await;
    coordinator
        .register("terrain", 1, &plan(Target::Generic, 64, 1000, 1))
        .await;
    let path = "/v1/models?name=big&version=1";
    let (status, body) = coordinator
        .request("POST", path, &plan(Target::Generic, 64, 700_000, 2))
        .await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (500, &"files_failed".into()),
        "{body}"
    );
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("check free space"),
        "{body}"
    );

    // Each receipt is a commit; the log of commits grows until it may not.
    let mut sent = 0;
    loop {
        robot.result(1, None, 10).await;
        sent += 1;
        assert!(sent < 3000, "the disk never filled up");
        if !robot
            .soon(Duration::from_secs(5), |r| r.outbox.is_empty())
            .await
        {
            break;
        }
    }
    let log = coordinator.log();
    assert!(log.contains("the registry's database failed"), "{log}");

    // With room again everything is taken, and robots are asked for the rest of what was missed.
    if coordinator.make_room().await {
        robot
            .until("every result has its receipt", |r| r.outbox.is_empty())
            .await;
        robot
            .until("it is asked", |r| r.orders.contains(&Order::Rebirth))
            .await;
        assert_eq!(coordinator.counted().await, sent);
    } else {
        eprintln!("skipped: a disk that empties again, because prlimit is not installed");
    }
    coordinator.kill().await;
    coordinator.restart().await;
    robot
        .until("every result has its receipt", |r| r.outbox.is_empty())
        .await;
    assert_eq!(coordinator.counted().await, sent);
    assert_eq!(
        coordinator.get("/v1/models").await["models"][0]["name"],
        "terrain"
    );
}

/// Not a benchmark: shows that results of many robots are written down in batches, and prints how fast.
#[tokio::test(flavor = "multi_thread")]
async fn many_robots_at_once_are_counted() {
    const ROBOTS: usize = 10;
    const EACH: u16 = 500;
    let names = ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9"];
    let coordinator = Coordinator::start().await;
    let start = std::time::Instant::now();
    let robots = names.map(|name| {
        let mqtt = coordinator.mqtt.clone();
        tokio::spawn(async move {
            let mut robot = Robot::connect(&mqtt, Setup::new(name)).await;
            for i in 0..EACH {
                robot.result(i, None, 10).await;
                if i % 50 == 0 {
                    robot.live(Duration::from_millis(1)).await;
                }
            }
            robot
                .until("every result has its receipt", |r| r.outbox.is_empty())
                .await;
        })
    });
    for robot in robots {
        robot.await.unwrap();
    }
    let all = ROBOTS * usize::from(EACH);
    assert_eq!(coordinator.counted().await, all as u64);
    eprintln!("{all} results of {ROBOTS} robots: {:?}", start.elapsed());
}
