//! What the compiler refuses, it refuses with the true cause: each model of
//! models/opsuite/refused.py has one fault, and without it the model compiles.

use sanderling_compiler::{CompileError, Options, compile, regions};
use sanderling_tests::{python, root, skipped};
use std::path::Path;
use std::process::Command;

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    node: String,
    says: Vec<String>,
}

#[test]
fn a_refusal_names_the_node_at_fault_and_the_true_cause() {
    let Some(python) = python() else {
        return skipped("no Python environment (run `cargo xtask setup`)");
    };
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(python)
        .arg(root().join("models/opsuite/refused.py"))
        .arg(folder.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{errors}");
    let index = std::fs::read(folder.path().join("index.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_slice(&index).unwrap();
    assert!(!cases.is_empty());
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            Some(format!(
                "{}: {}",
                case.name,
                check(folder.path(), case).err()?
            ))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check(folder: &Path, case: &Case) -> Result<(), String> {
    let read = |name: String| std::fs::read(folder.join(name)).map_err(|error| error.to_string());
    let mended = read(format!("{}.mended.onnx", case.name))?;
    let options = Options::default();
    compile(&mended, &options).map_err(|error| format!("mended, it is refused: {error}"))?;

    let onnx = read(format!("{}.onnx", case.name))?;
    let Err(error) = compile(&onnx, &options) else {
        return Err("it compiles".into());
    };
    says(case, reasons(&error))?;

    // Run in part, the model has the same fault; nothing in it is mistaken for an input.
    let reasons = match regions::cut(&onnx, &options) {
        Ok(cut) => (cut.report.rest.into_iter())
            .map(|node| (node.node, node.operator, node.why))
            .collect(),
        Err(error) => reasons(&error),
    };
    if let Some((node, ..)) = reasons.iter().find(|(_, operator, _)| operator == "input") {
        return Err(format!("in part, `{node}` is taken for an input"));
    }
    Ok(())
}

/// Node, operator, and reason of each refusal.
fn reasons(error: &CompileError) -> Vec<(String, String, String)> {
    let refusals = error.refusals().iter();
    refusals
        .map(|refusal| {
            (
                refusal.node.clone(),
                refusal.operator.clone(),
                refusal.why.clone(),
            )
        })
        .collect()
}

fn says(case: &Case, reasons: Vec<(String, String, String)>) -> Result<(), String> {
    let at_fault: Vec<_> = reasons
        .iter()
        .filter(|(node, ..)| *node == case.node)
        .collect();
    let true_cause = |why: &String| case.says.iter().all(|phrase| why.contains(phrase));
    match at_fault.iter().any(|(_, _, why)| true_cause(why)) {
        true => Ok(()),
        false => Err(format!(
            "`{}` should say {:?}: {reasons:?}",
            case.node, case.says
        )),
    }
}
