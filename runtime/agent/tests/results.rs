//! Results reach the fleet: each frame at least once, whatever happens to the broker and to the agent.

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sanderling_wire::{Order, Presence};
use support::agent::Start;
use support::broker::Broker;
use support::fleet::{Fleet, Manner, pause};
use support::models::{self, WIDTH};

#[test]
fn every_frame_of_a_recording_is_answered_and_confirmed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(broker) = Broker::start(folder.path()) else {
        return;
    };
    let fleet = Fleet::start(broker.port);
    let (frames, model) = (
        folder.path().join("frames.npz"),
        folder.path().join("first.plan"),
    );
    models::record(&frames, 300);
    std::fs::write(&model, models::largest().bytes).expect("writable");
    let mut agent = Start::new(folder.path(), "r1", &broker.url())
        .with("--fleet test --rate 0 --queue-policy block --exit-at-end --trial-inferences 10")
        .with_path("--source", &frames)
        .with_path("--model", &model)
        .spawn();
    assert!(agent.wait().success(), "{}", agent.log());
    fleet.heard(|heard| {
        let seqs: Vec<u64> = heard.frames().iter().map(|frame| frame.seq).collect();
        assert_eq!(seqs, (0..300).collect::<Vec<_>>());
        assert!(
            heard
                .results
                .iter()
                .all(|(frame, _, top)| u64::from(*top) == frame.seq % WIDTH as u64)
        );
        assert!(
            matches!(heard.presences.last(), Some(Presence::Gone(_))),
            "it said goodbye"
        );
        assert!(heard.healths > 0);
    });
    let status = agent.status().expect("the last status stays");
    assert_eq!(
        [
            &status["frames_in"],
            &status["frames_out"],
            &status["outbox_depth"],
            &status["models"][0]["right"]
        ],
        [300, 300, 0, 300]
    );
    assert_eq!(
        (&status["ended"], &status["allocations"]),
        (&true.into(), &0.into())
    );
}

#[test]
fn a_broker_that_vanishes_costs_no_result() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(mut broker) = Broker::start(folder.path()) else {
        return;
    };
    let fleet = Fleet::start(broker.port);
    let (frames, model) = (
        folder.path().join("frames.npz"),
        folder.path().join("first.plan"),
    );
    models::record(&frames, 400);
    std::fs::write(&model, models::largest().bytes).expect("writable");
    let mut agent = Start::new(folder.path(), "r1", &broker.url())
        .with("--fleet test --rate 200 --queue-policy block --exit-at-end --resend-seconds 1")
        .with_path("--source", &frames)
        .with_path("--model", &model)
        .spawn();
    for seen in [50, 120] {
        fleet.wait("results", |heard| heard.results.len() > seen);
        broker.kill();
        agent.wait_for("end of the connection", |status| {
            status["connected"] == false
        });
        let before = agent.status().expect("it runs")["frames_out"].clone();
        agent.wait_for("frames without a broker", |status| {
            status["frames_out"].as_u64() > before.as_u64()
        });
        broker.restart();
        agent.wait_for("another connection", |status| status["connected"] == true);
    }
    assert!(agent.wait().success());
    let seqs: Vec<u64> =
        fleet.heard(|heard| heard.frames().iter().map(|frame| frame.seq).collect());
    assert_eq!(seqs, (0..400).collect::<Vec<_>>());
    assert!(agent.log().contains("results wait"), "{}", agent.log());
}

#[test]
fn an_agent_killed_at_any_moment_leaves_no_gap_in_its_results() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(broker) = Broker::start(folder.path()) else {
        return;
    };
    let fleet = Fleet::start(broker.port);
    let (frames, model) = (
        folder.path().join("frames.npz"),
        folder.path().join("first.plan"),
    );
    models::record(&frames, 64);
    std::fs::write(&model, models::largest().bytes).expect("writable");
    let start = Start::new(folder.path(), "r1", &broker.url())
        // A source that waits: where the machine is slow or emulated, a full queue would let frames go by design.
        .with("--fleet test --rate 500 --loop --resend-seconds 1 --trial-inferences 5 --max-starts 100")
        .with("--queue-policy block")
        .with_path("--source", &frames)
        .with_path("--model", &model);
    for round in 0..12u64 {
        let mut agent = start.spawn();
        agent.wait_for("frames", |status| status["frames_out"].as_u64() > Some(5));
        // With and without receipts, so that some rounds leave an outbox behind.
        fleet.behave(Manner {
            receipts: round % 3 != 0,
            ..Manner::default()
        });
        pause(Duration::from_millis(37 * (round % 7)));
        agent.kill();
    }
    fleet.behave(Manner::default());
    let mut last = start.spawn();
    last.wait_for("an empty outbox", |status| {
        status["outbox_depth"].as_u64() < Some(20) && status["confirmed"].as_u64() > Some(20)
    });
    assert!(last.terminate().success());
    let frames = fleet.heard(|heard| heard.frames());
    let boots: BTreeSet<u32> = frames.iter().map(|frame| frame.boot).collect();
    assert_eq!(boots.len(), 13, "every start has a number of its own");
    for boot in boots {
        let seqs: Vec<u64> = frames
            .iter()
            .filter(|frame| frame.boot == boot)
            .map(|frame| frame.seq)
            .collect();
        assert_eq!(
            seqs,
            (0..seqs.len() as u64).collect::<Vec<_>>(),
            "start {boot} has a gap"
        );
    }
}

#[test]
fn frames_on_standard_input_and_results_as_json() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(broker) = Broker::start(folder.path()) else {
        return;
    };
    let fleet = Fleet::start(broker.port);
    let model = folder.path().join("first.plan");
    std::fs::write(&model, models::largest().bytes).expect("writable");
    let start = Start::new(folder.path(), "r1", &broker.url())
        .with("--fleet test --source - --rate 0 --queue-policy block --results json --exit-at-end")
        .with_path("--model", &model);
    let mut command = start.command();
    command.stdin(Stdio::piped());
    let mut agent = start.spawn_command(command);
    let mut input = agent.child.stdin.take().expect("it is piped");
    for place in 0..WIDTH {
        let mut frame = [0; WIDTH];
        frame[place] = 9;
        input.write_all(&frame).expect("the agent reads");
    }
    input.write_all(&[1, 2, 3]).expect("the agent reads");
    drop(input);
    assert!(agent.wait().success());
    fleet.heard(|heard| {
        let tops: Vec<_> = heard
            .json
            .iter()
            .map(|result| result["top"].as_u64())
            .collect();
        assert_eq!(tops, (0..WIDTH as u64).map(Some).collect::<Vec<_>>());
    });
    assert!(
        agent.log().contains("ended inside a frame (3 of 8 bytes)"),
        "{}",
        agent.log()
    );
}

#[test]
fn stop_and_resume_are_obeyed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(broker) = Broker::start(folder.path()) else {
        return;
    };
    let fleet = Fleet::start(broker.port);
    let (frames, model) = (
        folder.path().join("frames.npz"),
        folder.path().join("first.plan"),
    );
    models::record(&frames, 16);
    std::fs::write(&model, models::largest().bytes).expect("writable");
    let mut agent = Start::new(folder.path(), "r1", &broker.url())
        .with("--fleet test --rate 200 --loop")
        .with_path("--source", &frames)
        .with_path("--model", &model)
        .spawn();
    fleet.wait("results", |heard| heard.results.len() > 10);
    fleet.tell("r1", Order::Stop);
    let stopped = agent.wait_for("stop", |status| status["paused"] == true);
    agent.wait_for("frames that are dropped meanwhile", |status| {
        status["frames_dropped"].as_u64() > stopped["frames_dropped"].as_u64()
    });
    fleet.tell("r1", Order::Resume);
    let before = stopped["frames_out"].as_u64().map(|frames| frames + 50);
    agent.wait_for("frames after it goes on", |status| {
        status["frames_out"].as_u64() > before
    });
    let births = fleet.heard(|heard| heard.presences.len());
    fleet.tell("r1", Order::Rebirth);
    fleet.wait("another birth", |heard| heard.presences.len() > births);
    assert!(agent.terminate().success());
}

#[test]
fn a_disk_without_room_costs_neither_inference_nor_results() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(broker) = Broker::start(folder.path()) else {
        return;
    };
    let small = folder.path().join("small");
    let Some(_mounted) = SmallDisk::mount(&small, "512k") else {
        return;
    };
    let fleet = Fleet::start(broker.port);
    fleet.behave(Manner {
        receipts: false,
        ..Manner::default()
    });
    let (frames, model) = (
        folder.path().join("frames.npz"),
        folder.path().join("first.plan"),
    );
    models::record(&frames, 64);
    std::fs::write(&model, models::largest().bytes).expect("writable");
    let mut start = Start::new(folder.path(), "r1", &broker.url())
        .with("--fleet test --rate 500 --loop --trial-inferences 5 --resend-seconds 1")
        .with_path("--source", &frames)
        .with_path("--model", &model);
    start.folder = small.clone();
    let mut agent = start.spawn();
    agent.wait_for("the first model", |status| status["phase"] == "active");
    // Everything that is left of the disk is taken away.
    let mut filler = std::fs::File::create(small.join("filler")).expect("there is some room");
    while filler.write_all(&[0; 4096]).is_ok() {}
    fleet.wait("results beyond the disk", |heard| {
        heard.frames().len() > 1000
    });
    std::fs::remove_file(small.join("filler")).expect("it is there");
    fleet.behave(Manner::default());
    fleet.wait("results after there is room", |heard| {
        heard.frames().len() > 2000
    });
    let seqs: Vec<u64> =
        fleet.heard(|heard| heard.frames().iter().map(|frame| frame.seq).collect());
    assert_eq!(
        seqs,
        (0..seqs.len() as u64).collect::<Vec<_>>(),
        "no result was lost"
    );
    let lines = agent.log().matches("free some space").count();
    assert!(
        lines < 5,
        "{lines} lines about one full disk:\n{}",
        agent.log()
    );
    assert!(agent.terminate().success());
}

#[test]
fn an_agent_starts_on_a_disk_without_room() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(broker) = Broker::start(folder.path()) else {
        return;
    };
    let small = folder.path().join("small");
    let Some(_mounted) = SmallDisk::mount(&small, "512k") else {
        return;
    };
    let fleet = Fleet::start(broker.port);
    let (frames, model) = (
        folder.path().join("frames.npz"),
        folder.path().join("first.plan"),
    );
    models::record(&frames, 64);
    std::fs::write(&model, models::largest().bytes).expect("writable");
    let mut start = Start::new(folder.path(), "r1", &broker.url())
        .with("--fleet test --rate 500 --loop --trial-inferences 5")
        .with_path("--source", &frames)
        .with_path("--model", &model);
    start.folder = small.clone();
    let mut agent = start.spawn();
    agent.wait_for("the first model", |status| status["phase"] == "active");
    let boots = |heard: &support::fleet::Heard| -> BTreeSet<u32> {
        heard.frames().iter().map(|frame| frame.boot).collect()
    };
    let mut filler = std::fs::File::create(small.join("filler")).expect("there is some room");
    while filler.write_all(&[0; 4096]).is_ok() {}
    for round in 2..4 {
        agent.kill();
        agent = start.spawn();
        fleet.wait("results of another start", |heard| {
            boots(heard).len() == round
        });
    }
    assert!(agent.terminate().success());
}

/// A small file system of its own, where the test may mount one.
struct SmallDisk<'p> {
    path: &'p Path,
}

impl SmallDisk<'_> {
    fn mount<'p>(path: &'p Path, size: &str) -> Option<SmallDisk<'p>> {
        std::fs::create_dir(path).expect("a temporary folder is writable");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(path)
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(SmallDisk { path });
        }
        println!("skipped: no right to mount a small disk");
        None
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.path)
            .status();
    }
}

/// A folder and everything below it that others can read or list.
fn open_below(folder: &Path) -> Vec<String> {
    let mut open = Vec::new();
    let mode = |path: &Path| {
        let about = std::fs::symlink_metadata(path).expect("it is there");
        about.permissions().mode() & 0o777
    };
    for entry in std::fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            open.extend(open_below(&path));
        }
        if mode(&path) & 0o077 != 0 {
            open.push(format!("{} {:o}", path.display(), mode(&path)));
        }
    }
    open
}

/// Models, results, and the password are nobody else's business; what an earlier agent left open is closed.
#[test]
fn others_on_the_robot_read_neither_models_nor_results() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (frames, model) = (
        folder.path().join("frames.npz"),
        folder.path().join("first.plan"),
    );
    let password = folder.path().join("password");
    models::record(&frames, 10);
    std::fs::write(&model, models::largest().bytes).expect("writable");
    std::fs::write(&password, "x\n").expect("writable");
    let all = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(&password, all(0o644)).expect("it is ours");
    // Nobody listens there: results stay in the outbox.
    let start = Start::new(folder.path(), "r1", "mqtt://127.0.0.1:9")
        .with("--rate 0 --queue-policy block")
        .with_path("--source", &frames)
        .with_path("--password-file", &password)
        .with_path("--model", &model);
    let mut agent = start.spawn();
    agent.wait_for("results", |status| status["outbox_depth"] == 10);
    let state = start.state_dir();
    assert_eq!(open_below(&state), Vec::<String>::new());
    let status = folder.path().join("r1.json");
    let mode = std::fs::metadata(status).expect("written").permissions();
    assert_eq!(mode.mode() & 0o777, 0o644, "other programs read the status");
    let said = agent.log();
    let warning = format!("others can read {} (mode 644)", password.display());
    assert_eq!(said.matches(&warning).count(), 1, "{said}");
    agent.kill();

    for inside in ["slots", "outbox"] {
        std::fs::set_permissions(state.join(inside), all(0o755)).expect("it is ours");
    }
    let mut agent = start.spawn();
    agent.wait_for("results", |status| status["outbox_depth"] == 20);
    assert_eq!(open_below(&state), Vec::<String>::new());
}
