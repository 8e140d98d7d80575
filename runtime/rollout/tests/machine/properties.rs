//! What holds for a rollout whatever comes in whatever order: random events, lost, repeated, late, and cut anywhere.

use crate::fleet::{Fleet, candidate, key, policy};
use proptest::prelude::*;
use sanderling_rollout::{
    Act, Action, Event, Evidence, Fault, Head, OnTrip, Phase, Policy, Report, State, StrategyName,
    Version, arms, step,
};

/// Anything that can come, with lost, repeated, and late messages in it.
fn event() -> impl Strategy<Value = Event> {
    let who = || prop_oneof![Just("anna".to_owned()), Just("bert".to_owned())];
    let digest = || prop_oneof![Just(crate::fleet::base()), Just(candidate()), Just([9; 32])];
    let fault = prop_oneof![Just(Fault::Install), Just(Fault::Trial)];
    let phase = prop_oneof![
        Just(Phase::Resting),
        Just(Phase::Updating),
        Just(Phase::Trial)
    ];
    let report = (
        (0..30u64, 1..4u64),
        prop::option::of(prop::option::of(digest())),
        prop::option::of(phase),
        prop::option::weighted(0.1, (digest(), fault)),
        prop::option::of((digest(), 0..2000u64, 0..3000u32)),
    )
        .prop_map(|((n, order), running, phase, failure, seen)| {
            let evidence = seen.map(|(digest, inferences, p99_us)| {
                (
                    digest,
                    Evidence {
                        inferences,
                        p99_us,
                        ..Evidence::default()
                    },
                )
            });
            Event::Report(Box::new(Report {
                running,
                phase,
                failure,
                evidence,
                ..Report::of(key(n), order)
            }))
        });
    prop_oneof![
        30 => report,
        10 => Just(Event::Tick),
        2 => (0..30u64, 1..4u64).prop_map(|(n, order)| Event::Gone { device: key(n), order }),
        2 => (0..30u64, 1..4u64).prop_map(|(n, order)| Event::Here { device: key(n), order }),
        2 => who().prop_map(|by| Event::Start { by }),
        1 => who().prop_map(|by| Event::Pause { by, why: "looks odd".into() }),
        2 => who().prop_map(|by| Event::Resume { by }),
        1 => (who(), any::<bool>()).prop_map(|(by, revert)| Event::Abort { by, revert }),
    ]
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (
        prop::sample::select(vec![
            "all-at-once",
            "waves",
            "canary",
            "shadow",
            "ab",
            "bandit",
        ]),
        any::<bool>(),
    )
        .prop_map(|(name, revert)| {
            let on_trip = if revert {
                OnTrip::Revert
            } else {
                OnTrip::Pause
            };
            Policy {
                on_trip,
                ..policy(name)
            }
        })
}

/// What was done outside: arms that robots were told, and the log.
#[derive(Clone, Debug, Default, PartialEq)]
struct World {
    published: Vec<(u32, Vec<sanderling_rollout::Arm>)>,
    audit: Vec<sanderling_rollout::Audit>,
}

impl World {
    /// What a coordinator does after the commit: publishes what the stored state means, unless that was done.
    fn publish(&mut self, state: &State) {
        let revision = state.head.revision;
        if self
            .published
            .last()
            .is_none_or(|(last, _)| *last != revision)
        {
            self.published.push((revision, arms(state)));
        }
    }
}

fn draft(policy: Policy) -> State {
    Fleet::new(policy, 30).state
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn repeated_and_late_events_change_nothing_that_counts(
        policy in any_policy(), events in prop::collection::vec((event(), any::<bool>(), 0..90_000u64), 1..150),
    ) {
        let (mut once, mut often) = (draft(policy.clone()), draft(policy));
        let mut now = 1_000_000;
        let mut earlier: Vec<Event> = Vec::new();
        for (event, again, passed) in events {
            now += passed;
            once = step(once, event.clone(), now).state;
            often = step(often, event.clone(), now).state;
            if again {
                // The same once more, and a report of an older connection.
                let repeated = step(often, event.clone(), now);
                prop_assert!(repeated.actions.is_empty() || event == Event::Tick || matches!(event, Event::Resume { .. }),
                    "{event:?} {:?}", repeated.actions);
                often = if matches!(event, Event::Tick | Event::Resume { .. }) { once.clone() } else { repeated.state };
                let stale: Vec<Event> = earlier.iter().filter(|old| is_late(old, &often)).cloned().collect();
                for old in stale {
                    often = step(often, old, now).state;
                }
            }
            earlier.push(event);
            prop_assert_eq!(&once, &often);
        }
    }

    #[test]
    fn a_cut_after_any_write_repeats_and_skips_nothing(
        policy in any_policy(), events in prop::collection::vec((event(), 0..90_000u64), 1..120), cuts in any::<u64>(),
    ) {
        let mut whole = World::default();
        let mut state = draft(policy.clone());
        let mut now = 1_000_000;
        for (event, passed) in &events {
            now += passed;
            let next = step(state, event.clone(), now);
            whole.audit.extend(next.audit);
            state = next.state;
            whole.publish(&state);
        }
        // The same, killed again and again: before the commit, after it, and after publishing without knowing so.
        let mut cut = World::default();
        let mut disk = serde_json::to_string(&draft(policy)).unwrap();
        now = 1_000_000;
        for (at, (event, passed)) in events.iter().enumerate() {
            now += passed;
            let kind = (cuts >> (at % 31 * 2)) & 3;
            let load = |disk: &str| serde_json::from_str::<State>(disk).unwrap();
            if kind == 1 {
                // Killed before the commit: what was computed is lost, and the event is delivered again.
                let _ = step(load(&disk), event.clone(), now);
            }
            let next = step(load(&disk), event.clone(), now);
            disk = serde_json::to_string(&next.state).unwrap();
            cut.audit.extend(next.audit);
            if kind == 2 {
                // Killed after the commit and before publishing: the restart finds the revision unpublished.
                cut.publish(&load(&disk));
            }
            if kind == 3 {
                // Killed after publishing: the restart publishes the same once more.
                cut.publish(&next.state);
            }
            cut.publish(&load(&disk));
        }
        prop_assert_eq!(&whole, &cut);
        let revisions: Vec<u32> = cut.published.iter().map(|(revision, _)| *revision).collect();
        prop_assert!(revisions.windows(2).all(|pair| pair[1] == pair[0] + 1), "{revisions:?}");
        let loaded: State = serde_json::from_str(&disk).unwrap();
        prop_assert_eq!(loaded, state);
    }

    #[test]
    fn arms_are_sorted_complete_and_few(
        policy in any_policy(), events in prop::collection::vec((event(), 0..90_000u64), 1..120),
    ) {
        let mut state = draft(policy);
        let mut now = 1_000_000;
        let mut reach: Option<u32> = None;
        for (event, passed) in events {
            now += passed;
            let before = state.head.clone();
            let next = step(state, event, now);
            state = next.state;
            let arms = arms(&state);
            prop_assert!(!arms.is_empty() && arms.len() <= sanderling_rollout::MAX_ARMS);
            prop_assert_eq!(arms.last().map(|a| a.upto), Some(u32::MAX));
            prop_assert!(arms.windows(2).all(|p| p[0].upto < p[1].upto));
            one_stage_at_a_time(&before, &state.head)?;
            // The new version never spreads but by a stage that begins.
            let runs = |arm: &&sanderling_rollout::Arm| arm.run == Some(Version::Candidate);
            let new = arms.iter().filter(runs).map(|arm| arm.upto).max();
            if state.head.policy.strategy != StrategyName::Bandit && new > reach {
                let began = next.audit.iter().any(|a| matches!(a.act, Act::Stage | Act::Drawn | Act::Finished));
                prop_assert!(began, "{reach:?} to {new:?} without a stage");
            }
            reach = reach.max(new);
            if next.actions.iter().any(|a| matches!(a, Action::Publish { .. })) {
                prop_assert_eq!(state.head.revision, before.revision + 1);
            }
        }
    }
}

fn one_stage_at_a_time(before: &Head, after: &Head) -> Result<(), TestCaseError> {
    // A stage that adds nobody is passed over: a canary as large as the first wave, and waves of a few per cent whose
    // robot an earlier one took. What begins reaches no further than its own share, or than one robot.
    prop_assert!(after.stage >= before.stage);
    Ok(())
}

/// True for a report that an older connection left behind.
fn is_late(event: &Event, state: &State) -> bool {
    let older = |device: &sanderling_rollout::Key, order: u64| {
        state.devices.get(device).is_some_and(|d| order < d.order)
    };
    match event {
        Event::Report(report) => older(&report.device, report.order),
        Event::Here { device, order } | Event::Gone { device, order } => older(device, *order),
        _ => false,
    }
}
