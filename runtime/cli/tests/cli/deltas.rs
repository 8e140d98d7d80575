//! Deltas with real processes: what robots pull of a model whose last layer was trained on.

use crate::process::{Scratch, read, sanderling};
use crate::rollout::{DEADLINE, Fleet};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Instant;

const TERRAIN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/terrain/terrain-v2.onnx"
);

/// The model with other weights in its last layer, another `seed` with others again.
fn retrained(scratch: &Scratch, name: &str, seed: u32) -> String {
    let mut bytes = std::fs::read(TERRAIN).expect("is in the repository");
    // In a TensorProto `raw_data` (field 9) follows the name; its length is a varint.
    let mark = b"_weight_quantized\x4a";
    let at = bytes.windows(mark.len()).rposition(|part| part == mark);
    let mut at = at.expect("the last layer has weights") + mark.len();
    let (mut length, mut shift) = (0usize, 0);
    loop {
        length |= usize::from(bytes[at] & 0x7F) << shift;
        shift += 7;
        at += 1;
        if bytes[at - 1] & 0x80 == 0 {
            break;
        }
    }
    assert_eq!(length, 5 * 64, "five classes of 64 means");
    let mut draw = seed;
    for weight in &mut bytes[at..at + length] {
        draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let moved = i32::from(*weight as i8) + (draw >> 27) as i32 - 16;
        *weight = moved.clamp(-127, 127) as i8 as u8;
    }
    scratch.put(name, &bytes)
}

/// A device as the coordinator lists it.
fn device(fleet: &Fleet, name: &str) -> Value {
    let devices = fleet.sanderling(&["devices"]).json();
    let list = devices["devices"].as_array().expect("is a list");
    let found = list.iter().find(|device| device["name"] == name);
    found.cloned().unwrap_or(Value::Null)
}

/// Waits until a device runs a version and has said so in a health report; bytes that it has pulled by then.
fn pulled(fleet: &Fleet, name: &str, version: u64, more_than: u64) -> u64 {
    let start = Instant::now();
    loop {
        let device = device(fleet, name);
        let bytes = device["health"]["pulled_bytes"].as_u64().unwrap_or(0);
        if device["running"]["version"] == version
            && device["standing"] == "in_step"
            && bytes > more_than
        {
            return bytes;
        }
        assert!(
            start.elapsed() < DEADLINE,
            "{name} runs v{version}: {device:#}"
        );
    }
}

/// The delta files in the coordinator's store.
fn stored(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("is a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(stored(&path));
        } else if read(path.display().to_string()).starts_with(b"SDLT") {
            found.push(path);
        }
    }
    found
}

/// Flips a bit in the middle of each.
fn damage(files: &[PathBuf]) {
    for file in files {
        let mut bytes = std::fs::read(file).expect("is readable");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        std::fs::write(file, bytes).expect("is writable");
    }
}

fn register(fleet: &Fleet, model: &str, version: &str, more: &[&str]) -> u64 {
    let args = ["register", model, "--name", "terrain", "--version", version];
    let registered = fleet.sanderling(&[&args[..], more].concat()).json();
    let size = &registered["plans"][0]["artifact"]["size"];
    size.as_u64().expect("is a number")
}

#[test]
fn a_robot_with_the_version_before_pulls_the_new_head_and_no_more() {
    let Some(mut fleet) = Fleet::start() else {
        return;
    };
    let full = register(&fleet, TERRAIN, "1", &[]);
    fleet.agent("old");
    fleet
        .sanderling(&["push", "terrain", "--version", "1"])
        .json();
    let before = pulled(&fleet, "old", 1, 0);
    assert_eq!(before, full, "without a base it is the full file");

    let second = retrained(&fleet.scratch, "second.onnx", 1);
    let full = register(&fleet, &second, "2", &[]);
    fleet.agent("new");
    fleet
        .sanderling(&["push", "terrain", "--version", "2"])
        .json();
    let after = pulled(&fleet, "old", 2, before);
    let share = after - before;
    println!(
        "{share} of {full} bytes by delta: {:.1} %",
        share as f64 * 100.0 / full as f64
    );
    assert!(share * 100 <= full * 15, "{share} of {full} bytes");
    let fresh = pulled(&fleet, "new", 2, 0);
    // It may have taken v1 first, which is the same story.
    assert!(fresh >= full, "{fresh} of {full} bytes");

    // A delta that the disk damaged costs the robots nothing but bytes.
    let third = retrained(&fleet.scratch, "third.onnx", 2);
    register(&fleet, &third, "3", &[]);
    let files = stored(Path::new(&fleet.scratch.path("data/objects")));
    assert!(files.len() >= 2, "{files:?}");
    damage(&files);
    fleet
        .sanderling(&["push", "terrain", "--version", "3"])
        .json();
    let last = pulled(&fleet, "old", 3, after);
    assert!(last - after > 4096, "{} of {full} bytes", last - after);

    // Back to v1: a delta is made for that too, when it is wanted.
    fleet
        .sanderling(&["push", "terrain", "--version", "1"])
        .json();
    let back = pulled(&fleet, "old", 1, last);
    assert!(
        (back - last) * 100 <= full * 15,
        "{} of {full} bytes",
        back - last
    );
}

#[test]
fn a_signed_fleet_takes_the_deltas_that_were_signed() {
    let scratch = Scratch::new();
    let keys = scratch.path("keys");
    sanderling(&["keys", "init", "--dir", &keys, "--json"]).json();
    let Some(mut fleet) = Fleet::start_with(scratch, &["--keys", &keys]) else {
        return;
    };
    let key = format!("{keys}/release.key");
    let compile = |model: &str, name: &str| {
        let plan = fleet.scratch.path(name);
        sanderling(&["compile", model, "-o", &plan, "--json"]).json();
        plan
    };
    let first = compile(TERRAIN, "first.plan");
    let second = compile(&retrained(&fleet.scratch, "second.onnx", 1), "second.plan");
    let full = register(&fleet, &first, "1", &["--key", &key]);
    fleet.agent_with("old", &["--root", &format!("{keys}/root")]);
    fleet
        .sanderling(&["push", "terrain", "--version", "1"])
        .json();
    let before = pulled(&fleet, "old", 1, 0);
    assert_eq!(before, full);

    // Signed away from the fleet: the manifest names the delta, which lies beside it.
    let manifest = fleet.scratch.path("away/terrain-2.manifest");
    std::fs::create_dir(fleet.scratch.path("away")).expect("is writable");
    let sign = [
        "sign",
        &second,
        "--name",
        "terrain",
        "--version",
        "2",
        "--delta-from",
        &first,
        "--key",
        &key,
        "-o",
        &manifest,
        "--json",
    ];
    let signed = sanderling(&sign).json();
    let delta = &signed["deltas"][0];
    let size = delta["size"].as_u64().expect("is a number");
    assert!(size * 100 <= full * 15, "{size} of {full} bytes");
    let digest = delta["digest"].as_str().expect("is text");
    let file = fleet.scratch.path(&format!("away/{}.delta", &digest[..16]));
    assert_eq!(read(&file).len() as u64, size);

    // Without the file nothing is attached, and the message names it.
    let elsewhere = fleet.scratch.path("elsewhere.delta");
    std::fs::rename(&file, &elsewhere).expect("is there");
    let args = [
        "register",
        &second,
        "--name",
        "terrain",
        "--version",
        "2",
        "--manifest",
        &manifest,
    ];
    fleet.sanderling(&args).fails(
        1,
        &["names the delta", &digest[..16], "beside the manifest"],
    );
    fleet
        .sanderling(&["push", "terrain", "--version", "2"])
        .fails(1, &["no manifest"]);
    // With a damaged one neither.
    let mut damaged = read(&elsewhere);
    damaged[200] ^= 1;
    std::fs::write(&file, damaged).expect("is writable");
    fleet.sanderling(&args).fails(1, &["is not the delta"]);
    std::fs::rename(&elsewhere, &file).expect("is there");
    fleet.sanderling(&args).json();
    fleet
        .sanderling(&["push", "terrain", "--version", "2"])
        .json();
    let after = pulled(&fleet, "old", 2, before);
    assert_eq!(after - before, size, "as many bytes as were signed");

    // Wherever a manifest is signed once more, its deltas go with it.
    let moved = fleet.scratch.path("moved");
    std::fs::create_dir(&moved).expect("is writable");
    let again = [
        "sign",
        &manifest,
        "--key",
        &key,
        "-o",
        &format!("{moved}/terrain-2.manifest"),
        "--json",
    ];
    sanderling(&again).json();
    let beside = format!("{moved}/{}.delta", &digest[..16]);
    assert_eq!(read(beside).len() as u64, size);

    // The coordinator makes none of its own here, and a further signature changes nothing.
    let files = stored(Path::new(&fleet.scratch.path("data/objects")));
    assert_eq!(files.len(), 1, "{files:?}");
    let again = [
        "sign",
        &manifest,
        "--key",
        &key,
        "--delta-from",
        &first,
        "-o",
        &manifest,
    ];
    sanderling(&again).fails(1, &["--delta-from is for a new manifest"]);
    let unsigned = [
        "register",
        &second,
        "--name",
        "terrain",
        "--delta-from",
        &first,
    ];
    fleet
        .sanderling(&unsigned)
        .fails(1, &["--delta-from needs --key"]);
}
