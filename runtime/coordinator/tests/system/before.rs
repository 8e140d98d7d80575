//! A registry as the program before runs left it (`registry-before-runs.sql`, dumped from one that a coordinator and an
//! agent of that time had filled): it is taken up, and a robot of that time goes on where it was.

use crate::support::process::Coordinator;
use crate::support::robot::{Robot, Setup};

/// The start of the robot in it, whose frames 0 to 59 are counted.
const BOOT: u32 = 1_796_080_229;

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_of_before_is_taken_up() {
    let mut coordinator = Coordinator::start().await;
    coordinator.kill().await;
    let file = coordinator.data_dir().join("registry.sqlite");
    for name in [
        "registry.sqlite",
        "registry.sqlite-wal",
        "registry.sqlite-shm",
    ] {
        // Which of them there are depends on when it was killed.
        let _ = std::fs::remove_file(file.with_file_name(name));
    }
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let pool = sqlx::AnyPool::connect(&url).await.unwrap();
    sqlx::raw_sql(include_str!("registry-before-runs.sql"))
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;

    coordinator.restart().await;
    assert_eq!(coordinator.counted().await, 60);
    let device = coordinator.get("/v1/devices/old").await;
    assert_eq!(device["running"]["version"], 0, "{device}");
    let setup = Setup {
        boot: BOOT,
        ..Setup::new("old")
    };
    let mut robot = Robot::connect(&coordinator.mqtt, setup).await;
    for seq in 0..70 {
        robot.result_of(seq, 1, None, 10).await;
    }
    robot.until("receipts", |r| r.outbox.is_empty()).await;
    assert_eq!(coordinator.counted().await, 70);
}
