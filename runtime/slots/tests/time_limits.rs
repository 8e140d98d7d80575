//! Every state of an update ends, with a clock that the tests turn.

use proptest::prelude::*;
use sanderling_slots::{
    Event, Fault, Image, Label, Limits, Note, Phase, Policy, Seen, State, Stretch, Watch, step,
};

const LIMITS: Limits = Limits {
    progress: 100,
    download: 1000,
    verify: 20,
    self_test: 30,
    staged: 40,
    trial: 500,
};
const MODEL: [u8; 32] = [2; 32];
const REACHABLE: Seen = Seen {
    reachable: true,
    progress: 0,
    serving: false,
    held: false,
};

/// A robot with a first model that pulls a second one, brought to `phase`.
fn updating(phase: Phase) -> State {
    let first = [1; 32];
    let want = |digest: [u8; 32], serial| Event::Wanted {
        image: Image {
            digest,
            size: 100,
            version: serial,
            name: Label::cut("map"),
        },
        serial,
    };
    let steps = [
        Event::Downloaded(MODEL),
        Event::Verified(MODEL),
        Event::SelfTested(MODEL),
    ];
    let further = match phase {
        Phase::Downloading => 0,
        Phase::Verifying => 1,
        Phase::SelfTesting => 2,
        Phase::Trial | Phase::Beside => 3,
    };
    [
        want(first, 1),
        Event::Downloaded(first),
        Event::Verified(first),
        Event::SelfTested(first),
        Event::TrialPassed(first),
        want(MODEL, 2),
    ]
    .into_iter()
    .chain(steps.into_iter().take(further))
    .fold(State::default(), |state, event| {
        step(&state, event, Policy::default()).state
    })
}

/// When the watch gives its event, and which, where nothing ever happens.
fn ends(phase: Phase, seen: Seen, until: u64) -> Option<(u64, Stretch, Event)> {
    let (state, mut watch) = (updating(phase), Watch::default());
    (0..until).find_map(|now| {
        let overdue = watch.overdue(&state, seen, now, &LIMITS)?;
        Some((now, overdue.stretch, overdue.event))
    })
}

#[test]
fn each_state_ends_at_its_limit_with_its_event() {
    let timed_out = Event::Failed(MODEL, Fault::TimedOut);
    let serving = Seen {
        serving: true,
        ..REACHABLE
    };
    let cases = [
        (
            Phase::Downloading,
            REACHABLE,
            (LIMITS.progress, Stretch::Downloading, Event::GaveUp(MODEL)),
        ),
        (
            Phase::Verifying,
            REACHABLE,
            (LIMITS.verify, Stretch::Verifying, timed_out),
        ),
        (
            Phase::SelfTesting,
            REACHABLE,
            (LIMITS.self_test, Stretch::SelfTesting, timed_out),
        ),
        (
            Phase::Trial,
            REACHABLE,
            (LIMITS.staged, Stretch::Staged, timed_out),
        ),
        (
            Phase::Trial,
            serving,
            (LIMITS.trial, Stretch::Trial, timed_out),
        ),
    ];
    for (phase, seen, expected) in cases {
        assert_eq!(ends(phase, seen, 2000), Some(expected), "{phase:?}");
        // The event does end the state: the model that worked runs, and nothing is on its way.
        let after = step(&updating(phase), expected.2, Policy::default());
        assert_eq!(after.state.update, None, "{phase:?}");
        assert_eq!(
            after.state.runs().map(|(_, image)| image.digest),
            Some([1; 32])
        );
        let noted = match phase {
            Phase::Downloading => Note::Nothing,
            _ => Note::FellBack(Fault::TimedOut),
        };
        assert_eq!(after.note, noted);
    }
}

#[test]
fn a_trickle_of_chunks_ends_at_the_limit_in_all() {
    let (state, mut watch) = (updating(Phase::Downloading), Watch::default());
    let ended = (0..5000).find(|&now| {
        let seen = Seen {
            progress: now / 50,
            ..REACHABLE
        };
        watch.overdue(&state, seen, now, &LIMITS).is_some()
    });
    assert_eq!(ended, Some(LIMITS.download));
}

#[test]
fn time_without_a_network_does_not_count_against_a_download() {
    let away = Seen {
        reachable: false,
        ..REACHABLE
    };
    // A month in which nothing can be pulled; then the limit begins where it stood.
    let month = 30 * 24 * 3600 * 1000;
    let (state, mut watch) = (updating(Phase::Downloading), Watch::default());
    assert_eq!(watch.overdue(&state, REACHABLE, 0, &LIMITS), None);
    assert_eq!(watch.overdue(&state, REACHABLE, 60, &LIMITS), None);
    assert_eq!(watch.overdue(&state, away, month, &LIMITS), None);
    assert_eq!(watch.overdue(&state, REACHABLE, month + 39, &LIMITS), None);
    assert!(
        watch
            .overdue(&state, REACHABLE, month + 40, &LIMITS)
            .is_some()
    );
}

#[test]
fn time_in_which_an_update_is_held_does_not_count() {
    for phase in [Phase::Downloading, Phase::SelfTesting] {
        let held = Seen {
            held: true,
            ..REACHABLE
        };
        assert_eq!(ends(phase, held, 5000), None, "{phase:?}");
    }
}

#[test]
fn what_could_not_be_taken_comes_again_a_limit_later() {
    let (state, mut watch) = (updating(Phase::Verifying), Watch::default());
    let told = (0..100).filter(|&now| watch.overdue(&state, REACHABLE, now, &LIMITS).is_some());
    assert_eq!(told.collect::<Vec<_>>(), [20, 40, 60, 80]);
}

#[test]
fn a_robot_at_rest_is_never_overdue() {
    let mut watch = Watch::default();
    let state = State::default();
    for now in [0, 1 << 40, u64::MAX] {
        assert_eq!(watch.overdue(&state, REACHABLE, now, &LIMITS), None);
    }
}

proptest! {
    /// Whatever a driver forgets: an update that is looked at in whatever steps is over after the sum of all limits,
    /// unless its own events come.
    #[test]
    fn no_update_outlives_its_limits(
        steps in prop::collection::vec(1u64..60, 200),
        reports in prop::collection::vec(prop_oneof![
            Just(None),
            Just(Some(Event::Downloaded(MODEL))),
            Just(Some(Event::Verified(MODEL))),
            Just(Some(Event::SelfTested(MODEL))),
            Just(Some(Event::WrongDigest(MODEL))),
        ], 200),
        serving: bool,
    ) {
        let (mut state, mut watch, mut now) = (updating(Phase::Downloading), Watch::default(), 0);
        let seen = Seen { serving, ..REACHABLE };
        // Two downloads and two checks of the digest, for a wrong one is pulled again.
        let longest = 2 * (LIMITS.progress + LIMITS.verify) + LIMITS.self_test + LIMITS.staged + LIMITS.trial;
        for (passed, report) in steps.into_iter().zip(reports) {
            if let Some(event) = report {
                state = step(&state, event, Policy::default()).state;
            }
            now += passed;
            if let Some(overdue) = watch.overdue(&state, seen, now, &LIMITS) {
                state = step(&state, overdue.event, Policy::default()).state;
            }
            // Each state begins when it is first looked at and ends when it is looked at after its limit.
            prop_assert!(state.update.is_none() || now <= longest + 12 * 60, "{:?} at {now}", state.update);
        }
    }
}
