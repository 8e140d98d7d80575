//! A robot with a root installs what the fleet's keys signed, and nothing else.

mod support;

use std::path::Path;

use sanderling_trust::{Role, SigningKey, serial};
use sanderling_wire::{
    Anchor, Digest, FailureCode, MAX_ROOT_SIGNATURES, Phase, RoleKeys, Root, Roots, SERIAL_LIMIT,
    Signed,
};
use support::agent::Start;
use support::broker::Broker;
use support::fleet::{Fleet, Heard, encoded, everybody, release};
use support::models::{self, Model};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_secret(&[seed; 32])
}

/// The root with one key for each role.
fn root(version: u32, epoch: u32, keys: [&SigningKey; 3]) -> Root {
    let role = |index: u8| RoleKeys {
        threshold: 1,
        keys: [index].into_iter().collect(),
    };
    Root {
        version,
        epoch,
        expires_s: None,
        keys: keys.iter().map(|key| key.public()).collect(),
        root: role(0),
        release: role(1),
        fleet: role(2),
    }
}

fn chain(roots: &[Root], by: &SigningKey) -> Vec<u8> {
    let mut chain = Vec::new();
    for root in roots {
        let statement = encoded(root);
        let mut signed: Signed<'_, MAX_ROOT_SIGNATURES> = Signed::unsigned(&statement);
        let signature = by.sign(Role::Root, &statement);
        signed.signatures.push(signature).expect("room for one");
        let link = encoded(&signed);
        chain.extend((link.len() as u16).to_le_bytes());
        chain.extend(link);
    }
    encoded(&Roots { chain: &chain })
}

fn signed(role: Role, by: &SigningKey, statement: &[u8]) -> Vec<u8> {
    let mut signed: Signed<'_> = Signed::unsigned(statement);
    let signature = by.sign(role, statement);
    signed.signatures.push(signature).expect("room for one");
    encoded(&signed)
}

/// The group's desired state: a model as some version, by these release and fleet keys.
fn wanted(model: &Model, version: u32, number: u64, by: [&SigningKey; 2]) -> Vec<u8> {
    let manifest = encoded(&release(model, version));
    let signed_release = signed(Role::Release, by[0], &manifest);
    let inner = sanderling_wire::decode(&signed_release).expect("just written");
    signed(Role::Fleet, by[1], &encoded(&everybody(number, inner)))
}

fn runs(heard: &Heard, model: &Model) -> bool {
    heard.running() == Some(Digest(model.digest))
        && heard.state().is_some_and(|s| s.phase == Phase::Active)
}

fn refused(heard: &Heard, word: &str) -> bool {
    let failure = heard.state().and_then(|state| state.failure.as_ref());
    failure.is_some_and(|f| f.code == FailureCode::Refused && f.text.contains(word))
}

fn start(folder: &Path, broker: &Broker, root: &Path) -> Start {
    let frames = folder.join("frames.npz");
    models::record(&frames, 64);
    Start::new(folder, "r1", &broker.url())
        .with("--fleet test --rate 200 --loop --trial-inferences 5 --trial-seconds 5")
        .with_path("--source", &frames)
        .with_path("--root", root)
}

#[test]
fn only_what_the_fleet_s_keys_signed_is_installed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(broker) = Broker::start(folder.path()) else {
        return;
    };
    let (owner, releases, fleet_key) = (key(1), key(2), key(3));
    let thief = key(9);
    let first_root = root(1, 1, [&owner, &releases, &fleet_key]);
    let anchor = folder.path().join("root");
    std::fs::write(&anchor, chain(std::slice::from_ref(&first_root), &owner)).expect("writable");
    let mut fleet = Fleet::start(broker.port);
    let (one, two) = (models::largest(), models::smallest(100));
    fleet.have(&one);
    fleet.have(&two);

    // Nobody signed it; then a thief did; then the thief signed the release alone.
    fleet.want(&one, 1);
    let start = start(folder.path(), &broker, &anchor);
    let mut agent = start.spawn();
    fleet.wait("refusal of what nobody signed", |h| {
        refused(h, "no fleet key of root 1")
    });
    fleet.post("desired", wanted(&one, 1, 5, [&releases, &releases]));
    fleet.post("desired", wanted(&one, 1, 6, [&thief, &fleet_key]));
    fleet.wait("refusal of a release", |h| {
        refused(h, "no release key of root 1")
    });
    assert_eq!(fleet.heard(Heard::running), None);

    // The owner's word counts, and the state says under which root.
    fleet.post("desired", wanted(&one, 1, 7, [&releases, &fleet_key]));
    fleet.wait("the first model", |h| runs(h, &one));
    fleet.heard(|heard| {
        let state = heard.state().expect("it runs");
        let held = Anchor {
            version: 1,
            epoch: 1,
        };
        assert_eq!(state.root, Some(held));
        assert_eq!(state.serial, serial::effective(1, 7));
    });

    // A thief with the fleet key uses up the serials; the owner heals it with a new epoch.
    let last = SERIAL_LIMIT - 1;
    fleet.post("desired", wanted(&one, 1, last, [&releases, &fleet_key]));
    fleet.wait("the last serial", |h| {
        h.state()
            .is_some_and(|s| s.serial == serial::effective(1, last))
    });
    let fresh = key(4);
    let next = root(2, 2, [&owner, &releases, &fresh]);
    // What the new key signs may come before the root that names it.
    fleet.post("desired", wanted(&two, 2, 8, [&releases, &fresh]));
    fleet.wait("refusal of an unknown key", |h| {
        refused(h, "no fleet key of root 1")
    });
    fleet.post("root", chain(&[first_root, next], &owner));
    fleet.wait("the second model under the new root", |h| {
        runs(h, &two)
            && h.state().is_some_and(|s| {
                s.serial == serial::effective(2, 8) && s.root.is_some_and(|r| r.version == 2)
            })
    });
    // Taking the desired state away needs a signature too.
    fleet.post("desired", Vec::new());

    // The newer root is there after a power cut, though the configured file is the old one.
    agent.child.kill().expect("it is ours");
    agent.child.wait().expect("it was killed");
    let mut agent = start.spawn();
    agent.wait_for("the root that was followed", |status| {
        status["root"]["version"] == 2 && status["phase"] == "active"
    });
    fleet.post("desired", wanted(&one, 3, 9, [&releases, &fleet_key]));
    fleet.wait("refusal of the key that was replaced", |h| {
        refused(h, "no fleet key of root 2")
    });
}

#[test]
fn a_root_file_that_is_none_is_named_at_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("root");
    std::fs::write(&file, b"no root").expect("writable");
    let output = Start::new(folder.path(), "r1", "mqtt://127.0.0.1:1")
        .with_path("--root", &file)
        .command()
        .output()
        .expect("the agent starts");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the root cannot be read"), "{said}");
}
