//! `compare`: the engine against a real ONNX Runtime, and what is said where there is none.

use crate::onnx_file;
use crate::process::{Scratch, sanderling};
use crate::run::{floats, int8s, save};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python of models/: `SANDERLING_PYTHON`, or the environment that `cargo xtask setup` makes.
fn python() -> Option<PathBuf> {
    let made = || {
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
        Some(cache.join("sanderling/venv/bin/python"))
    };
    let python = std::env::var_os("SANDERLING_PYTHON")
        .map(PathBuf::from)
        .or_else(made)
        .filter(|python| python.is_file());
    if python.is_none() {
        println!("skipped: no Python environment (run `cargo xtask setup`)");
    }
    python
}

/// Writes the networks of models/zoo/proof.py, whose sums saturate 16 bits, and their frames and answers.
const NETWORKS: &str = "\
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from zoo import proof
for number, (name, model, frames, answers) in enumerate(proof.networks()):
    open(f'{sys.argv[2]}/{number}.onnx', 'wb').write(model.SerializeToString())
    np.savez(f'{sys.argv[2]}/{number}.npz', input=frames, output=answers)
    print(name)
";

fn networks(python: &Path, into: &Scratch) -> Vec<String> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let made = Command::new(python)
        .args(["-c", NETWORKS])
        .args([&models, &into.join("")])
        .env("ORT_DISABLE_TELEMETRY", "1")
        .output()
        .expect("Python starts");
    let errors = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{errors}");
    let names = String::from_utf8(made.stdout).expect("is text");
    names.lines().map(str::to_owned).collect()
}

fn setting<'a>(json: &'a Value, name: &str) -> &'a Value {
    let settings = json["settings"].as_array().expect("has settings");
    let mut all = settings.iter();
    all.find(|setting| setting["name"] == name)
        .unwrap_or_else(|| panic!("no setting {name} in {json}"))
}

#[test]
fn a_setting_is_called_exact_where_it_gives_the_integers_and_no_other() {
    let Some(python) = python() else { return };
    let scratch = Scratch::new();
    let shown = python.to_str().expect("is text");
    let names = networks(&python, &scratch);
    assert_eq!(names.len(), 3, "{names:?}");
    for (number, name) in names.iter().enumerate() {
        let model = scratch.path(&format!("{number}.onnx"));
        let frames = scratch.path(&format!("{number}.npz"));
        let done = sanderling(&[
            "compare", &model, "--input", &frames, "--python", shown, "--json",
        ]);
        let json = done.json();
        assert!(
            json["onnxruntime"]
                .as_str()
                .is_some_and(|v| v.contains('.')),
            "{json}"
        );
        assert_eq!(json["frames"], 4);
        assert_eq!(json["agrees"], true, "{name}: {json}");
        let mut saturating = 0;
        for setting in json["settings"].as_array().expect("has settings") {
            let apart = &setting["difference"];
            if setting["exact"] == true {
                assert_eq!(apart["differing"], 0, "{name}: {setting}");
                assert!(setting["why"].is_null(), "{setting}");
                continue;
            }
            let why = setting["why"].as_str().expect("says why");
            assert!(!why.is_empty(), "{setting}");
            if !setting["saturating"].as_object().expect("a map").is_empty() {
                saturating += 1;
                assert!(why.contains("saturate"), "{why}");
                let steps = apart["worst_steps"].as_f64().expect("has steps");
                assert!(steps >= 1.0, "{name}: saturated, yet the same: {setting}");
            }
        }
        // Activations in uint8 are what a processor saturates, if any.
        let plain = &setting(&json, "int8")["saturating"];
        let int8_alone = name.ends_with("of int8 and int8");
        assert!(
            !int8_alone || plain.as_object().expect("a map").is_empty(),
            "{name}: {json}"
        );
        let off = setting(&json, "unoptimized");
        assert!(
            off["why"].as_str().is_some_and(|why| why.contains("Conv")),
            "{off}"
        );

        let text = sanderling(&["compare", &model, "--input", &frames, "--python", shown]);
        assert_eq!(text.code, 0, "{}", text.stderr);
        for part in ["against ONNX Runtime", "as it comes", "exactly with"] {
            assert!(text.stdout.contains(part), "{part}: {}", text.stdout);
        }
        assert_eq!(
            saturating > 0,
            text.stdout.contains("saturate 16-bit sums"),
            "{}",
            text.stdout
        );
    }
}

#[test]
fn a_classifier_s_first_classes_are_compared() {
    let Some(python) = python() else { return };
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let input = save(
        &scratch,
        "in.npz",
        &[int8s("input", &[2, 4], &[5, -5, 0, 127, -128, 1, 2, -3])],
    );
    let shown = python.to_str().expect("is text");
    let json = sanderling(&["compare", &model, "-i", &input, "--python", shown, "--json"]).json();
    let apart = &setting(&json, "int8")["difference"];
    assert_eq!(
        (
            &apart["values"],
            &apart["differing"],
            &apart["top1_differs"]
        ),
        (&8.into(), &0.into(), &0.into()),
        "{json}"
    );
}

#[test]
fn what_is_missing_is_named_with_what_to_do() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let input = save(
        &scratch,
        "in.npz",
        &[int8s("input", &[1, 4], &[1, 2, 3, 4])],
    );
    // Python without any installed package, as a fresh machine has it.
    let bare = scratch.put("bare", b"#!/bin/sh\nexec python3 -I -S \"$@\"\n");
    std::fs::set_permissions(&bare, std::fs::Permissions::from_mode(0o755)).expect("executable");
    sanderling(&["compare", &model, "-i", &input, "--python", &bare]).fails(
        1,
        &["No module named", "pip install onnxruntime", "--python"],
    );
    let none = scratch.path("none");
    sanderling(&["compare", &model, "-i", &input, "--python", &none])
        .fails(1, &["none (cannot start", "pip install onnxruntime"]);

    let plan = scratch.path("m.plan");
    sanderling(&["compile", &model, "-o", &plan, "--json"]).json();
    sanderling(&["compare", &plan, "-i", &input]).fails(1, &["is a plan", "give the ONNX model"]);
    let absent = scratch.path("absent.onnx");
    sanderling(&["compare", &absent, "-i", &input]).fails(1, &["cannot open", "absent.onnx"]);
    let wrong = floats(&scratch, "wrong.npz", "input", &[1, 4], &[0.0; 4]);
    sanderling(&["compare", &model, "-i", &wrong])
        .fails(1, &["takes i8", "quantize the frames first"]);
    let float = scratch.put("f.onnx", &onnx_file::float_model());
    let frames = floats(&scratch, "f.npz", "input", &[1, 3], &[0.0; 3]);
    sanderling(&["compare", &float, "-i", &frames]).fails(1, &["float"]);
}
