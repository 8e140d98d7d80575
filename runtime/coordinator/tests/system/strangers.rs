//! Robots whose messages are of a version that the coordinator does not read: listed, with the reason and what to do.

use sanderling_coordinator::link::{Incoming, Link, LinkOptions, Outgoing};
use sanderling_wire::{Birth, Kind, Presence, Session, Topic, VERSION};

use crate::support::process::Coordinator;
use crate::support::robot::{Robot, Setup, bytes, name};
use crate::support::within;

/// A birth as a newer program would write it: the version byte is all that can be read of it.
fn birth(version: u8) -> Vec<u8> {
    let born = Presence::Born(Birth {
        session: Session::new(7, 1),
        group: name("all"),
        software: "another program".into(),
        board: "none".into(),
        targets: [name("generic")].into_iter().collect(),
        arena_limit: 1,
        flash_limit: 1,
        chunk_limit: 4096,
        running: None,
    });
    let mut message = bytes(&born);
    message[0] = version;
    message
}

async fn say(url: &str, robot: &str, payload: Vec<u8>) {
    let (link, mut incoming) = Link::start(LinkOptions {
        broker: url.parse().unwrap(),
        client_id: format!("{robot}-again"),
        filters: vec!["sanderling/1/main/d/nobody/cmd".to_owned()],
        will: None,
        tls: None,
    });
    within("it connects", async {
        while incoming.recv().await != Some(Incoming::Connected) {}
    })
    .await;
    let topic = Topic::device(&name("main"), &name(robot), Kind::Birth).to_string();
    let message = Outgoing {
        topic,
        payload,
        at_least_once: true,
        retain: true,
    };
    link.publish(message).await.unwrap();
    link.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_of_another_message_version_is_listed_with_the_reason() {
    let coordinator = Coordinator::start().await;
    say(&coordinator.mqtt, "stranger", birth(VERSION + 1)).await;
    let device = coordinator
        .until_device("stranger", |d| d["standing_text"].is_string())
        .await;
    assert_eq!(device["standing"], "unknown", "{device:#}");
    assert_eq!(device["online"], true, "{device:#}");
    let text = device["standing_text"].as_str().unwrap();
    let (theirs, ours) = (
        format!("version {}", VERSION + 1),
        format!("reads {VERSION}"),
    );
    for part in [theirs.as_str(), &ours, "update"] {
        assert!(text.contains(part), "{text}");
    }
    let (_, events) = coordinator.request("GET", "/v1/events", b"").await;
    assert!(events.to_string().contains("unreadable"), "{events:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_was_known_keeps_its_group_when_its_program_is_changed() {
    let coordinator = Coordinator::start().await;
    let robot = Robot::connect(&coordinator.mqtt, Setup::new("robot")).await;
    coordinator
        .until_device("robot", |d| d["online"] == true)
        .await;
    robot.leave().await;
    say(&coordinator.mqtt, "robot", birth(VERSION - 1)).await;
    coordinator
        .until_device("robot", |d| d["standing_text"].is_string())
        .await;
    let listed = coordinator.get("/v1/devices?group=all").await;
    assert_eq!(listed["devices"][0]["name"], "robot", "{listed:#}");

    // Its program is changed back.
    let mut setup = Setup::new("robot");
    setup.boot = 2;
    let _robot = Robot::connect(&coordinator.mqtt, setup).await;
    let device = coordinator
        .until_device("robot", |d| d["standing_text"].is_null())
        .await;
    assert_eq!(device["standing"], "nothing_desired", "{device:#}");
}
