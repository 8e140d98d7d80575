//! Random small graphs against ONNX Runtime: models/opsuite/random_graphs.py draws them with
//! ONNX Runtime's answers, and the compiled plan in the engine must give the same bits.
//!
//! `SANDERLING_GRAPHS` says how many, `SANDERLING_SEED` which; `cargo xtask fuzz --graphs N`
//! sets both.

use sanderling_compiler::Options;
use sanderling_executor::frames::{self, Array};
use sanderling_executor::{Choice, Model};
use sanderling_plan::{Dtype, Target};
use sanderling_tests::{python, root, skipped};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Graphs that are drawn, written, and checked at a time.
const BATCH: usize = 100;
/// How often a long run says where it is.
const NEWS: Duration = Duration::from_secs(20);

#[derive(serde::Deserialize)]
struct Index {
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    operator: String,
    tolerance: f64,
    output_scale: f64,
}

#[test]
fn random_graphs_give_onnx_runtimes_bits() {
    let Some(python) = python() else {
        skipped("no Python environment (run `cargo xtask setup`)");
        return;
    };
    let number = |name: &str, default: usize| match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    };
    let (graphs, seed) = (
        number("SANDERLING_GRAPHS", 200),
        number("SANDERLING_SEED", 1),
    );
    println!("{graphs} graphs, seed {seed}");
    let tiles = sanderling_engine::targets().any(|target| target == Target::CortexM4);
    let (mut values, mut failures, mut news) = (0, Vec::new(), Instant::now());
    for first in (0..graphs).step_by(BATCH) {
        let folder = tempfile::tempdir().unwrap();
        let count = BATCH.min(graphs - first);
        draw(&python, folder.path(), [seed, first, count]);
        let index = std::fs::read(folder.path().join("index.json")).unwrap();
        let index: Index = serde_json::from_slice(&index).unwrap();
        assert_eq!(index.cases.len(), count);
        for case in &index.cases {
            let onnx = folder.path().join(format!("{}.onnx", case.name));
            let mut models = vec![onnx.clone()];
            // Where this build has the loops of Cortex-M4 or their twin.
            if tiles {
                models.push(by_tiles(&onnx));
            }
            for model in models {
                match check(folder.path(), case, &model) {
                    Ok(checked) => values += checked,
                    Err(why) => failures.push(format!("{} ({}): {why}", case.name, case.operator)),
                }
            }
        }
        if news.elapsed() > NEWS {
            let (done, failed) = (first + count, failures.len());
            println!("{done} of {graphs} graphs, {values} values, {failed} failures");
            news = Instant::now();
        }
    }
    println!("{graphs} graphs, {values} values compared");
    assert!(
        failures.is_empty(),
        "seed {seed}: {} of {graphs} graphs fail; `random_graphs.py OUT --seed {seed} --first NUMBER --count 1` draws one again:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn draw(python: &Path, into: &Path, [seed, first, count]: [usize; 3]) {
    let made = Command::new(python)
        .arg(root().join("models/opsuite/random_graphs.py"))
        .arg(into)
        .args(["--seed", &seed.to_string()])
        .args(["--first", &first.to_string()])
        .args(["--count", &count.to_string()])
        .env("ORT_DISABLE_TELEMETRY", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "seed {seed}, from {first}: {said}");
}

/// Compiles a model for Cortex-M4 with Winograd's algorithm wherever that is possible.
fn by_tiles(onnx: &Path) -> PathBuf {
    let options = Options {
        target: Target::CortexM4,
        winograd: Some(usize::MAX),
        ..Options::default()
    };
    let plan = onnx.with_extension("plan");
    let compiled = sanderling_compiler::compile(&std::fs::read(onnx).unwrap(), &options);
    // What cannot be compiled fails without the option, too.
    match compiled {
        Ok(compiled) => std::fs::write(&plan, compiled.plan).unwrap(),
        Err(_) => return onnx.to_owned(),
    }
    plan
}

/// How many values were compared, or what differs.
fn check(folder: &Path, case: &Case, model: &Path) -> Result<usize, String> {
    let arrays = folder.join(format!("{}.npz", case.name));
    let read = |name| frames::read(&arrays, name).map_err(|e| e.to_string());
    let (input, expected) = (read("input")?, read("output")?);
    let mut model = Model::open(model, Choice::Engine).map_err(|e| e.to_string())?;
    model.self_test().map_err(|e| e.to_string())?;
    let (mut differing, mut worst, mut total) = (0, 0.0f64, 0);
    for index in 0..input.frames() {
        let frame = input.frame(index).ok_or("a frame is missing")?;
        model.input_mut(0).copy_from_slice(frame);
        model.run().map_err(|e| e.to_string())?;
        let ours = reals(model.output(0), model.outputs()[0].dtype)?;
        let theirs = frame_reals(&expected, index)?;
        if ours.len() != theirs.len() {
            let (ours, theirs) = (ours.len(), theirs.len());
            return Err(format!("{ours} elements instead of {theirs}"));
        }
        for (a, b) in ours.iter().zip(&theirs) {
            worst = worst.max(((a - b) / case.output_scale).abs());
            differing += usize::from(a != b);
        }
        total += ours.len();
    }
    // Float outputs are a whole number of steps apart but for their last bits.
    if worst > case.tolerance + 1e-3 || (case.tolerance == 0.0 && differing > 0) {
        return Err(format!(
            "{differing} of {total} differ, by up to {worst:.2} steps"
        ));
    }
    Ok(total)
}

fn frame_reals(array: &Array, index: usize) -> Result<Vec<f64>, String> {
    let dtype = array.header.element.dtype();
    let frame = array.frame(index).ok_or("a frame of outputs is missing")?;
    reals(frame, dtype.ok_or("an output of an odd type")?)
}

fn reals(bytes: &[u8], dtype: Dtype) -> Result<Vec<f64>, String> {
    match dtype {
        Dtype::I8 => Ok(bytes.iter().map(|&b| f64::from(b as i8)).collect()),
        Dtype::U8 => Ok(bytes.iter().map(|&b| f64::from(b)).collect()),
        Dtype::F32 => Ok(bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&word| f64::from(f32::from_le_bytes(word)))
            .collect()),
        other => Err(format!("an output of {other}")),
    }
}
