//! Each strategy, gate, and order, on fleets whose robots do what the test says.

use crate::fleet::{Fleet, candidate, key, policy};
use sanderling_rollout::{
    Act, Event, Evidence, Fault, Limit, OnTrip, Phase, Policy, Report, Shadow, Share, Status,
    Version, arms, summary,
};

#[test]
fn waves_reach_everybody_one_after_the_other() {
    let mut fleet = Fleet::new(policy("waves"), 200);
    fleet.start();
    let mut shares = Vec::new();
    for _ in 0..100 {
        fleet.robots_follow(|_| None);
        fleet.tick(60_000);
        shares.push(summary(&fleet.state, fleet.now).share);
    }
    assert_eq!(fleet.state.head.status, Status::Finished);
    assert!(
        shares.windows(2).all(|pair| pair[0] <= pair[1]),
        "{shares:?}"
    );
    shares.dedup();
    assert_eq!(shares.len(), 4, "{shares:?}");
    let summary = summary(&fleet.state, fleet.now);
    assert_eq!((summary.updated, summary.known), (200, 200));
    assert_eq!(fleet.acts(Act::Stage), 4);
}

#[test]
fn a_bad_model_stops_within_its_wave() {
    for (on_trip, fault) in [
        (OnTrip::Pause, Fault::Trial),
        (OnTrip::Revert, Fault::Install),
    ] {
        let mut policy = policy("waves");
        policy.on_trip = on_trip;
        let mut fleet = Fleet::new(policy, 400);
        fleet.start();
        for _ in 0..50 {
            fleet.robots_follow(|_| Some(fault));
            fleet.tick(60_000);
        }
        let summary = summary(&fleet.state, fleet.now);
        assert!(
            summary.tried > 0 && summary.tried <= summary.stage_robots,
            "{summary:?}"
        );
        assert_eq!((summary.stage, summary.updated), (1, 0));
        match on_trip {
            OnTrip::Pause => assert!(matches!(fleet.state.head.status, Status::Paused(_))),
            OnTrip::Revert => {
                assert_eq!(fleet.state.head.status, Status::Aborted { reverted: true })
            }
        }
        assert!(
            arms(&fleet.state)
                .iter()
                .all(|arm| arm.run != Some(Version::Candidate))
        );
        assert_eq!(fleet.acts(Act::Tripped), 1);
    }
}

#[test]
fn resuming_after_a_gate_accepts_what_it_measured() {
    let mut fleet = Fleet::new(policy("waves"), 400);
    fleet.start();
    // One robot in ten fails; five per cent are allowed.
    let bad = |place: u32| place.is_multiple_of(10).then_some(Fault::Install);
    for _ in 0..60 {
        fleet.robots_follow(bad);
        fleet.tick(60_000);
        if matches!(fleet.state.head.status, Status::Paused(_)) {
            fleet.send(Event::Resume { by: "anna".into() });
        }
    }
    assert_eq!(fleet.state.head.status, Status::Finished);
    assert!(
        (1..=3).contains(&fleet.acts(Act::Tripped)),
        "{:?}",
        fleet.audit
    );
    assert!(
        fleet
            .audit
            .iter()
            .any(|a| a.by == "anna" && a.text.contains("accepted"))
    );
}

#[test]
fn offline_robots_are_counted_and_not_waited_for() {
    let mut fleet = Fleet::new(policy("waves"), 200);
    for device in 0..60 {
        fleet.send(Event::Gone {
            device: key(device),
            order: 1,
        });
    }
    fleet.start();
    for _ in 0..100 {
        fleet.robots_follow(|_| None);
        fleet.tick(60_000);
    }
    assert_eq!(fleet.state.head.status, Status::Finished);
    let summary = summary(&fleet.state, fleet.now);
    assert_eq!((summary.updated, summary.offline), (140, 60));
}

/// Forty robots in the order of their places, with the first `away` of them gone, in waves of two and then all.
fn first_are_away(away: usize) -> (Fleet, Vec<u64>) {
    let mut policy = policy("waves");
    policy.waves = Some(vec![Share::Count(2), Share::ALL]);
    let mut fleet = Fleet::new(policy, 40);
    let mut keys: Vec<u64> = (0..40).collect();
    keys.sort_by_key(|n| key(*n).place());
    for device in &keys[..away] {
        fleet.send(Event::Gone {
            device: key(*device),
            order: 1,
        });
    }
    fleet.start();
    (fleet, keys)
}

#[test]
fn a_stage_whose_robots_are_all_away_draws_others_after_a_time() {
    let (mut fleet, keys) = first_are_away(5);
    let waits = |fleet: &Fleet| summary(&fleet.state, fleet.now).waits_for.unwrap();
    fleet.tick(1000);
    let said = waits(&fleet);
    assert!(
        said.contains("none of them is there; in 120 s others are drawn"),
        "{said}"
    );
    fleet.tick(119_000);
    fleet.robots_follow(|_| None);
    assert_eq!(fleet.acts(Act::Drawn), 0, "not before its time");
    fleet.tick(1000);
    assert_eq!(fleet.acts(Act::Drawn), 1);
    let drawn = fleet.audit.iter().find(|a| a.act == Act::Drawn).unwrap();
    assert!(
        drawn.text.contains("none of its 2 robots"),
        "{}",
        drawn.text
    );
    // One who was passed over and comes back keeps the old version: the wave is no larger for it.
    fleet.send(Event::Here {
        device: key(keys[0]),
        order: 2,
    });
    fleet.robots_follow(|_| None);
    let new: Vec<u64> = (0..40)
        .filter(|n| fleet.version(*n) == Version::Candidate)
        .collect();
    let mut expected = keys[5..7].to_vec();
    expected.sort_unstable();
    assert_eq!(new, expected, "the first two that are there");
    for _ in 0..100 {
        fleet.robots_follow(|_| None);
        fleet.tick(60_000);
    }
    assert_eq!(fleet.state.head.status, Status::Finished);
    assert_eq!(summary(&fleet.state, fleet.now).updated, 36);
}

#[test]
fn a_version_that_takes_robots_down_is_not_given_to_others_for_that() {
    let (mut fleet, keys) = first_are_away(0);
    for device in &keys[..2] {
        let begins = Report {
            phase: Some(Phase::Trial),
            running: Some(Some(candidate())),
            ..Report::of(key(*device), 1)
        };
        fleet.send(Event::Report(Box::new(begins)));
        fleet.send(Event::Gone {
            device: key(*device),
            order: 1,
        });
    }
    for _ in 0..100 {
        fleet.robots_follow(|_| None);
        fleet.tick(60_000);
    }
    assert_eq!(
        (fleet.state.head.stage, &fleet.state.head.status),
        (0, &Status::Soaking)
    );
    let waits = summary(&fleet.state, fleet.now).waits_for.unwrap();
    assert!(waits.contains("2 of them had begun"), "{waits}");
    assert_eq!(fleet.acts(Act::Drawn), 0);
}

#[test]
fn a_stage_waits_where_nobody_else_is_there() {
    let (mut fleet, keys) = first_are_away(40);
    for _ in 0..100 {
        fleet.robots_follow(|_| None);
        fleet.tick(60_000);
    }
    assert_eq!(
        (fleet.state.head.stage, &fleet.state.head.status),
        (0, &Status::Soaking)
    );
    let waits = summary(&fleet.state, fleet.now).waits_for.unwrap();
    assert!(
        waits.contains("none of them is there, nor is another"),
        "{waits}"
    );
    for device in &keys[..2] {
        fleet.send(Event::Here {
            device: key(*device),
            order: 2,
        });
    }
    fleet.robots_follow(|_| None);
    fleet.tick(1000);
    assert_eq!(fleet.acts(Act::Drawn), 0, "those of the stage came");
    fleet.tick(120_000);
    assert_eq!(fleet.state.head.stage, 1);
}

#[test]
fn a_few_per_cent_of_a_small_fleet_are_at_least_one_robot() {
    for robots in 1..30 {
        for strategy in ["waves", "canary", "shadow"] {
            let mut fleet = Fleet::new(policy(strategy), robots);
            fleet.start();
            let stage = summary(&fleet.state, fleet.now).stage_robots;
            assert!(stage >= 1, "{strategy} of {robots}");
        }
    }
}

#[test]
fn a_small_wave_takes_a_robot_that_is_there() {
    let mut fleet = Fleet::new(policy("waves"), 8);
    let mut keys: Vec<u64> = (0..8).collect();
    keys.sort_by_key(|n| key(*n).place());
    for device in &keys[..3] {
        fleet.send(Event::Gone {
            device: key(*device),
            order: 1,
        });
    }
    fleet.start();
    fleet.robots_follow(|_| None);
    assert_eq!(fleet.version(keys[3]), Version::Candidate);
    for _ in 0..100 {
        fleet.robots_follow(|_| None);
        fleet.tick(60_000);
    }
    assert_eq!(fleet.state.head.status, Status::Finished);
}

#[test]
fn late_joiners_fall_into_an_arm_by_their_place() {
    let mut fleet = Fleet::new(policy("waves"), 100);
    fleet.start();
    fleet.robots_follow(|_| None);
    let told = arms(&fleet.state);
    for late in 1000..1100 {
        fleet.send(Event::Here {
            device: key(late),
            order: 1,
        });
    }
    assert_eq!(arms(&fleet.state), told, "joiners move no border");
    fleet.tick(1000);
    assert_eq!(arms(&fleet.state), told);
    let first = told.first().unwrap();
    assert_eq!(first.run, Some(Version::Candidate));
    assert!((1000..1100).any(|late| key(late).place() <= first.upto));
}

#[test]
fn an_abort_keeps_complete_waves_and_a_revert_keeps_nothing() {
    for revert in [false, true] {
        let mut fleet = Fleet::new(policy("waves"), 200);
        fleet.start();
        while fleet.state.head.stage == 0 {
            fleet.robots_follow(|_| None);
            fleet.tick(60_000);
        }
        fleet.send(Event::Abort {
            by: "anna".into(),
            revert,
        });
        for _ in 0..3 {
            fleet.robots_follow(|_| None);
            fleet.tick(1000);
        }
        assert_eq!(
            fleet.state.head.status,
            Status::Aborted { reverted: revert }
        );
        let arms = arms(&fleet.state);
        if revert {
            assert_eq!(arms.len(), 1);
            assert_eq!(summary(&fleet.state, 0).updated, 0);
        } else {
            let runs: Vec<_> = arms.iter().map(|arm| arm.run).collect();
            assert_eq!(runs, [Some(Version::Candidate), None, Some(Version::Base)]);
        }
        let refused = fleet.send(Event::Resume { by: "anna".into() });
        assert!(refused.is_some());
    }
}

#[test]
fn the_shadow_never_acts_and_its_disagreement_stops_it() {
    for (disagreed, ends) in [(2, true), (300, false)] {
        let mut fleet = Fleet::new(policy("shadow"), 200);
        fleet.start();
        assert!(
            arms(&fleet.state)
                .iter()
                .all(|arm| arm.run == Some(Version::Base))
        );
        for _ in 0..200 {
            let shadow = arms(&fleet.state)[0];
            if shadow.shadow == Some(Version::Candidate) {
                for n in 0..200 {
                    if key(n).place() <= shadow.upto {
                        let seen = Shadow {
                            compared: 1000,
                            disagreed,
                            failures: 0,
                            p99_us: 900,
                        };
                        let report = Report {
                            shadow: Some((candidate(), seen)),
                            ..Report::of(key(n), 1)
                        };
                        fleet.send(Event::Report(Box::new(report)));
                    }
                }
            }
            fleet.robots_follow(|_| None);
            fleet.tick(60_000);
        }
        if ends {
            assert_eq!(fleet.state.head.status, Status::Finished);
        } else {
            assert!(
                matches!(&fleet.state.head.status, Status::Paused(why) if why.text.contains("disagreement"))
            );
            assert_eq!(summary(&fleet.state, fleet.now).tried, 0);
        }
    }
}

/// Lets every robot report what it saw of the version that it runs.
fn witness(fleet: &mut Fleet, evidence: impl Fn(Version, u64) -> Evidence) {
    for n in 0..fleet.robots {
        let version = fleet.version(n);
        let digest = if version == Version::Candidate {
            candidate()
        } else {
            crate::fleet::base()
        };
        let report = Report {
            evidence: Some((digest, evidence(version, n))),
            ..Report::of(key(n), 1)
        };
        fleet.send(Event::Report(Box::new(report)));
    }
}

#[test]
fn the_slowest_of_a_few_inferences_stops_nothing() {
    for (inferences, judged) in [(99, false), (100, true)] {
        let mut fleet = Fleet::new(policy("waves"), 200);
        fleet.start();
        let seen = |version, _| Evidence {
            inferences,
            p99_us: if version == Version::Candidate {
                9000
            } else {
                1000
            },
            ..Evidence::default()
        };
        witness(&mut fleet, seen);
        fleet.robots_follow(|_| None);
        witness(&mut fleet, seen);
        fleet.tick(1000);
        let stopped = matches!(fleet.state.head.status, Status::Paused(_));
        assert_eq!(stopped, judged, "{inferences}");
    }
}

#[test]
fn each_measure_over_answers_stops_a_worse_version() {
    let fine = Evidence {
        inferences: 1000,
        p99_us: 1000,
        low_confidence: 20,
        ..Evidence::default()
    };
    let mut balanced = fine;
    (balanced.classes[0], balanced.classes[1]) = (500, 500);
    let worse: [(&str, Evidence); 4] = [
        ("", balanced),
        (
            "p99_ratio",
            Evidence {
                p99_us: 1700,
                ..balanced
            },
        ),
        (
            "low_confidence",
            Evidence {
                low_confidence: 300,
                ..balanced
            },
        ),
        ("psi", {
            let mut e = balanced;
            (e.classes[0], e.classes[1]) = (900, 100);
            e
        }),
    ];
    for (gate, evidence) in worse {
        let mut fleet = Fleet::new(policy("waves"), 200);
        fleet.start();
        for round in 0..100 {
            fleet.robots_follow(|_| None);
            witness(&mut fleet, |version, _| {
                let e = if version == Version::Candidate {
                    evidence
                } else {
                    balanced
                };
                Evidence {
                    inferences: e.inferences + round,
                    ..e
                }
            });
            fleet.tick(60_000);
        }
        match (gate, &fleet.state.head.status) {
            ("", Status::Finished) => {}
            (gate, Status::Paused(why)) => {
                assert!(why.text.starts_with(gate), "{gate}: {}", why.text)
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_ab_comparison_ends_with_a_person() {
    let mut fleet = Fleet::new(policy("ab"), 200);
    fleet.start();
    for _ in 0..100 {
        fleet.robots_follow(|_| None);
        fleet.tick(60_000);
    }
    assert_eq!(fleet.state.head.status, Status::Holding);
    assert!((80..120).contains(&summary(&fleet.state, 0).updated));
    fleet.send(Event::Resume { by: "anna".into() });
    for _ in 0..100 {
        fleet.robots_follow(|_| None);
        fleet.tick(60_000);
    }
    assert_eq!(fleet.state.head.status, Status::Finished);
}

#[test]
fn the_bandit_moves_by_bounded_steps_to_the_version_that_earns_more() {
    for (new_earns, wins) in [(900, true), (300, false)] {
        for reward in ["binary", "real"] {
            let mut policy = policy("bandit");
            let mut bandit = sanderling_rollout::BanditPolicy {
                interval_s: 600,
                confidence: 0.999,
                ..Default::default()
            };
            bandit.reward = serde_json::from_value(serde_json::json!(reward)).unwrap();
            policy.bandit = Some(bandit);
            let mut fleet = Fleet::new(policy, 200);
            fleet.start();
            let mut before = 0.05;
            for round in 1..400u64 {
                fleet.robots_follow(|_| None);
                witness(&mut fleet, |version, n| {
                    // A close race at first.
                    let spread = (n % 5) as i64 * 40 - 80;
                    let earned = if version == Version::Candidate && round > 30 {
                        new_earns
                    } else {
                        600
                    };
                    let rewards = round * 4;
                    Evidence {
                        inferences: rewards,
                        rewards,
                        reward_milli: rewards as i64 * (earned + spread),
                        ..Evidence::default()
                    }
                });
                fleet.tick(60_000);
                if let (Status::Soaking, Some(memory), 0) = (
                    &fleet.state.head.status,
                    fleet.state.head.bandit,
                    fleet.state.head.stage,
                ) {
                    let share = f64::from(memory.share_ppm) / 1e6;
                    assert!(
                        (share - before).abs() <= 0.1001 && (0.0499..=0.9501).contains(&share),
                        "{before} to {share}"
                    );
                    before = share;
                }
            }
            let expected = if wins {
                Status::Finished
            } else {
                Status::Aborted { reverted: true }
            };
            assert_eq!(fleet.state.head.status, expected, "{reward}");
        }
    }
}

#[test]
fn a_policy_names_the_field_that_is_wrong() {
    let check = |text: &str| {
        let policy: Policy = toml::from_str(text).unwrap();
        policy.check().map_err(|e| e.to_string())
    };
    assert_eq!(
        check("strategy = 'waves'\nwaves = ['1%', 20, '50%']"),
        Ok(())
    );
    for (text, field) in [
        ("strategy = 'waves'\nwaves = ['10%', '5%']", "`waves`"),
        ("strategy = 'waves'\nsplit = '5%'", "`split`"),
        ("strategy = 'ab'\nsplit = '100%'", "`split`"),
        (
            "strategy = 'bandit'\nbandit = { step = 7.0 }",
            "`bandit.step`",
        ),
        (
            "strategy = 'waves'\ngates = { fallbacks = 5 }",
            "`gates.fallbacks`",
        ),
        ("strategy = 'waves'\ngates = { psi = 0 }", "`gates.psi`"),
    ] {
        let error = check(text).unwrap_err();
        assert!(error.contains(field), "{error}");
    }
    for (text, named) in [
        ("strategy = 'waves'\nwave = ['10%']", "wave"),
        ("strategy = 'wave'", "all-at-once"),
        ("strategy = 'waves'\nwaves = ['0%']", "0.001%"),
        ("strategy = 'waves'\ngates = { psi = 'no' }", "off"),
    ] {
        let error = toml::from_str::<Policy>(text).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    let off: Policy = toml::from_str("strategy = 'waves'\ngates = { psi = 'off' }").unwrap();
    assert_eq!(off.gates.psi, Limit(None));
    let json = serde_json::to_string(&off).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), off);
}

#[test]
fn ten_thousand_robots_are_few_bytes_each() {
    let mut fleet = Fleet::new(policy("waves"), 10_000);
    fleet.robots_follow(|_| None);
    let bytes = serde_json::to_vec(&fleet.state).unwrap().len();
    assert!(bytes < 1_200_000, "{bytes}");
    assert!(size_of::<sanderling_rollout::Device>() <= 48);
}
