//! The rules of the repository, each a test whose failure names the rule.

use sanderling_tests::root;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which of our crates each crate may use; those in brackets only behind a feature.
const ROWS: &[(&str, &[&str])] = &[
    ("plan", &[]),
    ("wire", &[]),
    ("slots", &[]),
    ("delta", &[]),
    ("trust", &["wire"]),
    ("rollout", &[]),
    ("frames", &["plan"]),
    ("engine", &["plan"]),
    ("compiler", &["plan"]),
    ("executor", &["plan", "frames", "engine", "compiler"]),
    (
        "agent",
        &[
            "plan", "wire", "trust", "slots", "delta", "engine", "compiler", "executor",
        ],
    ),
    (
        "coordinator",
        &[
            "plan", "wire", "trust", "slots", "rollout", "frames", "delta", "engine",
        ],
    ),
    (
        "cli",
        &[
            "plan", "wire", "trust", "slots", "delta", "rollout", "engine", "compiler", "executor",
        ],
    ),
];

/// What stands at the top, beside lock, licence, and dot files.
const TOP: &[&str] = &[
    "Cargo.toml",
    "runtime",
    "firmware",
    "models",
    "cross",
    ".cargo",
    "tests",
    "README.md",
    "CHANGELOG.md",
    "findings",
];

/// Where `unsafe` may stand, and what for.
const UNSAFE: &[(&str, &str)] = &[
    (
        "runtime/engine/src/kernels",
        "instructions of one processor",
    ),
    (
        "runtime/executor/src/pool.rs",
        "threads that live on borrow what a caller owns",
    ),
    ("runtime/cli/src/pool.rs", "the trait for allocators"),
    ("runtime/agent/src/heap.rs", "the trait for allocators"),
    ("runtime/agent/src/sys.rs", "the scheduling of a thread"),
    ("firmware/app/src", "the stack's ends and the fault handler"),
    ("firmware/count/src", "marks around what is counted"),
    ("firmware/image/src", "the name of a section"),
    (
        "firmware/memory",
        "memcpy and its like, which the compiler calls",
    ),
    (
        "firmware/mps2-an386-updates/src",
        "registers of the UART, and memory that stands for flash",
    ),
];

fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git")
        .arg("ls-files")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(PathBuf::from)
        .filter(|path| root().join(path).is_file())
        .collect()
}

fn rust_files() -> Vec<(PathBuf, String)> {
    tracked()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text = std::fs::read_to_string(root().join(&path)).unwrap();
            (path, text)
        })
        .collect()
}

fn manifest(path: &Path) -> toml::Table {
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn none(rule: &str, offenders: Vec<String>) {
    assert!(
        offenders.is_empty(),
        "{rule}:\n  {}",
        offenders.join("\n  ")
    );
}

#[test]
fn a_crate_uses_only_crates_in_rows_above_it() {
    let mut offenders = Vec::new();
    for entry in std::fs::read_dir(root().join("runtime")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((_, allowed)) = ROWS.iter().find(|(row, _)| *row == name) else {
            offenders.push(format!("runtime/{name} has no row"));
            continue;
        };
        let manifest = manifest(&folder.join("Cargo.toml"));
        let package = manifest["package"]["name"].as_str().unwrap();
        if package != format!("sanderling-{name}") {
            offenders.push(format!("runtime/{name} is called {package}"));
        }
        let dependencies = manifest.get("dependencies").and_then(|d| d.as_table());
        for (key, value) in dependencies.into_iter().flatten() {
            let optional = value
                .get("optional")
                .and_then(|o| o.as_bool())
                .unwrap_or(false);
            if let Some(used) = key.strip_prefix("sanderling-") {
                if !allowed.contains(&used) {
                    offenders.push(format!("{name} uses {used}"));
                }
                if name == "executor" && used == "compiler" && !optional {
                    offenders.push("executor needs compiler without the feature tract".into());
                }
            }
        }
    }
    none("dependency rows (see ROWS)", offenders);
}

#[test]
fn each_operator_stands_behind_the_feature_of_its_name() {
    let mut offenders = Vec::new();
    for name in ["plan", "engine"] {
        let manifest = manifest(&root().join("runtime").join(name).join("Cargo.toml"));
        let features = manifest["features"].as_table().unwrap();
        for operator in (1..=u8::MAX).filter_map(sanderling_plan::Operator::name_of) {
            if !features.contains_key(operator) {
                offenders.push(format!(
                    "runtime/{name}/Cargo.toml has no feature {operator}"
                ));
            }
        }
    }
    let manifest = manifest(&root().join("runtime/plan/Cargo.toml"));
    let every = manifest["features"]["every-operator"].as_array().unwrap();
    let all: Vec<&str> = every.iter().filter_map(toml::Value::as_str).collect();
    for operator in (1..=u8::MAX).filter_map(sanderling_plan::Operator::name_of) {
        if !all.contains(&operator) {
            offenders.push(format!("every-operator of runtime/plan lacks {operator}"));
        }
    }
    none(
        "each operator stands behind the feature of its name",
        offenders,
    );
}

#[test]
fn xtask_uses_no_runtime_crate() {
    let manifest = manifest(&root().join("cross/xtask/Cargo.toml"));
    let used: Vec<String> = manifest["dependencies"]
        .as_table()
        .unwrap()
        .keys()
        .filter(|key| key.starts_with("sanderling-"))
        .cloned()
        .collect();
    none(
        "cross/xtask starts processes and reads files; it uses no runtime crate",
        used,
    );
}

#[test]
fn heavy_and_system_crates_are_named_where_they_belong() {
    let in_folder = |path: &Path, folders: &[&str]| folders.iter().any(|f| path.starts_with(f));
    let mut rumqttc: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut offenders = Vec::new();
    for (path, text) in rust_files() {
        if path.starts_with("tests/tests/tidy.rs") {
            continue;
        }
        // The word itself, not the end of another one (`unix::` is not `nix::`).
        let holds = |line: &str, word: &str| {
            line.match_indices(word)
                .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        let names = |word: &str| {
            text.lines()
                .any(|line| !line.trim_start().starts_with("//") && holds(line, word))
        };
        let shown = path.display().to_string();
        if names("tract_onnx::") && !in_folder(&path, &["runtime/compiler", "runtime/executor"]) {
            offenders.push(format!("{shown} names tract"));
        }
        if names("nix::")
            && !in_folder(
                &path,
                &[
                    "runtime/agent/src/sys",
                    "runtime/agent/src/sys.rs",
                    "runtime/agent/src/gateway/port.rs",
                ],
            )
        {
            offenders.push(format!("{shown} names nix"));
        }
        if names("mqtt5::") && !in_folder(&path, &["runtime/coordinator/src"]) {
            offenders.push(format!("{shown} names the embedded broker"));
        }
        let source = path.iter().nth(2).is_some_and(|part| part == "src");
        if names("rumqttc::") && path.starts_with("runtime") && source {
            let of = path.iter().nth(1).unwrap().to_string_lossy().into_owned();
            rumqttc.entry(of).or_default().push(shown);
        }
    }
    for (of, files) in rumqttc {
        if files.len() > 1 || !["agent", "coordinator", "cli"].contains(&of.as_str()) {
            offenders.push(format!("rumqttc in {of}: {}", files.join(", ")));
        }
    }
    none(
        "tract in compiler and executor, nix in agent's sys and serial port, rumqttc in one file a crate",
        offenders,
    );
}

#[test]
fn the_top_level_is_the_parts() {
    let mut offenders: Vec<String> = tracked()
        .iter()
        .filter_map(|path| path.iter().next())
        .map(|first| first.to_string_lossy().into_owned())
        .filter(|first| {
            let free = first.starts_with('.') || first.starts_with("LICENSE");
            !free && !TOP.contains(&first.as_str()) && first != "Cargo.lock"
        })
        .collect();
    offenders.dedup();
    none("the top level is exactly the parts", offenders);
}

#[test]
fn every_crate_and_module_says_first_what_it_is_for() {
    let offenders = rust_files()
        .into_iter()
        .filter(|(_, text)| {
            !text
                .lines()
                .next()
                .is_some_and(|line| line.starts_with("//! "))
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    none(
        "a file's first line is `//! ` and what it is for",
        offenders,
    );
}

#[test]
fn no_file_grows_past_600_lines() {
    let offenders = rust_files()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > 600)
        .map(|(path, text)| format!("{} has {} lines", path.display(), text.lines().count()))
        .collect();
    none("no file of more than 600 lines", offenders);
}

#[test]
fn unsafe_code_stands_only_where_it_must() {
    let mut offenders = Vec::new();
    for (name, _) in ROWS {
        let path = format!("runtime/{name}/src/lib.rs");
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else {
            continue;
        };
        let denies =
            ["engine", "executor"].contains(name) && text.contains("#![deny(unsafe_code)]");
        if !denies && !text.contains("#![forbid(unsafe_code)]") {
            offenders.push(format!("{path} neither forbids nor denies it"));
        }
    }
    for (path, text) in rust_files() {
        let allowed = UNSAFE.iter().any(|(place, _)| path.starts_with(place));
        let writes = text.lines().any(|line| {
            let line = line.trim_start();
            let code = !line.starts_with("//") && !line.contains('"');
            code && line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|w| w == "unsafe")
        });
        if writes && !allowed {
            offenders.push(format!("{} (see UNSAFE)", path.display()));
        }
    }
    for (place, _) in UNSAFE {
        if !root().join(place).exists() {
            offenders.push(format!("{place} is gone"));
        }
    }
    none("unsafe code stands only where it must", offenders);
}

#[test]
fn nothing_is_ignored_or_left_open() {
    let marks = ["#[ign", "todo!(", "unimplem", "FIX", "XX", "HA"];
    let ends = ["ore]", "", "ented!(", "ME", "X", "CK"];
    let words: Vec<String> = marks
        .iter()
        .zip(ends)
        .map(|(a, b)| format!("{a}{b}"))
        .collect();
    let mut offenders = Vec::new();
    for (path, text) in rust_files() {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) && !path.ends_with("tidy.rs") {
                offenders.push(format!(
                    "{}:{}: {}",
                    path.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    none("no ignored test, nothing left open", offenders);
}

#[test]
fn modules_are_named_for_what_they_hold() {
    let vague = [
        "utils", "util", "common", "helpers", "helper", "manager", "misc",
    ];
    let offenders = rust_files()
        .into_iter()
        .filter(|(path, _)| {
            path.iter().any(|part| {
                let part = part.to_string_lossy();
                vague.contains(&part.trim_end_matches(".rs"))
            })
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    none("no utils, common, helpers, manager", offenders);
}
