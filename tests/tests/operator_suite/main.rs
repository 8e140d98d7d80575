//! Every operator, in every executor: models/opsuite makes small models with ONNX
//! Runtime's answers and collects the `onnx` package's node tests, and one runner gives
//! them to the engine, which must answer with the same bits, and to tract. What came out
//! is the page of supported operators.

mod case;
mod outcome;
mod page;

use case::Index;
use outcome::Outcome;
use sanderling_tests::{python, root, skipped};
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_engine_gives_onnx_runtimes_bits_and_the_page_of_operators_says_so() {
    let temporary = tempfile::tempdir().unwrap();
    let Some(folder) = suite(temporary.path()) else {
        return;
    };
    let index = Index::read(&folder);
    assert!(!index.cases.is_empty(), "the suite is empty");
    let only = std::env::var("SANDERLING_OPSUITE_ONLY").unwrap_or_default();
    let mut failures = Vec::new();
    let mut results = Vec::new();
    for case in index.cases.iter().filter(|case| case.name.contains(&only)) {
        for executor in &case.executors {
            let outcome = outcome::of(&folder, case, executor);
            // tract computes in float: what it makes of a model is told, not required.
            if executor == "engine" {
                match &outcome {
                    Outcome::Same { differing: 0, .. } => {}
                    Outcome::Same { differing, total } => {
                        println!("{}: {differing} of {total} within tolerance", case.name);
                    }
                    Outcome::Refused(_) if case.source == "onnx" => {}
                    Outcome::Refused(why) | Outcome::Differs(why) => {
                        failures.push(format!("{}: {why}", case.name));
                    }
                }
            }
            results.push((case, executor.as_str(), outcome));
        }
    }
    println!("{} runs, seed {}", results.len(), index.seed);
    assert!(
        failures.is_empty(),
        "{} cases fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
    if index.operators.is_empty() || !only.is_empty() {
        skipped("a part of the suite makes no page of operators");
        return;
    }
    page::hold(&page::text(&results));
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
    let operators: Vec<&str> = sanderling_compiler::import::operators().collect();
    let made = Command::new(python)
        .arg(root().join("models/opsuite/make.py"))
        .arg(into)
        .args(["--operators", &operators.join(",")])
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
