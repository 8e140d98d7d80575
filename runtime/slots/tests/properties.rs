//! The machine under any sequence of events: what must hold in every state that can be reached.

use proptest::prelude::*;
use sanderling_slots::{
    Action, Event, Fault, Image, Label, Note, Phase, Policy, RECORD_BYTES, RecordError, State,
    decode, encode, step,
};

fn image(which: u8, version: u64) -> Image {
    Image {
        digest: [which; 32],
        size: 100 + u32::from(which),
        version,
        name: Label::cut("terrain"),
    }
}

fn digest() -> impl Strategy<Value = [u8; 32]> {
    (1u8..5).prop_map(|which| [which; 32])
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Unloadable),
        Just(Fault::SelfTest),
        Just(Fault::Trial),
        Just(Fault::TimedOut)
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Started),
        4 => (1u8..5, 0u64..3, 0u64..6)
            .prop_map(|(which, version, serial)| Event::Wanted { image: image(which, version), serial }),
        1 => Just(Event::Unwanted),
        3 => (1u8..5, 0u64..3, 0u64..6)
            .prop_map(|(which, version, serial)| Event::Beside { image: image(which, version), serial }),
        1 => Just(Event::Alone),
        1 => digest().prop_map(Event::Settled),
        6 => digest().prop_map(Event::Downloaded),
        1 => digest().prop_map(Event::GaveUp),
        6 => digest().prop_map(Event::Verified),
        1 => digest().prop_map(Event::WrongDigest),
        6 => digest().prop_map(Event::SelfTested),
        6 => digest().prop_map(Event::TrialPassed),
        2 => (digest(), fault()).prop_map(|(digest, fault)| Event::Failed(digest, fault)),
        1 => Just(Event::Retry),
    ]
}

/// Event lists that drive an update forwards more often than chance would.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let path = (1u8..5, 0u64..6).prop_map(|(which, serial)| {
        let digest = [which; 32];
        vec![
            Event::Wanted {
                image: image(which, 1),
                serial,
            },
            Event::Downloaded(digest),
            Event::Verified(digest),
            Event::SelfTested(digest),
            Event::TrialPassed(digest),
        ]
    });
    let one = event().prop_map(|event| vec![event]);
    prop::collection::vec(prop_oneof![2 => path, 3 => one], 0..30).prop_map(|lists| lists.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_model_that_worked_is_never_given_up_and_never_written(events in events()) {
        let mut state = State::default();
        for event in events {
            let next = step(&state, event, Policy::default());
            if state.active.is_some() {
                prop_assert!(next.state.active.is_some(), "{event:?} lost the active model");
                prop_assert!(next.state.runs().is_some());
            }
            if let (Some(active), Some(update)) = (next.state.active, next.state.update) {
                prop_assert_ne!(active.slot, update.slot);
            }
            for action in next.actions.iter() {
                if let (Action::Fetch(slot), Some(active)) = (action, next.state.active) {
                    prop_assert_ne!(slot, active.slot, "{:?} would be overwritten", active);
                }
                if let Action::Shadow(slot) = action {
                    prop_assert_ne!(next.state.runs().map(|(slot, _)| slot), Some(slot));
                }
                if let Action::Run(slot) = action {
                    prop_assert_eq!(next.state.runs().map(|(slot, _)| slot), Some(slot));
                }
            }
            if next.state.active != state.active && next.note != Note::Activated {
                // Only the version of the same digest may move outside a passed trial.
                prop_assert_eq!(
                    next.state.active.map(|a| (a.slot, a.image.digest)),
                    state.active.map(|a| (a.slot, a.image.digest))
                );
            }
            state = next.state;
        }
    }

    #[test]
    fn what_runs_changes_only_with_an_action_that_says_so(events in events()) {
        let mut state = State::default();
        for event in events {
            let next = step(&state, event, Policy::default());
            let before = state.runs().map(|(slot, image)| (slot, image.digest));
            let after = next.state.runs().map(|(slot, image)| (slot, image.digest));
            if before != after {
                let told = next.actions.iter().any(|action| match action {
                    Action::Run(slot) => after.map(|(slot, _)| slot) == Some(slot),
                    Action::Stop => after.is_none(),
                    _ => false,
                });
                prop_assert!(told, "{event:?} changed {before:?} to {after:?} silently");
            }
            state = next.state;
        }
    }

    #[test]
    fn a_failed_model_is_not_tried_again_by_itself(
        which in 1u8..5, version in 0u64..3, fault in fault(), others in prop::collection::vec(1u8..5, 0..3),
    ) {
        let bad = image(which, version);
        let mut state = State::default();
        for event in [Event::Wanted { image: bad, serial: 1 }, Event::Failed(bad.digest, fault)] {
            state = step(&state, event, Policy::default()).state;
        }
        // Up to three other failures do not push it out of memory.
        for other in others {
            if other != which {
                let other = image(other, 0);
                for event in [Event::Wanted { image: other, serial: 1 }, Event::Failed(other.digest, fault)] {
                    state = step(&state, event, Policy::default()).state;
                }
            }
        }
        let refused = step(&state, Event::Wanted { image: bad, serial: 2 }, Policy::default());
        prop_assert_eq!(refused.note, Note::Refused(fault));
        prop_assert_eq!(refused.state.update, None);
        let newer = Image { version: version + 1, ..bad };
        let begun = step(&state, Event::Wanted { image: newer, serial: 2 }, Policy::default());
        prop_assert_eq!(begun.note, Note::Began);
        let lifted = step(&state, Event::Retry, Policy::default()).state;
        prop_assert_eq!(step(&lifted, Event::Wanted { image: bad, serial: 2 }, Policy::default()).note, Note::Began);
    }

    #[test]
    fn every_reachable_state_survives_its_record(events in events(), sequence: u32) {
        let mut state = State::default();
        for event in events {
            state = step(&state, event, Policy::default()).state;
            prop_assert_eq!(decode(&encode(&state, sequence)), Ok((state, sequence)));
        }
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in prop::collection::vec(any::<u8>(), RECORD_BYTES)) {
        let bytes: [u8; RECORD_BYTES] = bytes.try_into().expect("the strategy gives that many");
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn one_changed_byte_makes_a_record_torn(at in 0..RECORD_BYTES, change in 1u8..) {
        let mut bytes = encode(&State::default(), 3);
        bytes[at] ^= change;
        prop_assert_eq!(decode(&bytes), Err(RecordError::Torn));
    }
}

/// Walks one update to the given phase.
fn updating(to: Phase) -> State {
    let path = [
        (
            Phase::Downloading,
            Event::Wanted {
                image: image(2, 1),
                serial: 2,
            },
        ),
        (Phase::Verifying, Event::Downloaded([2; 32])),
        (Phase::SelfTesting, Event::Verified([2; 32])),
        (Phase::Trial, Event::SelfTested([2; 32])),
    ];
    let mut state = with_first_model();
    for (phase, event) in path {
        state = step(&state, event, Policy::default()).state;
        assert_eq!(state.update.map(|update| update.phase), Some(phase));
        if phase == to {
            break;
        }
    }
    state
}

fn with_first_model() -> State {
    let digest = [1; 32];
    [
        Event::Wanted {
            image: image(1, 1),
            serial: 1,
        },
        Event::Downloaded(digest),
        Event::Verified(digest),
        Event::SelfTested(digest),
        Event::TrialPassed(digest),
    ]
    .into_iter()
    .fold(State::default(), |state, event| {
        step(&state, event, Policy::default()).state
    })
}

#[test]
fn going_back_to_the_model_before_needs_no_download() {
    let state = step(
        &updating(Phase::Trial),
        Event::TrialPassed([2; 32]),
        Policy::default(),
    )
    .state;
    let back = step(
        &state,
        Event::Wanted {
            image: image(1, 1),
            serial: 3,
        },
        Policy::default(),
    );
    assert_eq!(
        back.state.update.map(|update| update.phase),
        Some(Phase::Verifying)
    );
}

#[test]
fn a_model_that_takes_the_process_down_is_given_up_after_the_allowed_starts() {
    for phase in [Phase::SelfTesting, Phase::Trial] {
        let mut state = updating(phase);
        let policy = Policy { max_starts: 3 };
        for _ in 0..3 {
            state = step(&state, Event::Started, policy).state;
            assert_eq!(state.update.map(|update| update.phase), Some(phase));
        }
        let last = step(&state, Event::Started, policy);
        assert_eq!(last.note, Note::FellBack(Fault::Crashed));
        assert_eq!(
            last.state.runs().map(|(_, image)| image.digest),
            Some([1; 32])
        );
    }
}

#[test]
fn a_start_during_the_download_costs_no_try() {
    let mut state = updating(Phase::Downloading);
    for _ in 0..1000 {
        state = step(&state, Event::Started, Policy::default()).state;
    }
    assert_eq!(state, updating(Phase::Downloading));
}

#[test]
fn a_wrong_digest_is_pulled_once_more_before_the_model_is_blamed() {
    let state = updating(Phase::Verifying);
    let again = step(&state, Event::WrongDigest([2; 32]), Policy::default());
    assert_eq!(again.note, Note::DownloadAgain);
    assert_eq!(again.state.update.map(|update| update.round), Some(1));
    let state = step(&again.state, Event::Downloaded([2; 32]), Policy::default()).state;
    let given_up = step(&state, Event::WrongDigest([2; 32]), Policy::default());
    assert_eq!(given_up.note, Note::FellBack(Fault::WrongDigest));
}

#[test]
fn a_change_of_mind_in_the_trial_goes_back_at_once() {
    let state = updating(Phase::Trial);
    let back = step(
        &state,
        Event::Wanted {
            image: image(1, 1),
            serial: 3,
        },
        Policy::default(),
    );
    assert_eq!(back.state.update, None);
    assert_eq!(
        back.state.runs().map(|(_, image)| image.digest),
        Some([1; 32])
    );
    let other = step(
        &state,
        Event::Wanted {
            image: image(3, 1),
            serial: 3,
        },
        Policy::default(),
    );
    let slot = back.state.active.map(|active| active.slot);
    assert_eq!(other.actions.iter().next(), slot.map(Action::Run));
}

#[test]
fn the_first_model_is_not_overwritten_while_it_serves_on_trial() {
    let state = [
        Event::Wanted {
            image: image(1, 1),
            serial: 1,
        },
        Event::Downloaded([1; 32]),
        Event::Verified([1; 32]),
        Event::SelfTested([1; 32]),
    ]
    .into_iter()
    .fold(State::default(), |state, event| {
        step(&state, event, Policy::default()).state
    });
    let deferred = step(
        &state,
        Event::Wanted {
            image: image(2, 1),
            serial: 2,
        },
        Policy::default(),
    );
    assert_eq!((deferred.note, deferred.state), (Note::Deferred, state));
}

#[test]
fn a_lost_active_slot_falls_back_to_the_model_before() {
    let state = step(
        &updating(Phase::Trial),
        Event::TrialPassed([2; 32]),
        Policy::default(),
    )
    .state;
    let recovered = step(&state, Event::ActiveLost([2; 32]), Policy::default());
    assert_eq!(recovered.note, Note::Recovered);
    assert_eq!(
        recovered.state.runs().map(|(_, image)| image.digest),
        Some([1; 32])
    );
    let nothing = step(
        &recovered.state,
        Event::ActiveLost([1; 32]),
        Policy::default(),
    );
    assert_eq!(
        (nothing.note, nothing.state.runs()),
        (Note::NothingLeft, None)
    );
}

fn want(which: u8, serial: u64) -> Event {
    Event::Wanted {
        image: image(which, 1),
        serial,
    }
}

fn beside(which: u8, serial: u64) -> Event {
    Event::Beside {
        image: image(which, 1),
        serial,
    }
}

/// A robot that runs model 1 with model 2 beside it.
fn shadowing() -> State {
    [
        beside(2, 2),
        Event::Downloaded([2; 32]),
        Event::Verified([2; 32]),
        Event::SelfTested([2; 32]),
    ]
    .into_iter()
    .fold(with_first_model(), |state, event| {
        step(&state, event, Policy::default()).state
    })
}

#[test]
fn a_model_beside_the_active_one_never_serves_until_it_is_wanted_to() {
    let state = shadowing();
    let update = state.update.expect("it stays");
    assert_eq!((update.phase, update.beside), (Phase::Beside, true));
    assert_eq!(state.runs().map(|(_, image)| image.digest), Some([1; 32]));
    // Wishes are said again and again, and change nothing.
    for event in [want(1, 2), beside(2, 2)] {
        assert_eq!(step(&state, event, Policy::default()).state, state);
    }
    // After a start it is loaded again, beside the active one.
    let actions: Vec<Action> = step(&state, Event::Started, Policy::default())
        .actions
        .iter()
        .collect();
    assert_eq!(
        actions,
        [
            Action::Run(update.slot.other()),
            Action::Shadow(update.slot)
        ]
    );
    let promoted = step(&state, want(2, 3), Policy::default());
    assert_eq!(promoted.note, Note::Promoted);
    assert_eq!(
        promoted.actions.iter().collect::<Vec<_>>(),
        [Action::Run(update.slot)]
    );
    assert_eq!(
        promoted.state.update.map(|update| update.phase),
        Some(Phase::Trial)
    );
    // And back beside, in the middle of its trial.
    let back = step(&promoted.state, beside(2, 4), Policy::default());
    assert_eq!(
        back.state.runs().map(|(_, image)| image.digest),
        Some([1; 32])
    );
}

#[test]
fn what_ran_beside_and_is_dropped_need_not_be_pulled_again() {
    for event in [Event::Alone, Event::Unwanted] {
        let alone = step(&shadowing(), event, Policy::default());
        assert_eq!(
            (alone.note, alone.state.update),
            (Note::Dropped, None),
            "{event:?}"
        );
        let again = step(&alone.state, want(2, 3), Policy::default()).state;
        assert_eq!(
            again.update.map(|update| update.phase),
            Some(Phase::Verifying)
        );
    }
}

#[test]
fn what_is_to_run_comes_before_what_is_to_run_beside() {
    let state = updating(Phase::Downloading);
    let deferred = step(&state, beside(3, 3), Policy::default());
    assert_eq!((deferred.note, deferred.state), (Note::Deferred, state));
    let other = step(&shadowing(), want(3, 3), Policy::default());
    assert_eq!(
        other.state.update.map(|u| (u.image.digest, u.beside)),
        Some(([3; 32], false))
    );
}

#[test]
fn a_model_beside_that_takes_the_process_down_is_given_up_unless_it_settled() {
    let policy = Policy { max_starts: 3 };
    let starts = |mut state: State, count| {
        for _ in 0..count {
            state = step(&state, Event::Started, policy).state;
        }
        state
    };
    assert_eq!(starts(shadowing(), 4).update, None);
    let settled = step(
        &starts(shadowing(), 3),
        Event::Settled([2; 32]),
        Policy::default(),
    )
    .state;
    assert!(starts(settled, 3).update.is_some());
}

#[test]
fn an_older_wish_is_not_listened_to() {
    let state = with_first_model();
    let newer = step(
        &state,
        Event::Wanted {
            image: image(1, 1),
            serial: 9,
        },
        Policy::default(),
    )
    .state;
    let stale = step(
        &newer,
        Event::Wanted {
            image: image(2, 2),
            serial: 8,
        },
        Policy::default(),
    );
    assert_eq!((stale.note, stale.state), (Note::Stale, newer));
}
