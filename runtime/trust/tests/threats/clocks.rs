//! Threats by time: a clock that is set back, and signed times that run ahead.

use crate::support::*;
use sanderling_trust::{Clock, Floors, Refusal};
use sanderling_wire::decode;

#[test]
fn freeze_by_setting_the_clock_back() {
    let fleet = Party::new(1);
    let old = fleet.desired(&wish(5));
    let newer = fleet.desired(&Wish {
        issued_s: NOW + 2 * WEEK,
        expires_s: Some(NOW + 3 * WEEK),
        ..wish(5)
    });
    // A robot without a clock believes the first; then it has seen a later time, signed.
    let mut clock = Clock::default();
    let mut ask = |bytes: &[u8]| {
        fleet
            .trust
            .desired(bytes, &name("all"), 0, 0, &mut clock)
            .map(drop)
    };
    assert!(ask(&old).is_ok());
    assert!(ask(&newer).is_ok());
    assert!(matches!(ask(&old), Err(Refusal::Expired { .. })));
    // The memory of it survives a restart.
    let memory = sanderling_trust::Memory {
        clock,
        floors: Floors::default(),
    };
    let stored = encoded(&memory);
    let memory: sanderling_trust::Memory = decode(&stored).unwrap();
    assert_eq!(memory.clock.now_s(1, 0), NOW + 2 * WEEK);
}

/// A memory as a program stored it before signed time had a bound.
#[test]
fn a_memory_that_was_stored_before_is_read() {
    let stored = [
        0x02, 0x01, 0x9d, 0xad, 0x8f, 0xd8, 0x06, 0x01, 0x07, b't', b'e', b'r', b'r', b'a', b'i',
        b'n', 0x03,
    ];
    let memory: sanderling_trust::Memory = decode(&stored).unwrap();
    let issued_s = 1_795_413_661;
    assert_eq!(memory.clock, Clock { epoch: 1, issued_s });
    assert_eq!(memory.floors.of(&name("terrain")), 3);
}

const DAY: u64 = 24 * 3600;

/// A coordinator whose clock was 400 days ahead signs, and signs again when its clock is right.
#[test]
fn a_time_that_was_ahead_takes_no_robot_along() {
    let fleet = Party::new(1);
    let then = NOW + 400 * DAY;
    let ahead = |serial| Wish {
        serial,
        issued_s: then,
        expires_s: Some(then + WEEK),
        ..wish(serial)
    };
    // With a clock of its own that is right, and without one.
    for own_s in [NOW, 0] {
        let mut clock = Clock::default();
        let mut held = 0;
        let mut ask = |wish: &Wish, clock: &mut Clock| {
            let bytes = fleet.desired(wish);
            let accepted = fleet
                .trust
                .desired(&bytes, &name("all"), held, own_s, clock);
            accepted.map(|accepted| held = accepted.serial)
        };
        ask(&ahead(5), &mut clock).unwrap();
        let now = clock.now_s(1, own_s);
        assert_eq!(now, if own_s == 0 { then } else { NOW });
        ask(&wish(6), &mut clock).unwrap();
        assert_eq!(clock.now_s(1, own_s), NOW);
        // What the fleet signed before that is not shown again.
        assert!(ask(&ahead(5), &mut clock).is_err());
    }
    // What an older program took note of binds a robot with a clock no longer.
    let clock = Clock {
        epoch: 1,
        issued_s: then,
    };
    assert_eq!(clock.now_s(1, NOW), NOW);
    assert_eq!(clock.now_s(1, 0), then);
}

/// Within the bound signed time counts, so that a clock that was set back a little shows nothing again.
#[test]
fn signed_time_counts_as_far_as_clocks_differ() {
    let bound = sanderling_trust::MAX_AHEAD_S;
    let mut clock = Clock::default();
    assert!(clock.note(1, NOW + bound, NOW));
    assert_eq!(clock.now_s(1, NOW), NOW + bound);
    assert!(!clock.note(1, NOW + bound + 1, NOW));
    assert!(!clock.note(1, NOW, NOW));
    assert!(sanderling_trust::is_too_far(NOW + bound + 1, NOW));
    assert!(!sanderling_trust::is_too_far(NOW + bound + 1, 0));
}
