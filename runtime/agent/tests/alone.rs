//! A robot whose clock the test turns: months without a network, conditions that come and go, models that are stuck,
//! and states of an update that would last for ever.

mod support;

use std::time::Duration;

use sanderling_agent::config::Config;
use sanderling_wire::{FailureCode, Phase};
use support::life::{Life, settings};
use support::models::{self, Model};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);

/// A robot that runs the first model; the folder lives as long as the test.
fn robot(config: &Config, others: &[Model]) -> (TempDir, Life, Model) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = models::largest();
    let known = [std::slice::from_ref(&first), others].concat();
    let mut life = Life::begin(folder.path(), config, &known);
    life.tell("docked=true battery=1 mission=false");
    life.want(&first, 1, 1);
    life.until("first model", |life| life.rests_with(&first));
    (folder, life, first)
}

/// The fleet's view: in this phase, and running this model.
fn is(life: &Life, phase: Phase, model: &Model) -> bool {
    let said = life.states.last().is_some_and(|state| {
        let running = state.running.as_ref();
        state.phase == phase && running.is_some_and(|running| running.digest.0 == model.digest)
    });
    said && life.serving() == Some(model.digest)
}

#[test]
fn a_month_without_a_network_in_the_middle_of_an_update() {
    let second = models::smallest(50_000);
    let config = settings(|settings| settings.credit = Some(20));
    let (_folder, mut life, first) = robot(&config, std::slice::from_ref(&second));
    life.want(&second, 2, 2);
    life.until("some of the second model", |life| {
        life.states
            .last()
            .and_then(|state| state.progress)
            .is_some_and(|progress| progress.held > 0)
            || life.needs > 4
    });
    life.disconnect();
    let needs = life.needs;
    for hour in 0..30 * 24 {
        let answered = life.shared.frames_out.get();
        life.turn(HOUR);
        life.until("answer", |life| life.shared.frames_out.get() > answered);
        assert_eq!(life.serving(), Some(first.digest), "hour {hour}");
    }
    assert_eq!(
        life.needs, needs,
        "nobody is asked while nobody can be reached"
    );
    let failure = life.failure().cloned();
    assert_eq!(failure, None, "a month without a network is no fault");
    life.connect();
    life.until("second model", |life| life.rests_with(&second));
}

#[test]
fn a_month_in_which_the_agent_starts_again_and_again_without_a_network() {
    let config = settings(|_| {});
    let (folder, life, first) = robot(&config, &[]);
    drop(life);
    for _ in 0..30 {
        let mut life = Life::begin(folder.path(), &config, &[]);
        life.disconnect();
        life.until("the model it had", |life| {
            life.serving() == Some(first.digest) && life.shared.frames_out.get() > 0
        });
        life.turn(24 * HOUR);
        assert_eq!(life.serving(), Some(first.digest));
    }
}

#[test]
fn an_update_waits_for_its_conditions_and_says_which() {
    let second = models::smallest(20_000);
    let config = settings(|settings| {
        settings.update_when = Some(vec![
            "docked".into(),
            "battery>0.5".into(),
            "no-mission".into(),
        ]);
    });
    let (_folder, mut life, first) = robot(&config, std::slice::from_ref(&second));
    life.tell("mission=true docked=false");
    life.want(&second, 2, 2);
    life.until("the reason", |life| {
        life.failure()
            .is_some_and(|failure| failure.code == FailureCode::Held)
    });
    let why = life.failure().expect("a reason").text.clone();
    assert!(why.contains("docked"), "{why}");
    let needs = life.needs;
    for _ in 0..100 {
        life.turn(HOUR);
    }
    assert_eq!((life.needs, life.serving()), (needs, Some(first.digest)));
    life.tell("docked=true");
    life.until("the next reason", |life| {
        life.shared
            .standing()
            .held
            .is_some_and(|why| why.contains("no-mission"))
    });
    life.tell("mission=false");
    life.until("second model", |life| life.rests_with(&second));
    assert_eq!(life.failure(), None);
}

#[test]
fn conditions_that_end_stop_a_download_and_not_a_trial() {
    let second = models::smallest(40_000);
    let config = settings(|settings| {
        settings.update_when = Some(vec!["docked".into()]);
        settings.credit = Some(4);
        settings.trial_inferences = Some(1_000_000);
        settings.trial_seconds = Some(3600.0);
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = models::largest();
    let known = [first.clone(), second.clone()];
    let mut life = Life::begin(folder.path(), &config, &known);
    life.tell("docked=true");
    life.want(&first, 1, 1);
    life.until("first trial", |life| is(life, Phase::Trial, &first));
    life.turn(HOUR);
    life.until("first model", |life| life.rests_with(&first));

    life.want(&second, 2, 2);
    let before = life.needs;
    life.until("a part", |life| life.needs > before + 3);
    life.tell("docked=false");
    life.until("the reason", |life| life.shared.standing().held.is_some());
    life.until("quiet", |life| life.queue.waiting() <= 1);
    let needs = life.needs;
    for _ in 0..50 {
        life.turn(HOUR);
    }
    assert_eq!(life.needs, needs);
    assert_eq!(life.serving(), Some(first.digest));
    life.tell("docked=true");
    life.until("second trial", |life| is(life, Phase::Trial, &second));
    // Out of the dock again: the trial goes on.
    life.tell("docked=false");
    for _ in 0..20 {
        life.turn(Duration::from_secs(60));
    }
    assert_eq!(life.serving(), Some(second.digest));
    life.turn(HOUR);
    life.until("second model", |life| life.rests_with(&second));
}

#[test]
fn a_fleet_that_sends_nothing_puts_the_download_off_and_is_asked_again() {
    let second = models::smallest(20_000);
    let config = settings(|_| {});
    let (_folder, mut life, first) = robot(&config, &[]);
    // Nobody has its bytes.
    life.want(&second, 2, 2);
    life.until("download", |life| is(life, Phase::Downloading, &first));
    for _ in 0..12 {
        life.turn(Duration::from_secs(60));
    }
    let mut failures = life.states.iter().filter_map(|state| state.failure.clone());
    let failure = failures.next().expect("it is told");
    assert_eq!(failure.code, FailureCode::Transfer);
    assert!(
        failure.text.contains("no chunk came for 600 s"),
        "{failure:?}"
    );
    assert_eq!(life.serving(), Some(first.digest));
    let needs = life.needs;
    for _ in 0..30 {
        life.turn(Duration::from_secs(60));
    }
    assert!(life.needs > needs, "it asks again later");
}

#[test]
fn a_model_that_is_stuck_in_an_inference_is_sent_back_and_another_thread_serves() {
    let second = models::smallest(1000);
    let config = settings(|settings| {
        settings.trial_inferences = Some(1_000_000_000);
        settings.trial_seconds = Some(100_000.0);
        settings.watchdog_seconds = Some(10.0);
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = models::largest();
    let known = [first.clone(), second.clone()];
    let mut life = Life::begin(folder.path(), &config, &known);
    life.want(&first, 1, 1);
    life.until("first trial", |life| is(life, Phase::Trial, &first));
    life.turn(Duration::from_secs(100_000));
    life.until("first model", |life| life.rests_with(&first));
    life.want(&second, 2, 2);
    life.until("second trial", |life| is(life, Phase::Trial, &second));
    life.feeding = false;
    life.until("quiet", |life| {
        life.queue.waiting() == 0 && life.shared.busy_for(life.now).is_zero()
    });
    life.shared.inference_begins(life.now);
    life.turn(Duration::from_secs(9));
    assert_eq!(life.serving(), Some(second.digest));
    life.turn(Duration::from_secs(1));
    life.until("the first model again", |life| {
        life.serving() == Some(first.digest)
    });
    life.feeding = true;
    let answered = life.shared.frames_out.get();
    life.until("answers", |life| life.shared.frames_out.get() > answered);
    life.until("the reason", |life| life.failure().is_some());
    let failure = life.failure().expect("it is told");
    assert!(
        failure.text.contains("gave no result for 10000 ms"),
        "{failure:?}"
    );
    assert_eq!(failure.code, FailureCode::Trial);
}

#[test]
fn a_candidate_beside_the_active_model_is_compared_and_never_listened_to() {
    let other = models::smallest(10_000);
    let config = settings(|_| {});
    let (folder, mut life, first) = robot(&config, std::slice::from_ref(&other));
    life.want_beside(&other, 2, 2);
    life.until("a comparison", |life| {
        life.shared
            .shadow
            .summary()
            .is_some_and(|seen| seen.compared >= 20)
    });
    let seen = life.shared.shadow.summary().expect("it runs");
    assert_eq!((seen.candidate, seen.failures), (other.digest, 0));
    // The same frame comes again and again; one answers its largest number, the other its smallest.
    assert_eq!(seen.disagreed, seen.compared);
    assert_eq!(life.serving(), Some(first.digest));
    assert!(is(&life, Phase::Active, &first));
    let evidence = sanderling_agent::status::evidence_message(&life.shared).expect("it serves");
    let shadow = evidence.shadow.expect("a candidate runs");
    assert!(shadow.compared >= 20 && evidence.inferences >= shadow.compared);
    // After a restart it is there again, without a chunk.
    drop(life);
    let mut life = Life::begin(folder.path(), &config, &[]);
    life.until("a comparison after the restart", |life| {
        life.shared
            .shadow
            .summary()
            .is_some_and(|seen| seen.compared > 0)
    });
    assert_eq!(life.serving(), Some(first.digest));
    // Wanted to run, it begins its trial without a chunk, and nothing runs beside it any more.
    life.want(&other, 2, 3);
    life.until("the candidate", |life| life.rests_with(&other));
    assert_eq!((life.needs, life.shared.shadow.summary()), (0, None));
}

#[test]
fn a_candidate_that_takes_other_frames_fails_beside_and_the_robot_does_not_notice() {
    let other = models::for_another_sensor();
    let config = settings(|_| {});
    let (_folder, mut life, first) = robot(&config, std::slice::from_ref(&other));
    life.want_beside(&other, 2, 2);
    life.until("failures of the candidate", |life| {
        life.shared
            .shadow
            .summary()
            .is_some_and(|seen| seen.failures >= 5)
    });
    assert!(is(&life, Phase::Active, &first));
    assert_eq!(
        life.shared.failed_frames.get() + life.shared.bad_frames.get(),
        0
    );
    // Nobody wants it any more.
    life.want(&first, 1, 3);
    life.until("the end of it", |life| {
        life.shared.shadow.summary().is_none()
    });
}
