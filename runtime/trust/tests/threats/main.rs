//! One test for each way in which somebody could make a robot install what it should not.

mod clocks;
mod support;

use sanderling_trust::{
    Accepted, Clock, Floors, Limits, Misfit, Refusal, Role, Statement, Trust, fit, serial,
};
use sanderling_wire::{Layout, Manifest, Name, Signed, decode, encode};
use support::*;

fn signatures_refused(result: Result<Accepted<'_>, Refusal>, role: Role) {
    match result {
        Err(Refusal::Signatures { role: asked, .. }) => assert_eq!(asked, role),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_right_keys_signed_is_installed() {
    let fleet = Party::new(1);
    let bytes = fleet.desired(&wish(5));
    let accepted = fleet.ask(&bytes, 0, NOW).unwrap();
    assert_eq!(accepted.serial, serial::effective(1, 5));
    let arm = accepted.arm_for(&name("robot-1")).unwrap();
    let release = accepted.desired.release(arm.run.unwrap()).unwrap();
    let manifest = fleet
        .trust
        .release(release, &Floors::default(), NOW)
        .unwrap();
    assert_eq!(manifest.version, 2);
}

#[test]
fn arbitrary_install() {
    let (fleet, thief) = (Party::new(1), Party::new(50));
    // No signature, a stranger's signature, one byte of the statement changed, one of the signature.
    let unsigned = sign(Role::Fleet, &[], &fleet.statement(&wish(5)));
    signatures_refused(fleet.ask(&unsigned, 0, NOW), Role::Fleet);
    signatures_refused(fleet.ask(&thief.desired(&wish(5)), 0, NOW), Role::Fleet);
    let good = fleet.desired(&wish(5));
    let mut refused = 0;
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert!(fleet.ask(&bytes, 0, NOW).is_err(), "byte {at}");
        refused += 1;
    }
    assert_eq!(refused, good.len());
    // A release that nobody with a release key signed, in a desired state that the fleet key signed.
    let mine = Wish {
        release: thief.release(&manifest()),
        ..wish(5)
    };
    let bytes = fleet.desired(&mine);
    let accepted = fleet.ask(&bytes, 0, NOW).unwrap();
    let refused = fleet.trust.release(
        accepted.desired.release(0).unwrap(),
        &Floors::default(),
        NOW,
    );
    assert!(
        matches!(
            refused,
            Err(Refusal::Signatures {
                role: Role::Release,
                good: 0,
                ..
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn a_key_of_one_role_signs_nothing_for_another() {
    let fleet = Party::new(1);
    // The release key signs a desired state; the fleet key signs it in the release's domain.
    let statement = fleet.statement(&wish(5));
    for (role, key) in [
        (Role::Fleet, &fleet.release_keys[0]),
        (Role::Release, &fleet.fleet_key),
        (Role::Root, &fleet.root_keys[0]),
    ] {
        let bytes = sign(role, &[key], &statement);
        signatures_refused(fleet.ask(&bytes, 0, NOW), Role::Fleet);
    }
    let by_fleet = sign(Role::Fleet, &[&fleet.fleet_key], &encoded(&manifest()));
    let signed: Signed<'_> = decode(&by_fleet).unwrap();
    assert!(
        fleet
            .trust
            .release(&signed, &Floors::default(), NOW)
            .is_err()
    );
}

#[test]
fn rollback_to_an_older_desired_state() {
    let fleet = Party::new(1);
    let old = fleet.desired(&wish(5));
    let held = fleet.ask(&fleet.desired(&wish(6)), 0, NOW).unwrap().serial;
    assert_eq!(
        fleet.ask(&old, held, NOW).unwrap_err(),
        Refusal::Stale {
            serial: serial::effective(1, 5),
            held
        }
    );
    // The same again is no rollback: it is retained, and comes with every connection.
    assert!(fleet.ask(&fleet.desired(&wish(6)), held, NOW).is_ok());
}

#[test]
fn rollback_to_a_version_below_the_floor() {
    let fleet = Party::new(1);
    let mut floors = Floors::default();
    let release = |version, floor| {
        fleet.release(&Manifest {
            version,
            floor,
            ..manifest()
        })
    };
    let ask = |bytes: &[u8], floors: &Floors| {
        let signed: Signed<'_> = decode(bytes).unwrap();
        fleet.trust.release(&signed, floors, NOW)
    };
    // Until version 4 was active here, nothing forbids version 2.
    assert!(ask(&release(2, 0), &floors).is_ok());
    assert!(floors.raise(&name("terrain"), 3));
    assert_eq!(
        ask(&release(2, 0), &floors).unwrap_err(),
        Refusal::Floor {
            version: 2,
            floor: 3
        }
    );
    assert!(ask(&release(3, 0), &floors).is_ok());
    // A floor never sinks, and another model has its own.
    assert!(!floors.raise(&name("terrain"), 1));
    assert_eq!(floors.of(&name("terrain")), 3);
    assert_eq!(floors.of(&name("digits")), 0);
}

#[test]
fn fast_forward_and_its_healing_by_a_new_epoch() {
    let fleet = Party::new(1);
    let mut clock = Clock::default();
    // A thief with the fleet key uses up every serial, and moves the clock a thousand years on.
    let last = Wish {
        serial: sanderling_wire::SERIAL_LIMIT - 1,
        issued_s: NOW + 1000 * YEAR,
        expires_s: None,
        ..wish(1)
    };
    let bytes = fleet.desired(&last);
    let held = fleet
        .trust
        .desired(&bytes, &name("all"), 0, NOW, &mut clock)
        .unwrap()
        .serial;
    assert!(fleet.ask(&fleet.desired(&wish(7)), held, NOW).is_err());
    // The owner rotates the fleet key: a new root, a new epoch, and the fleet goes on.
    let healed = fleet.rotated_fleet_key(99);
    let mut trust = fleet.trust.clone();
    assert_eq!(trust.follow(&healed.chain()), Ok(true));
    let bytes = healed.desired(&wish(7));
    let accepted = trust
        .desired(&bytes, &name("all"), held, NOW, &mut clock)
        .unwrap();
    assert!(accepted.serial > held);
    assert_eq!(clock.now_s(trust.root().epoch, NOW), NOW);
    // And the thief's key is worth nothing any more.
    let again = fleet.desired(&last);
    let again = trust.desired(&again, &name("all"), 0, NOW, &mut clock);
    assert!(matches!(again, Err(Refusal::Signatures { .. })));
}

#[test]
fn freeze_by_showing_the_same_for_ever() {
    let fleet = Party::new(1);
    let bytes = fleet.desired(&wish(5));
    let refused = fleet.ask(&bytes, 0, NOW + WEEK + 1).unwrap_err();
    assert!(
        matches!(
            refused,
            Refusal::Expired {
                what: Statement::Desired,
                ..
            }
        ),
        "{refused:?}"
    );
    assert!(fleet.ask(&bytes, 0, NOW + WEEK).is_ok());
}

#[test]
fn an_expired_release_and_an_expired_root_start_nothing() {
    let fleet = Party::new(1);
    let release = fleet.release(&Manifest {
        expires_s: Some(NOW - 1),
        ..manifest()
    });
    let signed: Signed<'_> = decode(&release).unwrap();
    let refused = fleet.trust.release(&signed, &Floors::default(), NOW);
    assert!(matches!(
        refused,
        Err(Refusal::Expired {
            what: Statement::Manifest,
            ..
        })
    ));
    let mut fleet = Party::new(1);
    fleet.root.expires_s = Some(NOW - 1);
    fleet.trust = Trust::anchor(&fleet.chain()).unwrap();
    let refused = fleet.ask(&fleet.desired(&wish(5)), 0, NOW).unwrap_err();
    assert!(matches!(
        refused,
        Refusal::Expired {
            what: Statement::Root,
            ..
        }
    ));
    // An expired root still hands over to the next one.
    let next = fleet.rotated_fleet_key(99);
    assert_eq!(fleet.trust.follow(&next.chain()), Ok(true));
}

#[test]
fn endless_data() {
    let manifest = manifest();
    let board = [name("generic")];
    let limits = Limits {
        targets: &board,
        arena: 1 << 20,
        flash: 65537,
    };
    // A size that no slot holds is refused before a byte is pulled.
    let artifact = fit(&manifest, &limits).unwrap();
    let smaller = Limits {
        flash: artifact.flash - 1,
        ..limits
    };
    let needs = artifact.flash;
    assert_eq!(fit(&manifest, &smaller), Err(Misfit::Flash { needs }));
    // And what is pulled ends where the signed size ends, whatever is sent.
    let layout = Layout::new(artifact.size, 1024).unwrap();
    assert_eq!(layout.count(), 65);
    for offset in [
        artifact.size,
        artifact.size + 1023,
        65 * 1024,
        u64::MAX - 1023,
    ] {
        assert!(layout.place(offset, 1024).is_err(), "{offset}");
    }
    assert!(layout.place(64 * 1024, 1024).is_err());
    // Statements themselves are bounded before they are read.
    let fleet = Party::new(1);
    let endless = vec![sanderling_wire::VERSION; 1 << 20];
    assert!(matches!(
        fleet.ask(&endless, 0, NOW),
        Err(Refusal::Unreadable(Statement::Desired, _))
    ));
    let mut trust = fleet.trust.clone();
    assert!(trust.follow(&endless).is_err());
}

#[test]
fn mix_and_match_of_groups_and_releases() {
    let fleet = Party::new(1);
    // What was signed for one group is shown to another.
    let others = fleet.desired(&Wish {
        group: "others",
        ..wish(5)
    });
    assert_eq!(
        fleet.ask(&others, 0, NOW).unwrap_err(),
        Refusal::Group {
            named: name("others")
        }
    );
    let other = fleet.release(&Manifest {
        model: name("digits"),
        ..manifest()
    });
    // A release of another model is put into a desired state: its signature does not hold.
    let good = fleet.desired(&wish(5));
    let signed: Signed<'_> = decode(&good).unwrap();
    let mut desired: sanderling_wire::Desired<'_> = signed.read().unwrap();
    desired.releases[0] = decode(&other).unwrap();
    let statement = encoded(&desired);
    let mixed: Signed<'_> = Signed {
        statement: &statement,
        signatures: signed.signatures.clone(),
    };
    let mixed = encoded(&mixed);
    signatures_refused(fleet.ask(&mixed, 0, NOW), Role::Fleet);
}

#[test]
fn a_root_of_another_chain() {
    let (fleet, stranger) = (Party::new(1), Party::new(50));
    let mut trust = fleet.trust.clone();
    // Version 1 of another chain is passed over, its version 2 is refused.
    assert_eq!(trust.follow(&stranger.chain()), Ok(false));
    let next = stranger.rotated_fleet_key(99);
    assert!(matches!(
        trust.follow(&next.chain()),
        Err(Refusal::Signatures {
            role: Role::Root,
            ..
        })
    ));
    assert_eq!(trust, fleet.trust);
    // A root that the old keys signed and its own did not: nobody could follow it.
    let mut alone = fleet.rotated_fleet_key(99);
    alone.root_keys = stranger.root_keys.clone();
    alone.root.keys[0] = stranger.root_keys[0].public();
    alone.links.pop();
    alone
        .links
        .push(signed_root(&alone.root, &[&fleet.root_keys[0]]));
    assert!(trust.follow(&alone.chain()).is_err());
    // And one that only its own keys signed.
    alone.links.pop();
    alone
        .links
        .push(signed_root(&alone.root, &[&stranger.root_keys[0]]));
    assert!(trust.follow(&alone.chain()).is_err());
    assert_eq!(trust, fleet.trust);
}

#[test]
fn a_chain_with_a_hole_and_one_without() {
    let first = Party::new(1);
    let second = first.rotated_fleet_key(90);
    let third = second.rotated_fleet_key(91);
    let mut trust = first.trust.clone();
    let mut holed = third.clone();
    holed.links.remove(1);
    assert_eq!(
        trust.follow(&holed.chain()).unwrap_err(),
        Refusal::Gap {
            held: 1,
            offered: 3
        }
    );
    // A robot that was away for two rotations follows both.
    assert_eq!(trust.follow(&third.chain()), Ok(true));
    assert_eq!((trust.root().version, trust.root().epoch), (3, 3));
    assert_eq!(trust.follow(&third.chain()), Ok(false));
    // An old chain does not lead back.
    assert_eq!(trust.follow(&first.chain()), Ok(false));
    assert_eq!(trust.root().version, 3);
}

#[test]
fn a_new_fleet_key_needs_a_new_epoch() {
    let fleet = Party::new(1);
    for epoch in [0, 1] {
        let mut next = fleet.rotated_fleet_key(99);
        next.root.epoch = 1 + epoch;
        next.links.pop();
        next.links
            .push(signed_root(&next.root, &[&fleet.root_keys[0]]));
        let followed = fleet.trust.clone().follow(&next.chain());
        assert_eq!(followed.is_ok(), epoch == 1, "{followed:?}");
    }
}

#[test]
fn wrong_board() {
    let manifest = manifest();
    for (target, misfit) in [("generic", None), ("cortex-m55", Some(Misfit::Target))] {
        let board = [name(target)];
        let limits = Limits {
            targets: &board,
            arena: 5000,
            flash: 1 << 20,
        };
        assert_eq!(fit(&manifest, &limits).err(), misfit);
    }
    let board = [name("generic")];
    let limits = Limits {
        targets: &board,
        arena: 4999,
        flash: 1 << 20,
    };
    assert_eq!(fit(&manifest, &limits), Err(Misfit::Arena { needs: 5000 }));
}

#[test]
fn a_replayed_command_changes_nothing() {
    // A desired state is the only command that installs. Played again it is the same wish, and after
    // a newer one it is stale, also where the thief holds it back until the robot has started anew.
    let fleet = Party::new(1);
    let first = fleet.desired(&wish(5));
    let second = fleet.desired(&wish(6));
    let mut clock = Clock::default();
    let mut held = 0;
    for bytes in [&first, &first, &second, &second] {
        let accepted = fleet
            .trust
            .desired(bytes, &name("all"), held, NOW, &mut clock)
            .unwrap();
        held = accepted.serial;
    }
    let memory = encoded(&sanderling_trust::Memory {
        clock,
        floors: Floors::default(),
    });
    let mut clock = decode::<sanderling_trust::Memory>(&memory).unwrap().clock;
    let replayed = fleet
        .trust
        .desired(&first, &name("all"), held, NOW, &mut clock);
    assert!(matches!(replayed, Err(Refusal::Stale { .. })));
}

#[test]
fn a_stolen_release_key_and_its_rotation() {
    let fleet = Party::new(1);
    let by_thief = fleet.release(&Manifest {
        version: 7,
        ..manifest()
    });
    let next = fleet.rotated_release_key(99);
    let mut trust = fleet.trust.clone();
    assert_eq!(trust.follow(&next.chain()), Ok(true));
    let stolen: Signed<'_> = decode(&by_thief).unwrap();
    assert!(matches!(
        trust.release(&stolen, &Floors::default(), NOW),
        Err(Refusal::Signatures {
            role: Role::Release,
            good: 0,
            ..
        })
    ));
    let fresh = next.release(&manifest());
    let fresh: Signed<'_> = decode(&fresh).unwrap();
    assert!(trust.release(&fresh, &Floors::default(), NOW).is_ok());
    // The fleet key stayed, and so did the epoch: what it signs goes on counting.
    assert_eq!(trust.root().epoch, 1);
    let mut clock = Clock::default();
    let bytes = fleet.desired(&wish(5));
    assert!(
        trust
            .desired(&bytes, &name("all"), 0, NOW, &mut clock)
            .is_ok()
    );
}

#[test]
fn a_threshold_is_not_reached_by_one_key_twice() {
    let mut fleet = Party::new(1);
    fleet.root.release.threshold = 2;
    fleet.trust = Trust::anchor(&fleet.chain()).unwrap();
    let statement = encoded(&manifest());
    let [a, b] = [&fleet.release_keys[0], &fleet.release_keys[1]];
    let ask = |signed: &Signed<'_>| {
        let floors = Floors::default();
        fleet.trust.release(signed, &floors, NOW).map(drop)
    };
    let signed = |keys: &[&sanderling_trust::SigningKey]| {
        let mut signed: Signed<'_> = Signed::unsigned(&statement);
        for key in keys {
            signed
                .signatures
                .push(key.sign(Role::Release, &statement))
                .unwrap();
        }
        signed
    };
    let refused = Err(Refusal::Signatures {
        role: Role::Release,
        good: 1,
        threshold: 2,
        root: 1,
    });
    assert_eq!(ask(&signed(&[a])), refused);
    assert_eq!(ask(&signed(&[a, a])), refused);
    assert_eq!(ask(&signed(&[a, b])), Ok(()));
    // Under another key's name it is no better, and such a message cannot be written at all.
    let mut renamed = signed(&[a, a]);
    renamed.signatures[1].key = b.id();
    assert_eq!(ask(&renamed), refused);
    let mut buffer = [0; 2048];
    assert!(encode(&signed(&[a, a]), &mut buffer).is_err());
}

#[test]
fn floors_forget_only_the_oldest() {
    let mut floors = Floors::default();
    for i in 0..=sanderling_trust::MAX_FLOORS {
        assert!(floors.raise(&Name::new(&format!("m{i}")).unwrap(), 2));
    }
    assert_eq!(floors.of(&name("m0")), 0);
    assert_eq!(floors.of(&name("m1")), 2);
    let longest = "n".repeat(48);
    let mut floors = Floors::default();
    for i in 0..sanderling_trust::MAX_FLOORS {
        floors.raise(
            &Name::new(&format!("{i}{}", &longest[1..])).unwrap(),
            u32::MAX,
        );
    }
    let memory = sanderling_trust::Memory {
        clock: Clock {
            epoch: u32::MAX,
            issued_s: u64::MAX,
        },
        floors,
    };
    let mut buffer = [0; sanderling_trust::MAX_MEMORY];
    assert!(encode(&memory, &mut buffer).is_ok());
}
