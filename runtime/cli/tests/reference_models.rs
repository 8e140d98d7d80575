//! Both reference networks, in float and int8 input and output, against the stored answers
//! of ONNX Runtime: every frame through `sanderling run --executor engine`.
//!
//! They lie beside the checkout, in `../shared/models` or `$SANDERLING_SHARED/models`, and
//! are no part of it; without them the test says so and passes.
#![cfg(feature = "tract")]

use sanderling_executor::frames::{Array, read};
use sanderling_plan::Dtype;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Both networks end in a softmax with a step of 1/256, where one step may differ.
const STEP: f32 = 1.0 / 256.0;

fn models() -> Option<PathBuf> {
    let shared = match std::env::var_os("SANDERLING_SHARED") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let models = shared.join("models");
    if models.is_dir() {
        return Some(models);
    }
    println!("skipped: no reference models at {}", models.display());
    None
}

/// The answers of the engine to the frames of `recording`.
fn run(model: &Path, recording: &Path, more: &[&str]) -> Array {
    let scratch = tempfile::tempdir().expect("a directory");
    let output = scratch.path().join("out.npz");
    let done = Command::new("timeout")
        .args([
            "--kill-after=5",
            "300",
            env!("CARGO_BIN_EXE_sanderling"),
            "run",
        ])
        .arg(model)
        .args(["--executor", "engine", "--input"])
        .arg(recording)
        .arg("--output")
        .arg(&output)
        .args(more)
        .output()
        .expect("timeout of the coreutils starts");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    read(&output, "output").expect("has answers")
}

fn floats(array: &Array) -> Vec<f32> {
    array
        .bytes()
        .as_chunks()
        .0
        .iter()
        .map(|word| f32::from_le_bytes(*word))
        .collect()
}

fn compare(network: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    let differing: Vec<f32> = got
        .iter()
        .zip(expected)
        .map(|(g, e)| (g - e).abs())
        .filter(|&d| d != 0.0)
        .collect();
    println!(
        "{network}: {} of {} values differ",
        differing.len(),
        got.len()
    );
    assert!(
        differing.iter().all(|&d| d <= STEP),
        "{network}: by {differing:?}"
    );
    // One step at the softmax is allowed for, and is rare.
    assert!(
        differing.len() * 1000 <= got.len(),
        "{network}: {} differ",
        differing.len()
    );
}

fn check(network: &str, recording: &str, permute: &[&str]) {
    let Some(models) = models() else { return };
    let recording = models.join(recording);
    let expected_array = read(&recording, "output").expect("has ONNX Runtime's answers");
    let expected = floats(&expected_array);

    let got = run(&models.join(format!("{network}.onnx")), &recording, &[]);
    assert_eq!(got.header.shape, expected_array.header.shape);
    compare(network, &floats(&got), &expected);

    let int8 = format!("{network}_i8io");
    let got = run(&models.join(format!("{int8}.onnx")), &recording, permute);
    assert_eq!(got.header.element.dtype(), Some(Dtype::I8));
    assert_eq!(got.header.shape, expected_array.header.shape);
    let got: Vec<f32> = got
        .bytes()
        .iter()
        .map(|b| f32::from(b.cast_signed()) * STEP + 128.0 * STEP)
        .collect();
    compare(&int8, &got, &expected);
}

#[test]
fn ic01_gives_onnx_runtime_s_answers() {
    // The stored int8 frames are NCHW, the int8 model takes NHWC.
    check(
        "ic01_resnet8_int8_qdq",
        "ic01_resnet8.npz",
        &["--permute", "0,2,3,1"],
    );
}

#[test]
fn kws01_gives_onnx_runtime_s_answers() {
    check("kws01_dscnn_int8_qdq", "kws01_dscnn.npz", &[]);
}
