//! Keys, roots and signed manifests as files.

use crate::process::{Scratch, read, sanderling};
use std::os::unix::fs::PermissionsExt;

const TERRAIN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/terrain/terrain-v1.onnx"
);

#[test]
fn keys_are_made_once_and_only_their_owner_reads_them() {
    let scratch = Scratch::new();
    let keys = scratch.path("keys");
    let made = sanderling(&["keys", "init", "--dir", &keys, "--json"]).json();
    assert_eq!(made["version"], 1);
    assert_eq!(made["keys"].as_array().expect("a list").len(), 3);
    for role in ["root", "release", "fleet"] {
        let file = scratch.join("keys").join(format!("{role}.key"));
        let mode = std::fs::metadata(&file).expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{role}");
        let text = String::from_utf8(read(&file)).expect("text");
        assert!(text.contains(&format!("role {role}\n")), "{role}");
    }
    let before = read(scratch.join("keys/root.key"));
    sanderling(&["keys", "init", "--dir", &keys]).fails(1, &["exists", "keys rotate"]);
    // Without the root file the keys themselves are not overwritten either.
    std::fs::remove_file(scratch.join("keys/root")).expect("there");
    sanderling(&["keys", "init", "--dir", &keys]).fails(1, &["root.key exists", "is lost"]);
    assert_eq!(read(scratch.join("keys/root.key")), before);
    let wrong = ["keys", "init", "--dir", &keys, "--release-threshold", "2"];
    sanderling(&wrong).fails(1, &["release: 2 of 1 keys"]);
}

#[test]
fn rotating_makes_the_next_root_and_keeps_the_chain() {
    let scratch = Scratch::new();
    let keys = scratch.path("keys");
    sanderling(&["keys", "init", "--dir", &keys, "--json"]).json();
    for (role, version, epoch) in [("release", 2, 1), ("fleet", 3, 2), ("root", 4, 2)] {
        let rotated = sanderling(&["keys", "rotate", role, "--dir", &keys, "--json"]).json();
        assert_eq!(rotated["version"], version);
        assert_eq!(rotated["epoch"], epoch);
    }
    // The old root key has no say any more: only the new one makes root 5.
    std::fs::rename(scratch.join("keys/root-v4.key"), scratch.join("away")).expect("made");
    sanderling(&["keys", "rotate", "release", "--dir", &keys])
        .fails(1, &["0 of the root keys are here, and 1 must sign"]);
    std::fs::rename(scratch.join("away"), scratch.join("keys/root-v4.key")).expect("there");
    let shown = sanderling(&["keys", "show", "--dir", &keys, "--json"]).json();
    assert_eq!(shown["version"], 4);
    for (role, file) in [
        (0, "root-v4.key"),
        (1, "release-v2.key"),
        (2, "fleet-v3.key"),
    ] {
        let at = shown["roles"][role]["keys"][0]["file"]
            .as_str()
            .expect("here");
        assert!(at.ends_with(file), "{at}");
    }
}

#[test]
fn a_release_is_signed_away_from_the_fleet() {
    let scratch = Scratch::new();
    let keys = scratch.path("keys");
    let made = [
        "keys",
        "init",
        "--dir",
        &keys,
        "--release-keys",
        "2",
        "--json",
    ];
    sanderling(&made).json();
    let plan = scratch.path("t.plan");
    sanderling(&["compile", TERRAIN, "-o", &plan, "--json"]).json();
    let manifest = scratch.path("t1.manifest");
    let (one, two) = (
        scratch.path("keys/release-1.key"),
        scratch.path("keys/release-2.key"),
    );
    let sign = [
        "sign",
        &plan,
        "--name",
        "terrain",
        "--version",
        "3",
        "--floor",
        "2",
        "--key",
        &one,
        "-o",
        &manifest,
        "--json",
    ];
    let signed = sanderling(&sign).json();
    assert_eq!(signed["artifacts"][0]["target"], "generic");
    assert_eq!(signed["keys"].as_array().expect("a list").len(), 1);
    // A second key signs the same bytes; the same key again changes nothing.
    for (key, count) in [(&two, 2), (&one, 2)] {
        let again = ["sign", &manifest, "--key", key, "-o", &manifest, "--json"];
        let signed = sanderling(&again).json();
        assert_eq!(signed["keys"].as_array().expect("a list").len(), count);
        assert_eq!(signed["floor"], 2);
    }
    let fleet = scratch.path("keys/fleet.key");
    let by_fleet = ["sign", &manifest, "--key", &fleet, "-o", &manifest];
    sanderling(&by_fleet).fails(1, &["is a fleet key, and a release key is needed"]);
    let changed = [
        "sign",
        &manifest,
        "--version",
        "4",
        "--key",
        &one,
        "-o",
        &manifest,
    ];
    sanderling(&changed).fails(1, &["is for terrain v3"]);
    let floor = [
        "sign",
        &plan,
        "--name",
        "terrain",
        "--version",
        "3",
        "--floor",
        "4",
        "--key",
        &one,
        "-o",
        &manifest,
    ];
    sanderling(&floor).fails(1, &["not below --floor"]);
    sanderling(&["sign", &plan, "--key", &one, "-o", &manifest])
        .fails(1, &["--name and --version"]);
}
