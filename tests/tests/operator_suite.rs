//! Every operator against ONNX Runtime: models/opsuite makes small models with ONNX
//! Runtime's answers, and the compiled plan in the engine must give the same bits.

use sanderling_executor::frames::{self, Array};
use sanderling_executor::{Choice, Model};
use sanderling_plan::Dtype;
use sanderling_tests::{python, root, skipped};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(serde::Deserialize)]
struct Index {
    seed: u64,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    operator: String,
    tolerance: f64,
    output_scale: f64,
}

/// Cases that have no integer form, and what the refusal must say. ONNX Runtime runs
/// these convolutions in float; the engine says so instead of coming close.
const REFUSED: &[(&str, &str)] = &[
    (
        "conv_then_leaky",
        "put QuantizeLinear and DequantizeLinear after that node",
    ),
    (
        "conv_then_leaky_u8",
        "put QuantizeLinear and DequantizeLinear after that node",
    ),
];

#[test]
fn the_engine_gives_onnx_runtimes_bits() {
    let temporary = tempfile::tempdir().unwrap();
    let Some(suite) = suite(temporary.path()) else {
        return;
    };
    let index: Index =
        serde_json::from_slice(&std::fs::read(suite.join("index.json")).unwrap()).unwrap();
    println!("{} cases, seed {}", index.cases.len(), index.seed);
    let mut failures = Vec::new();
    let mut passed: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &index.cases {
        match check(&suite, case) {
            Ok(()) => *passed.entry(&case.operator).or_default() += 1,
            Err(why) => failures.push(format!("{}: {why}", case.name)),
        }
    }
    println!("{passed:?}");
    assert!(!index.cases.is_empty(), "the suite is empty");
    assert!(
        failures.is_empty(),
        "{} cases fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// The suite's folder: made anew, or the one that `SANDERLING_OPSUITE` names.
fn suite(into: &Path) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("SANDERLING_OPSUITE") {
        return Some(folder.into());
    }
    let Some(python) = python() else {
        skipped("no Python environment (run `cargo xtask setup`)");
        return None;
    };
    let made = Command::new(python)
        .arg(root().join("models/opsuite/make.py"))
        .arg(into)
        .env("ORT_DISABLE_TELEMETRY", "1")
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    Some(into.to_owned())
}

fn check(suite: &Path, case: &Case) -> Result<(), String> {
    let onnx = suite.join(format!("{}.onnx", case.name));
    let arrays = suite.join(format!("{}.npz", case.name));
    let input = frames::read(&arrays, "input").map_err(|e| e.to_string())?;
    let expected = frames::read(&arrays, "output").map_err(|e| e.to_string())?;
    let mut model = match (Model::open(&onnx, Choice::Engine), refusal(&case.name)) {
        (Ok(model), None) => model,
        (Err(error), Some(why)) if error.to_string().contains(why) => return Ok(()),
        (Err(error), _) => return Err(error.to_string()),
        (Ok(_), Some(_)) => return Err("it compiles, yet it is listed as refused".into()),
    };
    model.self_test().map_err(|e| e.to_string())?;
    let (mut worst, mut differing, mut total) = (0.0f64, 0, 0);
    for index in 0..input.frames() {
        let frame = input.frame(index).ok_or("a frame is missing")?;
        model.input_mut(0).copy_from_slice(frame);
        model.run().map_err(|e| e.to_string())?;
        let dtype = model.outputs()[0].dtype;
        let ours = reals(model.output(0), dtype);
        let theirs = frame_reals(&expected, index)?;
        if ours.len() != theirs.len() {
            return Err(format!(
                "{} elements instead of {}",
                ours.len(),
                theirs.len()
            ));
        }
        for (a, b) in ours.iter().zip(&theirs) {
            let steps = ((a - b) / case.output_scale).abs();
            worst = worst.max(steps);
            differing += usize::from(a != b);
            total += 1;
        }
    }
    // Float outputs are a whole number of steps apart but for their last bits.
    if worst > case.tolerance + 1e-3 || (case.tolerance == 0.0 && differing > 0) {
        return Err(format!(
            "{differing} of {total} differ, by up to {worst:.2} steps"
        ));
    }
    Ok(())
}

fn refusal(case: &str) -> Option<&'static str> {
    REFUSED
        .iter()
        .find(|(name, _)| *name == case)
        .map(|(_, why)| *why)
}

fn frame_reals(array: &Array, index: usize) -> Result<Vec<f64>, String> {
    let dtype = array
        .header
        .element
        .dtype()
        .ok_or("an output of an odd type")?;
    Ok(reals(
        array.frame(index).ok_or("a frame of outputs is missing")?,
        dtype,
    ))
}

fn reals(bytes: &[u8], dtype: Dtype) -> Vec<f64> {
    match dtype {
        Dtype::I8 => bytes.iter().map(|&b| f64::from(b as i8)).collect(),
        Dtype::U8 => bytes.iter().map(|&b| f64::from(b)).collect(),
        _ => bytes
            .chunks_exact(4)
            .map(|word| f64::from(f32::from_le_bytes([word[0], word[1], word[2], word[3]])))
            .collect(),
    }
}
