//! What robots may do and what may happen to them: late wills, requests out of bounds, damaged
//! messages, orders.

use std::time::Duration;

use crate::support::plan::plan;
use crate::support::process::Coordinator;
use crate::support::robot::{Robot, Setup, bytes};
use sanderling_plan::Target;
use sanderling_wire as wire;
use sanderling_wire::{ChunkRange, Digest, Kind, Need, Order, Presence, Refusal, Session};

#[tokio::test(flavor = "multi_thread")]
async fn a_late_will_changes_nothing_and_a_true_one_does() {
    let coordinator = Coordinator::start().await;
    let mut robot = Robot::connect(
        &coordinator.mqtt,
        Setup {
            boot: 7,
            ..Setup::new("robot")
        },
    )
    .await;
    coordinator
        .until_device("robot", |d| d["online"] == true)
        .await;

    // The will of an older connection, then a result whose receipt shows that both were handled.
    robot
        .send(Kind::Birth, bytes(&Presence::Gone(Session::new(6, 3))))
        .await;
    robot.result(1, None, 1).await;
    robot.until("it was handled", |r| r.outbox.is_empty()).await;
    let events = coordinator.get("/v1/events").await;
    let offline = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .any(|e| e["kind"] == "offline");
    assert!(!offline, "{events}");
    let device = coordinator.get("/v1/devices/robot").await;
    assert_eq!(
        (&device["online"], &device["session"]),
        (&true.into(), &robot.session().0.into())
    );

    // Dropped without a farewell: the broker says the will.
    drop(robot);
    coordinator
        .until_device("robot", |d| d["online"] == false)
        .await;
    // The same robot after a restart.
    let robot = Robot::connect(
        &coordinator.mqtt,
        Setup {
            boot: 8,
            ..Setup::new("robot")
        },
    )
    .await;
    coordinator
        .until_device("robot", |d| d["online"] == true)
        .await;
    robot.leave().await;
    coordinator
        .until_device("robot", |d| d["online"] == false)
        .await;
}

fn need(session: Session, release: Digest) -> Need {
    let ranges = [ChunkRange { first: 0, count: 1 }];
    Need {
        session,
        release,
        chunk_size: 4096,
        credit: 1,
        ranges: ranges.into_iter().collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused_with_the_reason() {
    let coordinator = Coordinator::start().await;
    let digest = coordinator
        .register("terrain", 1, &plan(Target::Generic, 64, 10_000, 1))
        .await;
    let release: Digest = digest.parse().unwrap();
    let mut robot = Robot::connect(&coordinator.mqtt, Setup::new("robot")).await;

    robot
        .send(Kind::Need, bytes(&need(robot.session(), Digest([9; 32]))))
        .await;
    let refused = Order::Refused(Digest([9; 32]), Refusal::Unknown);
    robot
        .until("a refusal", |r| r.orders.contains(&refused))
        .await;

    let mut past = need(robot.session(), release);
    past.ranges[0].first = 3;
    robot.send(Kind::Need, bytes(&past)).await;
    let refused = Order::Refused(release, Refusal::BadRange);
    robot
        .until("a refusal", |r| r.orders.contains(&refused))
        .await;

    // The file is gone from under the coordinator.
    let file = coordinator
        .data_dir()
        .join("objects/sha256")
        .join(&digest[..2])
        .join(&digest[2..]);
    std::fs::remove_file(file).unwrap();
    robot
        .send(Kind::Need, bytes(&need(robot.session(), release)))
        .await;
    let refused = Order::Refused(release, Refusal::Storage);
    robot
        .until("a refusal", |r| r.orders.contains(&refused))
        .await;
    assert_eq!(robot.chunks, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_messages_are_dropped_and_said_once() {
    let coordinator = Coordinator::start().await;
    let mut robot = Robot::connect(&coordinator.mqtt, Setup::new("robot")).await;
    for kind in [Kind::Result, Kind::State, Kind::Need, Kind::Health] {
        for payload in [
            vec![],
            vec![99, 0, 0],
            vec![wire::VERSION, 0xff, 0xff, 0xff, 0xff],
            vec![wire::VERSION; 60_000],
        ] {
            robot.send(kind, payload).await;
        }
    }
    robot.result(1, None, 1).await;
    robot
        .until("what is sound is still counted", |r| r.outbox.is_empty())
        .await;
    assert_eq!(coordinator.counted().await, 1);
    assert!(
        coordinator
            .log()
            .contains("version 99 is not readable here")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_the_coordinator_does_not_know_is_asked_who_it_is() {
    let coordinator = Coordinator::start().await;
    let mut robot = Robot::connect(&coordinator.mqtt, Setup::new("robot")).await;
    coordinator
        .until_device("robot", |d| d["online"] == true)
        .await;
    // Forgetting is refused while the robot is there.
    let (status, body) = coordinator
        .request("DELETE", "/v1/devices/robot", b"")
        .await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (409, &"device_online".into())
    );

    robot
        .send(Kind::Birth, bytes(&Presence::Gone(robot.session())))
        .await;
    coordinator
        .until_device("robot", |d| d["online"] == false)
        .await;
    let (status, _) = coordinator
        .request("DELETE", "/v1/devices/robot", b"")
        .await;
    assert_eq!(status, 204);
    // It has seen its own death notice only now, and says that it lives.
    robot.live(Duration::from_millis(200)).await;
    coordinator
        .until_device("robot", |d| d["online"] == true)
        .await;

    let (status, body) = coordinator
        .request(
            "POST",
            "/v1/devices/robot/orders",
            br#"{"order":"rebirth"}"#,
        )
        .await;
    assert_eq!((status, &body["online"]), (202, &true.into()));
    robot
        .until("the order came", |r| r.orders.contains(&Order::Rebirth))
        .await;
    let (status, body) = coordinator
        .request("POST", "/v1/devices/robot/orders", br#"{"order":"dance"}"#)
        .await;
    assert_eq!((status, &body["error"]["code"]), (400, &"bad_body".into()));
    let (status, _) = coordinator
        .request("POST", "/v1/devices/nobody/orders", br#"{"order":"stop"}"#)
        .await;
    assert_eq!(status, 404);
}

/// Frames are numbered at the source, so what a robot dropped is seen as missing; what comes late and
/// out of order is counted all the same; and a second boot begins at frame 0 again.
#[tokio::test(flavor = "multi_thread")]
async fn gaps_are_seen_and_filled() {
    let coordinator = Coordinator::start().await;
    let mut robot = Robot::connect(&coordinator.mqtt, Setup::new("robot")).await;
    let mut late = Vec::new();
    for i in 0..50u16 {
        if i % 10 == 3 {
            late.push(robot.drop_frame());
        } else {
            robot.result(i, None, 10).await;
        }
    }
    robot.until("receipts", |r| r.outbox.is_empty()).await;
    assert_eq!(robot.receipted.len(), 45, "a receipt covers only what came");
    let coverage = async |counted: u64, missing: u64| {
        let summary = coordinator.get("/v1/results/summary?device=robot").await;
        let coverage = &summary["coverage"][0];
        assert_eq!(
            (&coverage["counted"], &coverage["missing"]),
            (&counted.into(), &missing.into())
        );
    };
    coverage(45, 5).await;
    for seq in late.into_iter().rev() {
        robot.result_of(seq, 1, None, 10).await;
    }
    robot.until("receipts", |r| r.outbox.is_empty()).await;
    coverage(50, 0).await;

    drop(robot);
    let mut robot = Robot::connect(
        &coordinator.mqtt,
        Setup {
            boot: 2,
            ..Setup::new("robot")
        },
    )
    .await;
    for _ in 0..10 {
        robot.result(0, None, 10).await;
    }
    robot.until("receipts", |r| r.outbox.is_empty()).await;
    coverage(60, 0).await;
    assert_eq!(coordinator.get("/v1/devices/robot").await["results"], 60);
    assert_eq!(
        coordinator.get("/v1/results/summary?device=nobody").await["total"]["frames"],
        0
    );
}
