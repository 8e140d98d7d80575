//! A network that drops, delays, reorders, truncates and stalls between a real agent and a real broker: the update
//! completes, nothing wedges, and no answer that the robot gave is lost.

mod support;

use std::time::{Duration, Instant};

use sanderling_wire::{Digest, Phase};
use support::agent::Start;
use support::broker::Broker;
use support::fleet::{Fleet, Heard};
use support::models::{self, Model};
use support::proxy::{Harm, Proxy};

/// How long an update may take on such a network.
const DEADLINE: Duration = Duration::from_secs(100);

fn rests(heard: &Heard, model: &Model) -> bool {
    heard.running() == Some(Digest(model.digest))
        && heard
            .state()
            .is_some_and(|state| state.phase == Phase::Active)
}

fn update_through(harm: Harm) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(broker) = Broker::start(folder.path()) else {
        return;
    };
    let seed = std::env::var("SANDERLING_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| u64::from(std::process::id()));
    println!("{harm:?}, SANDERLING_SEED={seed}");
    let mut fleet = Fleet::start(broker.port);
    let proxy = Proxy::start(broker.port, Harm::None, seed);
    let frames = folder.path().join("frames.npz");
    models::record(&frames, 64);
    let first = models::largest();
    fleet.want(&first, 1);
    let start = Start::new(folder.path(), "r1", &proxy.url())
        .with("--fleet test --rate 100 --loop --queue 256 --trial-inferences 20 --trial-seconds 5")
        .with("--stall-seconds 0.3 --resend-seconds 1 --credit 4")
        .with_path("--source", &frames);
    let mut agent = start.spawn();
    agent.wait_for("the first model", |status| status["phase"] == "active");

    proxy.set(harm);
    let second = models::smallest(60_000);
    fleet.want(&second, 2);
    let began = Instant::now();
    if matches!(harm, Harm::Stall(_)) {
        // Each one costs the time after which a silent connection is given up.
        while proxy.done() < 2 {
            fleet.wait_at_most(Duration::from_millis(50), |_| false);
            assert!(began.elapsed() < DEADLINE, "the network did no harm");
        }
        proxy.set(Harm::None);
    }
    let done = fleet.wait_at_most(DEADLINE, |heard| rests(heard, &second));
    let took = began.elapsed();
    assert!(
        done,
        "no update in {DEADLINE:?}; last state {:?}\n{}",
        fleet.heard(|heard| heard.state().cloned()),
        agent.log()
    );
    // A short update may pass between two of them; results go on, and are harmed in its place.
    while proxy.done() == 0 {
        fleet.wait_at_most(Duration::from_millis(50), |_| false);
        assert!(began.elapsed() < DEADLINE, "the network did no harm");
    }
    let harms = proxy.done();
    proxy.set(Harm::None);

    // Every frame has an answer, and every answer came, whatever became of the packet that carried it first.
    let status = agent.wait_for("a moment without waiting frames", |status| {
        status["frames_waiting"] == 0 && status["frames_in"] == status["frames_out"]
    });
    assert_eq!(
        [
            &status["frames_dropped"],
            &status["bad_frames"],
            &status["outbox_dropped"]
        ],
        [0, 0, 0]
    );
    let last = status["frames_out"].as_u64().unwrap_or_default() - 1;
    let end = Instant::now() + DEADLINE;
    let complete = |heard: &Heard| {
        let frames = heard.frames();
        frames.len() as u64 > last && frames[last as usize].seq == last
    };
    assert!(
        fleet.wait_at_most(end - Instant::now(), complete),
        "results are missing below frame {last}"
    );
    println!("{harm:?}: {harms} times in {took:?}; {last} results, none missing");
    assert!(agent.terminate().success());
}

#[test]
fn connections_that_drop() {
    update_through(Harm::Drop(150));
}

#[test]
fn packets_that_come_late() {
    update_through(Harm::Delay(5));
}

#[test]
fn packets_that_come_in_another_order() {
    update_through(Harm::Reorder(10));
}

#[test]
fn connections_that_end_in_the_middle_of_a_packet() {
    update_through(Harm::Truncate(150));
}

/// The longest, for a connection that is silent is only given up after its keep-alive.
#[test]
fn connections_that_fall_silent_for_ever() {
    update_through(Harm::Stall(250));
}
