//! Many robots: real agents and light ones on loopback, all updated while the coordinator and the broker are killed
//! on the way. All of them arrive, and nothing that was acknowledged is lost.
//!
//! `SANDERLING_SCALE=50x5000` says how many of each (`cargo xtask scale`); without it there are a few.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sanderling_plan::Target;
use sanderling_wire::Digest;
use sha2::{Digest as _, Sha256};

use crate::support::broker::Mosquitto;
use crate::support::light::{self, World};
use crate::support::plan::plan;
use crate::support::process::Coordinator;

const MEGABYTE: usize = 1 << 20;
/// Results of each light robot.
const RESULTS: u64 = 10;

struct Size {
    agents: usize,
    lights: usize,
    deadline: Duration,
}

fn size() -> Size {
    let asked = std::env::var("SANDERLING_SCALE").unwrap_or_default();
    match asked.split_once('x') {
        Some((agents, lights)) => Size {
            agents: agents.parse().expect("AGENTSxLIGHTS"),
            lights: lights.parse().expect("AGENTSxLIGHTS"),
            deadline: Duration::from_secs(1500),
        },
        None => Size {
            agents: 4,
            lights: 100,
            deadline: Duration::from_secs(100),
        },
    }
}

/// A real agent without input; killed with this value.
struct Agent {
    child: Child,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The agent's program: beside the coordinator's.
fn agent_program() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_BIN_EXE_sanderling-coordinator"));
    let program = beside.with_file_name("sanderling-agent");
    if !program.is_file() {
        println!("skipped: sanderling-agent is not built (cargo build --workspace --bins)");
        return None;
    }
    Some(program)
}

/// One frame of ones for the small plan, as standard input gives it, again and again.
fn agent(program: &Path, folder: &Path, broker: &str, index: usize) -> Agent {
    let name = format!("agent-{index}");
    let frames = folder.join("frames.bin");
    let child = Command::new(program)
        .args([
            "--broker",
            broker,
            "--device",
            &name,
            "--targets",
            "generic",
        ])
        .args([
            "--source",
            "-",
            "--trial-seconds",
            "3",
            "--resend-seconds",
            "3",
        ])
        .args([
            "--outbox-sync",
            "never",
            "--queue-policy",
            "block",
            "--chunk",
            "32768",
            "--credit",
            "4",
        ])
        .arg("--state-dir")
        .arg(folder.join(&name))
        .env_clear()
        .stdin(Stdio::from(
            std::fs::File::open(frames).expect("it was written"),
        ))
        .stdout(Stdio::null())
        .stderr(Stdio::from(
            std::fs::File::create(folder.join(format!("{name}.log"))).expect("writable"),
        ))
        .spawn()
        .expect("the agent starts");
    Agent { child }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_with_the_embedded_broker() {
    let coordinator = Coordinator::start_with(&["--log", "warn"]).await;
    update_all("embedded broker", coordinator, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_beside_mosquitto() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mosquitto) = Mosquitto::start(folder.path()).await else {
        return;
    };
    let coordinator =
        Coordinator::start_with(&["--log", "warn", "--broker-url", &mosquitto.url()]).await;
    update_all("Mosquitto", coordinator, Some(mosquitto)).await;
}

async fn update_all(what: &str, mut coordinator: Coordinator, mut mosquitto: Option<Mosquitto>) {
    let Some(program) = agent_program() else {
        return;
    };
    let Size {
        agents,
        lights,
        deadline,
    } = size();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("frames.bin"), vec![1u8; 16 * 200]).unwrap();
    let models = [
        plan(Target::Generic, 64, 20_000, 1),
        plan(Target::Generic, 64, MEGABYTE, 2),
    ];
    for (version, model) in (1..).zip(&models) {
        coordinator.register("terrain", version, model).await;
    }
    push(&coordinator, 1).await;
    let url = coordinator.mqtt.clone();
    let address = url
        .trim_start_matches("mqtt://")
        .trim_end_matches('/')
        .to_owned();
    let world = Arc::new(World {
        address,
        models: models
            .iter()
            .map(|model| (Digest(Sha256::digest(model).into()), model.clone()))
            .collect(),
        results: RESULTS,
        ..World::default()
    });
    let started = Instant::now();
    let mut robots = tokio::task::JoinSet::new();
    for index in 0..lights {
        robots.spawn(light::live(Arc::clone(&world), index));
        if index % 100 == 99 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let mut processes = Vec::new();
    for index in 0..agents {
        processes.push(agent(&program, folder.path(), &url, index));
    }
    let all = lights as u64;
    let wait = async |what: &str, done: &dyn Fn(&World) -> bool| {
        while !done(&world) {
            assert!(
                started.elapsed() < deadline,
                "not in {deadline:?}: {what}; {} of {all} run v1, {} v2, {} connections, {} of {} results receipted",
                world.runs[0].load(Ordering::Relaxed),
                world.runs[1].load(Ordering::Relaxed),
                world.connections.load(Ordering::Relaxed),
                world.receipted.load(Ordering::Relaxed),
                world.sent.load(Ordering::Relaxed),
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    wait("every light robot runs v1", &|world| {
        world.runs[0].load(Ordering::Relaxed) == all
    })
    .await;
    let first = started.elapsed();

    push(&coordinator, 2).await;
    let bytes = world.chunk_bytes.load(Ordering::Relaxed);
    let pulled = |share: u64| {
        let whole = all * MEGABYTE as u64;
        move |world: &World| {
            world.chunk_bytes.load(Ordering::Relaxed) - bytes >= whole * share / 100
        }
    };
    wait("a fifth is pulled", &pulled(20)).await;
    coordinator.kill().await;
    coordinator.restart().await;
    let mut kills = "coordinator";
    if let Some(mosquitto) = &mut mosquitto {
        wait("a half is pulled", &pulled(50)).await;
        mosquitto.kill().await;
        mosquitto.restart().await;
        kills = "coordinator and broker";
    }
    // What robots had receipts for before the end is counted, whatever was killed.
    wait("every light robot runs v2", &|world| {
        world.runs[1].load(Ordering::Relaxed) == all
    })
    .await;
    let second = started.elapsed();
    wait("every result has its receipt", &|world| {
        world.receipted.load(Ordering::Relaxed) == all * RESULTS
    })
    .await;
    // Every robot, agents too, is in step and has no gap in its results.
    let everybody = agents + lights;
    let table = loop {
        let table = coordinator.get("/v1/devices").await;
        let devices = table["devices"].as_array().expect("a list").clone();
        let in_step = devices
            .iter()
            .filter(|device| device["standing"] == "in_step")
            .count();
        if in_step == everybody {
            break devices;
        }
        assert!(
            started.elapsed() < deadline,
            "{in_step} of {everybody} in step: {:?}",
            devices
                .iter()
                .find(|device| device["standing"] != "in_step")
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert!(table.iter().all(|device| device["running"]["version"] == 2));
    let agents_results = agents as u64 * 200;
    let expected = all * RESULTS + agents_results;
    loop {
        let summary = coordinator.get("/v1/results/summary").await;
        let counted = summary["total"]["frames"].as_u64().expect("a number");
        let missing: u64 = summary["coverage"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|device| device["missing"].as_u64())
            .sum();
        if missing == 0 && counted >= expected {
            assert_eq!(counted, expected, "something was counted twice");
            break;
        }
        assert!(
            started.elapsed() < deadline,
            "{counted} of {expected} results counted, {missing} missing"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let sent = world.chunk_bytes.load(Ordering::Relaxed) - bytes;
    let (update, rate) = (
        (second - first).as_secs_f64(),
        sent as f64 / (second - first).as_secs_f64() / 1e6,
    );
    println!(
        "{what}: {agents} agents and {lights} light robots; v1 everywhere after {:.1} s; 1 MiB to all in {update:.1} s \
         ({:.2} GB to the light ones, {rate:.0} MB/s, {:.3} of what is needed) with {kills} killed; \
         {expected} results counted, none lost, none twice; {} connections",
        first.as_secs_f64(),
        sent as f64 / 1e9,
        sent as f64 / (all as f64 * models[1].len() as f64),
        world.connections.load(Ordering::Relaxed),
    );
    robots.abort_all();
    drop(processes);
}

async fn push(coordinator: &Coordinator, version: u32) {
    let body = serde_json::json!({"model": "terrain", "version": version, "chunk_size": 32768});
    let (status, body) = coordinator
        .request("PUT", "/v1/groups/all/desired", body.to_string().as_bytes())
        .await;
    assert_eq!(status, 200, "{body}");
}
