//! Many connections that say nothing, few descriptors, and a robot that asks without end: the others are served.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::plan::plan;
use crate::support::process::Coordinator;
use crate::support::robot::{Robot, Setup, bytes};
use crate::support::within;
use sanderling_plan::Target;
use sanderling_wire::{ChunkRange, Digest, Kind, Need};

/// Connections that say nothing.
async fn silent(url: &str, count: usize) -> Vec<TcpStream> {
    let address = url.split("://").nth(1).unwrap();
    let mut streams = Vec::new();
    for _ in 0..count {
        let connected = within("a connection", TcpStream::connect(address)).await;
        streams.push(connected.unwrap());
    }
    streams
}

/// Waits until the other side closes; gives how long that took and what it said before.
async fn closed(mut stream: TcpStream) -> (Duration, String) {
    let start = Instant::now();
    let mut said = Vec::new();
    // Reset or closed: it is over.
    let _ = within("it is closed", stream.read_to_end(&mut said)).await;
    (start.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_stop_nobody_where_descriptors_are_few() {
    let coordinator = Coordinator::start_under("ulimit -n 256", &[]).await;
    let mut held = silent(&coordinator.http, 200).await;
    held.extend(silent(&coordinator.mqtt, 200).await);
    let start = Instant::now();
    let health = coordinator.get("/healthz").await;
    assert_eq!(health["broker_connected"], true, "{health}");
    let robot = Robot::connect(&coordinator.mqtt, Setup::new("robot")).await;
    coordinator
        .until_device("robot", |d| d["online"] == true)
        .await;
    println!(
        "beside 400 silent connections: a robot is seen after {:.2} s",
        start.elapsed().as_secs_f64()
    );
    // Whoever works is not thrown out for those that come after.
    held.extend(silent(&coordinator.mqtt, 200).await);
    held.extend(silent(&coordinator.http, 200).await);
    let events = coordinator.get("/v1/events?after=0").await;
    let gone = events["events"].as_array().unwrap();
    assert!(!gone.iter().any(|e| e["kind"] == "offline"), "{events}");
    drop(robot);
    coordinator
        .until_device("robot", |d| d["online"] == false)
        .await;
    let lines = coordinator.log().lines().count();
    assert!(lines < 2000, "{lines} lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_half_of_it_is_closed_after_a_while() {
    let coordinator = Coordinator::start_with(&["--tls", "127.0.0.1:0"]).await;
    let http = silent(&coordinator.http, 3).await;
    let mqtt = silent(&coordinator.mqtt, 1).await;
    let said: [&[u8]; 3] = [
        b"",
        b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx-half",
        b"PUT /v1/deltas HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/octet-stream\r\ncontent-length: 9\r\n\r\nhalf",
    ];
    let mut ends = tokio::task::JoinSet::new();
    for (mut stream, said) in http.into_iter().zip(said) {
        stream.write_all(said).await.unwrap();
        ends.spawn(closed(stream));
    }
    // The broker's port for TLS: its handshake is what does not come.
    for stream in mqtt {
        ends.spawn(closed(stream));
    }
    while let Some(end) = ends.join_next().await {
        let (took, said) = end.unwrap();
        println!(
            "closed after {:.1} s: {:?}",
            took.as_secs_f64(),
            said.lines().next()
        );
        assert!(took < Duration::from_secs(40), "{took:?}");
        let late = said.is_empty() || said.contains(" 408 ") || said.contains("too slowly");
        assert!(late, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_it_waits_and_goes_on_when_there_are_some() {
    let coordinator = Coordinator::start_under("ulimit -S -n 64", &[]).await;
    let limits = format!("/proc/{}/limits", coordinator.pid());
    let open = std::fs::read_to_string(limits).unwrap();
    let open = open
        .lines()
        .find(|l| l.starts_with("Max open files"))
        .unwrap();
    let soft: u64 = open.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!(soft > 64, "the limit that may be raised is raised: {open}");

    let pid = coordinator.pid().to_string();
    let limit = async |limit: &str| {
        let mut prlimit = tokio::process::Command::new("prlimit");
        let done = prlimit
            .args(["--pid", &pid, &format!("--nofile={limit}:")])
            .status()
            .await;
        done.is_ok_and(|status| status.success())
    };
    if !limit("8").await {
        println!("skipped: prlimit is not installed (apt-get install util-linux)");
        return;
    }
    let mut held = silent(&coordinator.http, 50).await;
    held.extend(silent(&coordinator.mqtt, 50).await);
    let before = coordinator.log().lines().count();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let lines = coordinator.log().lines().count() - before;
    assert!(lines < 300, "{lines} lines in 4 s");
    assert!(coordinator.log().contains("cannot accept a connection"));
    assert!(limit(&soft.to_string()).await);
    let health = coordinator.get("/healthz").await;
    assert_eq!(health["broker_connected"], true, "{health}");
}

fn need(robot: &Robot, release: Digest) -> Vec<u8> {
    let ranges = [ChunkRange { first: 0, count: 4 }];
    bytes(&Need {
        session: robot.session(),
        release,
        chunk_size: 4096,
        credit: 4,
        ranges: ranges.into_iter().collect(),
    })
}

/// One robot pulls while another asks as fast as it can.
#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_asks_without_end_does_not_stop_deliveries() {
    let coordinator = Coordinator::start().await;
    let file = plan(Target::Generic, 64, 1_000_000, 1);
    let digest = coordinator.register("big", 1, &file).await;
    let release: Digest = digest.parse().unwrap();
    let setup = |name| Setup {
        flash: 8 << 20,
        ..Setup::new(name)
    };
    let pull = async |robot: &mut Robot| {
        let start = Instant::now();
        robot.until("it runs", |r| r.running.is_some()).await;
        start.elapsed()
    };
    coordinator.push("all", "big", 1).await;
    let mut alone = Robot::connect(&coordinator.mqtt, setup("alone")).await;
    let usual = pull(&mut alone).await;

    let mut loud = Robot::connect(
        &coordinator.mqtt,
        Setup {
            follows: false,
            ..setup("loud")
        },
    )
    .await;
    let shouting = tokio::spawn(async move {
        loop {
            let asks = need(&loud, release);
            for _ in 0..64 {
                loud.send(Kind::Need, asks.clone()).await;
            }
            loud.live(Duration::from_millis(1)).await;
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut quiet = Robot::connect(&coordinator.mqtt, setup("quiet")).await;
    let beside = pull(&mut quiet).await;
    shouting.abort();
    let rate = |time: Duration| file.len() as f64 / 1e6 / time.as_secs_f64();
    println!(
        "1 MB alone {:.2} MB/s, beside a robot that asks without end {:.2} MB/s",
        rate(usual),
        rate(beside)
    );
    assert!(
        beside < usual * 8 + Duration::from_secs(2),
        "{beside:?} after {usual:?}"
    );
}
