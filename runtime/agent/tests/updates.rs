//! Models come over MQTT: the good ones run, the bad ones do not, and no frame is missed either way.

mod support;

use std::time::Duration;

use sanderling_wire::{Digest, FailureCode, Order, Phase};
use support::agent::{Agent, Start};
use support::broker::Broker;
use support::fleet::{Fleet, Heard, Manner};
use support::models::{self, Model, WIDTH};

/// A broker, the fleet, and one robot that runs the first model on 200 frames a second.
struct Scene {
    fleet: Fleet,
    agent: Agent,
    start: Start,
    first: Model,
    broker: Broker,
    _folder: tempfile::TempDir,
}

fn scene(arguments: &str) -> Option<Scene> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let broker = Broker::start(folder.path())?;
    let mut fleet = Fleet::start(broker.port);
    let frames = folder.path().join("frames.npz");
    models::record(&frames, 64);
    let first = models::largest();
    fleet.want(&first, 1);
    let start = Start::new(folder.path(), "r1", &broker.url())
        .with("--fleet test --rate 200 --loop --queue 256 --trial-inferences 20 --trial-seconds 5")
        .with("--stall-seconds 0.3 --resend-seconds 1")
        .with(arguments)
        .with_path("--source", &frames);
    let mut agent = start.spawn();
    agent.wait_for("the first model", |status| status["phase"] == "active");
    Some(Scene {
        fleet,
        agent,
        start,
        first,
        broker,
        _folder: folder,
    })
}

fn rests(heard: &Heard, phase: Phase, model: &Model) -> bool {
    heard.running() == Some(Digest(model.digest))
        && heard.state().is_some_and(|state| state.phase == phase)
}

/// No frame is missing, and the answers change from one model's to the other's exactly once.
fn assert_no_frame_missed(fleet: &Fleet, agent: &mut Agent) {
    let status = agent.wait_for("a moment without waiting frames", |status| {
        status["frames_waiting"] == 0 && status["frames_in"] == status["frames_out"]
    });
    assert_eq!(
        [
            &status["frames_dropped"],
            &status["bad_frames"],
            &status["failed_frames"]
        ],
        [0, 0, 0]
    );
    let last = status["frames_out"].as_u64().unwrap_or_default() - 1;
    fleet.wait("every result", |heard| {
        heard.frames().iter().any(|frame| frame.seq >= last)
    });
    let seqs: Vec<u64> =
        fleet.heard(|heard| heard.frames().iter().map(|frame| frame.seq).collect());
    assert_eq!(seqs[..=last as usize], (0..=last).collect::<Vec<_>>());
}

#[test]
fn a_new_model_is_pulled_proved_and_serves_without_a_missed_frame() {
    let Some(mut scene) = scene("") else {
        return;
    };
    let Scene {
        fleet,
        agent,
        first,
        ..
    } = &mut scene;
    let second = models::smallest(200_000);
    fleet.want(&second, 2);
    fleet.wait("the second model", |heard| {
        rests(heard, Phase::Active, &second)
    });
    agent.wait_for("answers of the second model", |status| {
        status["models"][1]["frames"].as_u64() > Some(30)
    });
    assert_no_frame_missed(fleet, agent);
    fleet.heard(|heard| {
        let mut answers = heard.results.clone();
        answers.sort_unstable_by_key(|(frame, ..)| *frame);
        let switch = answers
            .iter()
            .position(|(_, model, _)| *model == Digest(second.digest))
            .expect("it serves");
        for (frame, model, top) in &answers[..switch] {
            assert_eq!(
                (*model, u64::from(*top)),
                (Digest(first.digest), frame.seq % WIDTH as u64)
            );
        }
        for (frame, model, top) in &answers[switch..] {
            assert_eq!(
                (*model, u64::from(*top)),
                (Digest(second.digest), (frame.seq + 3) % WIDTH as u64)
            );
        }
        let phases: Vec<Phase> = heard.states.iter().map(|state| state.phase).collect();
        for phase in [
            Phase::Downloading,
            Phase::Verifying,
            Phase::SelfTest,
            Phase::Trial,
            Phase::Active,
        ] {
            assert!(
                phases.contains(&phase),
                "{phase:?} was not told: {phases:?}"
            );
        }
        // While the new model was on its way, the robot said that it ran the old one.
        assert!(
            heard
                .states
                .iter()
                .filter(|state| state.phase == Phase::Downloading && state.serial == 2)
                .all(|state| state
                    .running
                    .as_ref()
                    .is_some_and(|running| running.digest == Digest(first.digest)))
        );
    });
    // And back, without a download.
    let sent = fleet.heard(|heard| heard.chunks_sent);
    fleet.want(first, 1);
    fleet.wait("the first model again", |heard| {
        rests(heard, Phase::Active, first)
    });
    assert_eq!(fleet.heard(|heard| heard.chunks_sent), sent);
    assert!(agent.terminate().success());
}

#[test]
fn models_that_are_no_good_are_given_up_and_the_old_one_runs_on() {
    let Some(mut scene) = scene("") else {
        return;
    };
    let Scene {
        fleet,
        agent,
        first,
        ..
    } = &mut scene;
    let whole = models::smallest(5000);
    let truncated = Model::of(whole.bytes[..whole.bytes.len() - 40].to_vec());
    let other_bytes = Model {
        digest: [9; 32],
        ..whole.clone()
    };
    let cases: [(&str, Model, &str, FailureCode); 6] = [
        ("wrong digest", other_bytes, "generic", FailureCode::Digest),
        ("truncated plan", truncated, "generic", FailureCode::Plan),
        (
            "failing self-test",
            models::fails_its_self_test(),
            "generic",
            FailureCode::SelfTest,
        ),
        (
            "plan for another board under a false name",
            models::for_another_board(),
            "generic",
            FailureCode::Plan,
        ),
        (
            "plan for another board",
            models::for_another_board(),
            "cortex-m4",
            FailureCode::Target,
        ),
        (
            "plan for another sensor",
            models::for_another_sensor(),
            "generic",
            FailureCode::Trial,
        ),
    ];
    for (version, (what, model, target, code)) in (2..).zip(cases) {
        fleet.want_as(&model, version, |artifact| {
            artifact.target = sanderling_wire::Name::new(target).expect("a name");
        });
        fleet.wait(what, |heard| {
            rests(heard, Phase::FellBack, first)
                && heard
                    .state()
                    .and_then(|state| state.failure.as_ref())
                    .is_some_and(|failure| failure.code == code)
        });
        let text = fleet.heard(|heard| {
            heard
                .state()
                .and_then(|s| s.failure.clone())
                .expect("a failure")
                .text
        });
        assert!(text.len() > 20, "{what}: {text}");
        println!("{what}: {text}");
    }
    let too_large = models::smallest(100);
    fleet.want_as(&too_large, 9, |artifact| artifact.arena = 1 << 40);
    fleet.wait("refusal of an arena", |heard| {
        heard
            .state()
            .and_then(|state| state.failure.as_ref())
            .is_some_and(|f| f.code == FailureCode::TooLarge)
    });
    // A good one is still taken after all that.
    fleet.want(&whole, 10);
    fleet.wait("a good model", |heard| rests(heard, Phase::Active, &whole));
    let status = agent.wait_for("frames", |status| status["frames_out"].as_u64() > Some(400));
    assert_eq!(status["frames_dropped"], 0);
    assert!(agent.terminate().success());
}

#[test]
fn a_failed_model_is_tried_again_only_when_told() {
    let Some(mut scene) = scene("") else {
        return;
    };
    let Scene {
        fleet,
        agent,
        start,
        first,
        ..
    } = &mut scene;
    let bad = models::fails_its_self_test();
    fleet.want(&bad, 2);
    fleet.wait("a fallback", |heard| rests(heard, Phase::FellBack, first));
    let sent = fleet.heard(|heard| heard.chunks_sent);
    agent.kill();
    *agent = start.spawn();
    agent.wait_for("the old model after a restart", |status| {
        status["phase"] == "fell_back" && !status["running"].is_null()
    });
    fleet.want(&bad, 2);
    let again = |heard: &Heard| heard.chunks_sent > sent;
    assert!(
        !fleet.wait_at_most(Duration::from_secs(1), again),
        "it was pulled again by itself"
    );
    fleet.tell("r1", Order::Retry);
    fleet.wait("another try", |heard| {
        // Its bytes are still in the slot, so the retry needs no chunk; it fails as before.
        let starts = heard
            .states
            .iter()
            .filter(|state| state.phase == Phase::SelfTest);
        starts.count() >= 2 && rests(heard, Phase::FellBack, first)
    });
    assert!(agent.terminate().success());
}

#[test]
fn a_chunk_damaged_on_the_way_is_found_and_pulled_again() {
    let Some(mut scene) = scene("") else {
        return;
    };
    let Scene { fleet, agent, .. } = &mut scene;
    let second = models::smallest(20_000);
    fleet.behave(Manner {
        damages: true,
        ..Manner::default()
    });
    fleet.want(&second, 2);
    fleet.wait("the second model", |heard| {
        rests(heard, Phase::Active, &second)
    });
    assert!(
        agent.log().contains("pulling it once more"),
        "{}",
        agent.log()
    );
    assert!(agent.terminate().success());
}

#[test]
fn a_fleet_that_falls_silent_is_asked_again_until_it_answers() {
    let Some(mut scene) = scene("") else {
        return;
    };
    let Scene {
        fleet,
        agent,
        broker,
        first,
        ..
    } = &mut scene;
    fleet.behave(Manner {
        serves: false,
        ..Manner::default()
    });
    let second = models::smallest(50_000);
    fleet.want(&second, 2);
    let needs = fleet.heard(|heard| heard.needs);
    fleet.wait("repeated requests", |heard| heard.needs > needs + 2);
    assert!(fleet.heard(|heard| rests(heard, Phase::Downloading, first)));
    // The broker goes too, in the middle of the download.
    broker.kill();
    agent.wait_for("end of the connection", |status| {
        status["connected"] == false
    });
    let before = agent.status().expect("it runs")["frames_out"].as_u64();
    agent.wait_for("frames without a broker", |status| {
        status["frames_out"].as_u64() > before
    });
    fleet.behave(Manner::default());
    broker.restart();
    // The new broker has forgotten the wish; the fleet says it again.
    fleet.want(&second, 2);
    fleet.wait("the second model", |heard| {
        rests(heard, Phase::Active, &second)
    });
    assert_no_frame_missed(fleet, agent);
    assert!(agent.terminate().success());
}

#[test]
fn an_update_finishes_however_often_the_agent_is_killed_on_the_way() {
    let Some(mut scene) = scene("--credit 2 --max-starts 100") else {
        return;
    };
    let Scene {
        fleet,
        agent,
        start,
        ..
    } = &mut scene;
    let second = models::smallest(150_000);
    agent.kill();
    fleet.want(&second, 2);
    let mut kills = 0;
    let done = |heard: &Heard| rests(heard, Phase::Active, &second);
    for round in 0..60u64 {
        *agent = start.spawn();
        // Later and later, so that the sweep reaches from the first byte to the trial.
        let over = fleet.wait_at_most(Duration::from_millis(8 + round * 12), done);
        agent.kill();
        kills += 1;
        if over {
            break;
        }
    }
    *agent = start.spawn();
    agent.wait_for("the second model", |status| {
        status["phase"] == "active" && status["running"]["version"] == 2
    });
    let size = second.bytes.len();
    let pulled = fleet.heard(|heard| heard.chunk_bytes);
    println!("{kills} kills; {pulled} bytes sent for a model of {size}");
    // Each kill may cost the chunks that were on their way, and no more.
    assert!(
        pulled < 2 * size + kills * 3 * 1024 + 10_000,
        "{pulled} bytes for {size}"
    );
    assert!(agent.terminate().success());
}

#[test]
fn a_robot_without_its_fleet_starts_with_the_model_it_had() {
    let Some(mut scene) = scene("") else {
        return;
    };
    let Scene {
        agent,
        start,
        broker,
        first,
        ..
    } = &mut scene;
    agent.kill();
    broker.kill();
    *agent = start.spawn();
    let status = agent.wait_for("frames without a fleet", |status| {
        status["frames_out"].as_u64() > Some(20)
    });
    assert_eq!(
        status["running"]["digest"],
        Digest(first.digest).to_string()
    );
    assert_eq!(status["phase"], "active");
    assert!(agent.terminate().success());
}
