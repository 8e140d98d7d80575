//! Partly float models against ONNX Runtime: models/opsuite/mixed.py makes them with ONNX
//! Runtime's answers; integer parts must give its bits, float parts come close.

use sanderling_executor::frames::{self, Array};
use sanderling_executor::{Choice, Model};
use sanderling_plan::Dtype;
use sanderling_tests::{python, root, skipped};
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
    regions: usize,
    outputs: Vec<Output>,
}

#[derive(serde::Deserialize)]
struct Output {
    name: String,
    steps: f64,
    scale: f64,
}

/// Runs one of the suite's programs; `None` where there is no Python to run it.
fn make(program: &str, arguments: &[&str], into: &Path) -> Option<PathBuf> {
    let Some(python) = python() else {
        skipped("no Python environment (run `cargo xtask setup`)");
        return None;
    };
    let made = Command::new(python)
        .arg(root().join("models/opsuite").join(program))
        .arg(into)
        .args(arguments)
        .env("ORT_DISABLE_TELEMETRY", "1")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{errors}");
    Some(into.to_owned())
}

#[test]
fn integer_parts_give_onnx_runtimes_bits_and_float_parts_come_close() {
    let temporary = tempfile::tempdir().unwrap();
    let Some(suite) = make("mixed.py", &[], temporary.path()) else {
        return;
    };
    let index = std::fs::read(suite.join("index.json")).unwrap();
    let index: Index = serde_json::from_slice(&index).unwrap();
    println!("{} cases, seed {}", index.cases.len(), index.seed);
    assert!(!index.cases.is_empty(), "the suite is empty");
    let failures: Vec<String> = (index.cases.iter())
        .filter_map(|case| Some(format!("{}: {}", case.name, check(&suite, case).err()?)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check(suite: &Path, case: &Case) -> Result<(), String> {
    let onnx = suite.join(format!("{}.onnx", case.name));
    let arrays = suite.join(format!("{}.npz", case.name));
    let read = |name: &str| frames::read(&arrays, name).map_err(|e| e.to_string());
    let mut model = match Model::open(&onnx, Choice::Mixed) {
        Ok(model) => model,
        Err(error) if case.regions == 0 => {
            let said = error.to_string();
            let expected = "no part of the model runs as integers";
            return if said.contains(expected) {
                Ok(())
            } else {
                Err(said)
            };
        }
        Err(error) => return Err(error.to_string()),
    };
    let regions = model.regions().map_or(0, |cut| cut.regions.len());
    if regions != case.regions {
        return Err(format!("{regions} regions instead of {}", case.regions));
    }
    let vectors = model.self_test().map_err(|e| e.to_string())?;
    if vectors < regions {
        return Err(format!("{vectors} golden vectors for {regions} regions"));
    }
    let input = read("input")?;
    for (number, output) in case.outputs.iter().enumerate() {
        let expected = read(&output.name)?;
        let dtype = model.outputs()[number].dtype;
        for index in 0..input.frames() {
            run(&mut model, &input, index)?;
            let ours = reals(model.output(number), dtype);
            let theirs = reals(expected.frame(index).unwrap_or_default(), dtype);
            let worst = (ours.iter().zip(&theirs))
                .map(|(a, b)| (a - b).abs() / output.scale)
                .fold(0.0, f64::max);
            if ours.len() != theirs.len() || worst > output.steps {
                let name = &output.name;
                return Err(format!("frame {index}: `{name}` differs by {worst} steps"));
            }
        }
    }
    Ok(())
}

/// What the engine takes as a whole is one region, and nothing is left to tract.
#[test]
fn an_integer_model_is_one_region_with_the_engines_bits() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = match std::env::var_os("SANDERLING_OPSUITE") {
        Some(folder) => Some(folder.into()),
        None => make("make.py", &["--only", "net"], temporary.path()),
    };
    let Some(folder) = folder else { return };
    let mut checked = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let is_model = path
            .extension()
            .is_some_and(|extension| extension == "onnx");
        if !is_model {
            continue;
        }
        let Ok(mut engine) = Model::open(&path, Choice::Engine) else {
            continue;
        };
        let shown = path.display();
        let mut mixed = match Model::open(&path, Choice::Mixed) {
            Ok(mixed) => mixed,
            // A model that only moves values is no region.
            Err(error) if engine.plan().is_some_and(|plan| plan.macs() == 0) => {
                assert!(error.to_string().contains("no part"), "{shown}: {error}");
                continue;
            }
            Err(error) => panic!("{shown}: {error}"),
        };
        let cut = mixed.regions().unwrap();
        assert_eq!(
            (cut.regions.len(), cut.rest.len(), cut.borders),
            (1, 0, 0),
            "{shown}"
        );
        assert_eq!(mixed.inputs(), engine.inputs(), "{shown}");
        assert_eq!(mixed.outputs(), engine.outputs(), "{shown}");
        let input = frames::read(&path.with_extension("npz"), "input").unwrap();
        for index in 0..input.frames() {
            run(&mut engine, &input, index).unwrap();
            run(&mut mixed, &input, index).unwrap();
            assert_eq!(engine.output(0), mixed.output(0), "{shown}: frame {index}");
        }
        checked += 1;
    }
    println!("{checked} models");
    assert!(checked > 0, "no model in {}", folder.display());
}

fn run(model: &mut Model, input: &Array, index: usize) -> Result<(), String> {
    let frame = input.frame(index).ok_or("a frame is missing")?;
    model.input_mut(0).copy_from_slice(frame);
    model.run().map_err(|e| e.to_string())
}

fn reals(bytes: &[u8], dtype: Dtype) -> Vec<f64> {
    match dtype {
        Dtype::I8 => bytes.iter().map(|&b| f64::from(b as i8)).collect(),
        Dtype::U8 => bytes.iter().map(|&b| f64::from(b)).collect(),
        _ => (bytes.as_chunks().0.iter())
            .map(|word| f64::from(f32::from_le_bytes(*word)))
            .collect(),
    }
}
