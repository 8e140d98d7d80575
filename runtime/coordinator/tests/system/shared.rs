//! Two coordinators with one PostgreSQL database, one broker, and one folder of model files: they
//! share the work, and when one is killed the other goes on.

use std::path::Path;
use std::time::Duration;

use crate::support::broker::Mosquitto;
use crate::support::plan::plan;
use crate::support::postgres::Postgres;
use crate::support::process::Coordinator;
use crate::support::robot::{Robot, Setup};
use crate::support::within;
use sanderling_plan::Target;
use serde_json::{Value, json};

const FRAMES: usize = 600;

/// Arguments of coordinators that share everything.
fn sharing(broker: &str, database: &str, objects: &Path) -> Vec<String> {
    let objects = objects.display().to_string();
    let all = [
        "--broker-url",
        broker,
        "--database",
        database,
        "--objects",
        &objects,
    ];
    all.map(str::to_owned).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_killed_and_the_other_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mosquitto) = Mosquitto::start(dir.path()).await else {
        return;
    };
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let shared = sharing(
        &mosquitto.url(),
        &postgres.url(),
        &dir.path().join("objects"),
    );
    let shared: Vec<&str> = shared.iter().map(String::as_str).collect();
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

/// Robots that take part in the rollout.
const ROBOTS: [&str; 6] = ["r-0", "r-1", "r-2", "r-3", "r-4", "r-5"];

fn runs(robot: &Robot, version: u32) -> bool {
    robot.running.as_ref().is_some_and(|r| r.version == version)
}

fn acts(rollout: &Value, act: &str) -> usize {
    let audit = rollout["audit"].as_array().expect("is a list");
    audit.iter().filter(|line| line["act"] == act).count()
}

/// Waits, event by event, until `done` holds for a rollout.
async fn until_rollout(at: &Coordinator, id: &Value, done: impl Fn(&Value) -> bool) -> Value {
    within("the rollout comes so far", async {
        let mut after = 0;
        loop {
            let rollout = at.get(&format!("/v1/rollouts/{id}")).await;
            if done(&rollout) {
                return rollout;
            }
            let events = at.get(&format!("/v1/events?after={after}&wait_s=1")).await;
            after = events["next"].as_i64().expect("is a number");
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_killed_in_a_rollout_and_the_other_finishes_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mosquitto) = Mosquitto::start(dir.path()).await else {
        return;
    };
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let shared = sharing(
        &mosquitto.url(),
        &postgres.url(),
        &dir.path().join("objects"),
    );
    let shared: Vec<&str> = shared.iter().map(String::as_str).collect();
    let mut first = Coordinator::start_with(&shared).await;
    let second = Coordinator::start_with(&shared).await;
    for version in [1, 2] {
        let plan = plan(Target::Generic, 64, 20_000, u8::try_from(version).unwrap());
        first.register("terrain", version, &plan).await;
    }
    first.push("all", "terrain", 1).await;
    let mut fleet = Vec::new();
    for name in ROBOTS {
        let mut robot = Robot::connect(&first.mqtt, Setup::new(name)).await;
        robot.until("v1 runs", |r| runs(r, 1)).await;
        fleet.push(robot);
    }
    for name in ROBOTS {
        second
            .until_device(name, |d| d["standing"] == "in_step")
            .await;
    }

    // One is told, and killed in the second wave.
    let policy = json!({"strategy": "waves", "waves": [1, 3, "100%"], "soak_s": 1});
    let body =
        json!({"group": "all", "model": "terrain", "version": 2, "policy": policy, "by": "anna"});
    let (status, started) = first
        .request("POST", "/v1/rollouts", body.to_string().as_bytes())
        .await;
    assert_eq!(status, 200, "{started}");
    let id = started["id"].clone();
    let robots: Vec<_> = fleet
        .into_iter()
        .map(|mut robot| {
            tokio::spawn(async move {
                robot.until("v2 runs", |r| runs(r, 2)).await;
                robot
            })
        })
        .collect();
    until_rollout(&second, &id, |r| acts(r, "stage") == 2).await;
    first.kill().await;

    // The other takes each wave that is left once, and ends it.
    let ended = until_rollout(&second, &id, |r| r["summary"]["status"] == "finished").await;
    let count = |act| acts(&ended, act);
    assert_eq!(
        (count("started"), count("stage"), count("finished")),
        (1, 3, 1),
        "{ended:#}"
    );
    for robot in robots {
        let robot = robot.await.expect("it runs v2");
        assert_eq!(robot.running.map(|r| r.version), Some(2));
    }

    // The first comes back, and has nothing to add.
    first.restart().await;
    let told = first.get(&format!("/v1/rollouts/{id}")).await;
    assert_eq!(
        (&told["summary"]["status"], &told["audit"]),
        (&ended["summary"]["status"], &ended["audit"])
    );
}
