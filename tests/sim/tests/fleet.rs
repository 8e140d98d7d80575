//! Simulated fleets at a size that every run of the tests affords.

use sanderling_sim::{Figures, Options, Part, run};

const DEVICES: u32 = 2_000;

fn figures(options: &Options) -> Figures {
    let (figures, _) = run(options).unwrap();
    println!(
        "seed {}: {}",
        options.seed,
        serde_json::to_string(&figures).unwrap()
    );
    figures
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let options = Options {
        bad: Part(0.03),
        offline: Part(0.3),
        seed: 7,
        ..Options::of(DEVICES, "waves")
    };
    let text = || serde_json::to_string(&figures(&options)).unwrap();
    let first = text();
    assert_eq!(first, text());
    let other = Options {
        seed: 8,
        ..options.clone()
    };
    assert_ne!(first, serde_json::to_string(&figures(&other)).unwrap());
}

#[test]
fn a_bad_model_reaches_no_more_than_one_wave() {
    for (rollout, revert) in [
        ("waves", false),
        ("waves", true),
        ("canary", true),
        ("shadow", false),
        ("ab", true),
    ] {
        for offline in [0.0, 0.3] {
            let options = Options {
                bad_model: true,
                revert,
                offline: Part(offline),
                seed: 11,
                ..Options::of(DEVICES, rollout)
            };
            let figures = figures(&options);
            assert!(
                figures.blast_radius > 0 && figures.blast_within_one_wave,
                "{rollout} {offline}"
            );
            let expected = if revert { "aborted" } else { "paused" };
            assert_eq!(
                (figures.status.as_str(), figures.updated),
                (expected, 0),
                "{rollout} {offline}"
            );
            assert!(figures.agree_with_coordinator);
        }
    }
}

#[test]
fn every_strategy_brings_a_good_version_to_all_who_are_there() {
    for rollout in ["all-at-once", "waves", "canary", "shadow", "ab", "bandit"] {
        let options = Options {
            seed: 3,
            ..Options::of(DEVICES, rollout)
        };
        let figures = figures(&options);
        assert_eq!(
            (figures.status.as_str(), figures.updated),
            ("finished", DEVICES),
            "{rollout}"
        );
        assert_eq!(
            (figures.failed, figures.fell_back, figures.blast_radius),
            (0, 0, 0),
            "{rollout}"
        );
        assert_eq!(figures.coordinator_kills, options.kills, "{rollout}");
    }
}

#[test]
fn a_network_that_loses_every_fifth_message_delays_and_stops_nothing() {
    let options = Options {
        loss: Part(0.2),
        seed: 5,
        ..Options::of(300, "waves")
    };
    let figures = figures(&options);
    assert_eq!(
        (figures.status.as_str(), figures.updated),
        ("finished", 300)
    );
}
