//! Every attribute that ONNX gives to an operator the engine has, in every operator set: the
//! engine answers as ONNX Runtime does, or refuses the model and names the attribute.
//! models/opsuite/attributes.py walks the schemas of the `onnx` package.

use sanderling_compiler::import::declared;
use sanderling_executor::frames::{self, Array};
use sanderling_executor::{Choice, Model};
use sanderling_plan::Dtype;
use sanderling_tests::{python, root, skipped};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

#[derive(serde::Deserialize)]
struct Index {
    cases: Vec<Case>,
    left_out: Vec<LeftOut>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    operator: String,
    opset: i64,
    /// Absent where none is set that need not be.
    attribute: Option<String>,
    value: serde_json::Value,
    /// Whether ONNX Runtime itself computes in integers, so that every bit must be the same.
    fused: bool,
}

#[derive(serde::Deserialize)]
struct LeftOut {
    name: String,
    why: String,
}

/// Where ONNX Runtime computes in float between the integers, a value on the edge of two may
/// come out as either; a misread attribute moves many, and far.
const EDGES: usize = 200;

#[test]
fn every_attribute_of_every_operator_set_is_computed_or_named() {
    let Some(python) = python() else {
        skipped("no Python environment (run `cargo xtask setup`)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let operators: Vec<&str> = declared("ai.onnx").collect();
    let made = Command::new(python)
        .arg(root().join("models/opsuite/attributes.py"))
        .arg(folder.path())
        .args(["--operators", &operators.join(",")])
        .env("ORT_DISABLE_TELEMETRY", "1")
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let index = std::fs::read(folder.path().join("index.json")).unwrap();
    let index: Index = serde_json::from_slice(&index).unwrap();
    assert!(index.cases.len() > 600, "{} cases", index.cases.len());
    for LeftOut { name, why } in &index.left_out {
        println!("ONNX Runtime does not take {name}: {why}");
    }
    let (mut same, mut named) = (0, 0);
    // What the operator is refused for without any attribute.
    let mut plain: HashMap<(&str, i64), String> = HashMap::new();
    let mut failures = Vec::new();
    for case in &index.cases {
        match run(folder.path(), case) {
            Ok(()) => same += 1,
            Err(Fault::Refused(why)) => match &case.attribute {
                None => {
                    println!("{} is refused: {why}", case.name);
                    plain.insert((&case.operator, case.opset), why);
                }
                Some(attribute) if names(&why, attribute, &case.value) => named += 1,
                Some(_) if plain.get(&(case.operator.as_str(), case.opset)) == Some(&why) => {}
                Some(_) => failures.push(format!("{}: the cause is not named: {why}", case.name)),
            },
            Err(Fault::Differs(why)) => failures.push(format!("{}: {why}", case.name)),
        }
    }
    println!(
        "{same} of {} the same, {named} refused by name",
        index.cases.len()
    );
    assert!(
        failures.is_empty(),
        "{} fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(same > 400, "only {same} run");
}

/// Whether a refusal speaks of the attribute, or of the word that it has as its value.
fn names(why: &str, attribute: &str, value: &serde_json::Value) -> bool {
    why.contains(attribute) || value.as_str().is_some_and(|word| why.contains(word))
}

enum Fault {
    Refused(String),
    Differs(String),
}

fn run(folder: &Path, case: &Case) -> Result<(), Fault> {
    let model = folder.join(format!("{}.onnx", case.name));
    let arrays = folder.join(format!("{}.npz", case.name));
    let mut model =
        Model::open(&model, Choice::Engine).map_err(|e| Fault::Refused(e.to_string()))?;
    let read = |name: &str| frames::read(&arrays, name).map_err(|e| Fault::Differs(e.to_string()));
    let input = read("input")?;
    let names: Vec<String> = model
        .outputs()
        .iter()
        .map(|info| info.name.clone())
        .collect();
    let expected: Vec<Array> = names.iter().map(|n| read(n)).collect::<Result<_, _>>()?;
    let (mut differing, mut total) = (0, 0);
    for frame in 0..input.frames() {
        let bytes = input.frame(frame).ok_or_else(|| lacks("the input"))?;
        if model.input_mut(0).len() != bytes.len() {
            return Err(Fault::Differs("its input has another shape".to_owned()));
        }
        model.input_mut(0).copy_from_slice(bytes);
        model.run().map_err(|e| Fault::Differs(e.to_string()))?;
        for (index, array) in expected.iter().enumerate() {
            let theirs = array.frame(frame).ok_or_else(|| lacks("an output"))?;
            let (ours, info) = (model.output(index), &model.outputs()[index]);
            if ours.len() != theirs.len() {
                let (ours, theirs) = (ours.len(), theirs.len());
                return Err(Fault::Differs(format!("{ours} bytes instead of {theirs}")));
            }
            for (a, b) in elements(ours, info.dtype).zip(elements(theirs, info.dtype)) {
                total += 1;
                differing += usize::from(a != b);
            }
        }
    }
    let allowed = if case.fused { 0 } else { total / EDGES };
    match differing <= allowed {
        true => Ok(()),
        false => Err(Fault::Differs(format!("{differing} of {total} differ"))),
    }
}

fn lacks(what: &str) -> Fault {
    Fault::Differs(format!("{what} has no such frame"))
}

/// Elements of a tensor, where 0 and -0 are one.
fn elements(bytes: &[u8], dtype: Dtype) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks(dtype.bytes()).map(move |element| {
        let mut word = [0; 4];
        word[..element.len()].copy_from_slice(element);
        match u32::from_le_bytes(word) {
            0x8000_0000 if dtype == Dtype::F32 => 0,
            word => word,
        }
    })
}
