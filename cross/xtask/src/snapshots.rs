//! Firmware snapshot tests: every model of the zoo on every board under QEMU.
//!
//! A model takes part when its golden vectors lie beside it (`NAME.onnx` and
//! `NAME.golden.npz` with the arrays `input` and `output`). What the firmware prints
//! is compared with `firmware/BOARD/snapshots/NAME.snap`, and what it computes with the
//! engine's outputs on this machine, bit for bit, and with the golden ones. Pairs are discovered; `--bless` writes the
//! snapshots anew.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::compare;
use crate::firmware::{self, BOARDS, Board};
use crate::npz;
use crate::outcome::Tally;
use crate::terminal::say;
use crate::workspace;

/// Seconds that one run under QEMU may take.
const RUN_DEADLINE: u64 = 240;

/// A model with golden vectors.
pub struct Model {
    /// Its file's name without the extension.
    pub name: String,
    /// The ONNX file.
    pub onnx: PathBuf,
    /// The golden vectors.
    pub golden: PathBuf,
}

/// Every model of the zoo that has golden vectors, by name.
pub fn models() -> anyhow::Result<Vec<Model>> {
    let mut models = Vec::new();
    for folder in entries(&workspace::root().join("models"))? {
        if !folder.is_dir() {
            continue;
        }
        for golden in entries(&folder)? {
            let Some(name) = golden
                .file_name()
                .and_then(|n| n.to_str()?.strip_suffix(".golden.npz"))
            else {
                continue;
            };
            let onnx = folder.join(format!("{name}.onnx"));
            if onnx.is_file() {
                models.push(Model {
                    name: name.to_string(),
                    onnx,
                    golden: golden.clone(),
                });
            }
        }
    }
    models.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(models)
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    Ok(listed
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .collect())
}

/// Runs every pair of board and model, and looks for snapshots that no pair claims.
pub fn run(bless: bool) -> anyhow::Result<Tally> {
    let models = models()?;
    if models.is_empty() {
        bail!("no model in models/ has golden vectors");
    }
    let mut tally = Tally::default();
    for board in &BOARDS {
        for model in &models {
            let result = check(board, model, bless);
            match &result {
                Ok(()) => say(format!("ok: {} on {}", model.name, board.name)),
                Err(error) => println!("FAILED {} on {}: {error:#}", model.name, board.name),
            }
            tally.count(&result);
        }
        for orphan in orphans(board, &models)? {
            println!(
                "FAILED {}: no model of that name has golden vectors; delete it",
                workspace::short(&orphan)
            );
            tally.failed += 1;
        }
    }
    Ok(tally)
}

fn snapshot_folder(board: &Board) -> PathBuf {
    workspace::root()
        .join("firmware")
        .join(board.name)
        .join("snapshots")
}

fn orphans(board: &Board, models: &[Model]) -> anyhow::Result<Vec<PathBuf>> {
    let folder = snapshot_folder(board);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let claimed = |path: &Path| {
        models
            .iter()
            .any(|m| path == folder.join(format!("{}.snap", m.name)))
    };
    Ok(entries(&folder)?
        .into_iter()
        .filter(|path| !claimed(path))
        .collect())
}

fn check(board: &Board, model: &Model, bless: bool) -> anyhow::Result<()> {
    let input = npz::read(&model.golden, "input")?;
    let golden = npz::read(&model.golden, "output")?;
    let (run, output) = firmware::outputs(board, &model.onnx, None, &input, RUN_DEADLINE)?;
    compare::equal(&output, &firmware::host_outputs(&model.onnx, &input)?)
        .context("against the engine on this machine")?;
    compare::within_a_softmax_step(&output, &golden).context("against the golden outputs")?;

    let folder = snapshot_folder(board);
    let path = folder.join(format!("{}.snap", model.name));
    if bless {
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        return fs::write(&path, &run.log)
            .with_context(|| format!("cannot write {}", path.display()));
    }
    let expected = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(_) => {
            bail!(
                "{} is missing; `cargo xtask test --bless` writes it",
                workspace::short(&path)
            )
        }
    };
    match differing_line(&expected, &run.log) {
        None => Ok(()),
        Some((number, expected, got)) => bail!(
            "{} differs in line {number}; `cargo xtask test --bless` accepts the new one\n  expected: {expected}\n  printed:  {got}",
            workspace::short(&path)
        ),
    }
}

/// The first line in which two texts differ: its number and both forms of it.
fn differing_line(expected: &str, got: &str) -> Option<(usize, String, String)> {
    let (mut expected, mut got) = (expected.lines(), got.lines());
    for number in 1.. {
        match (expected.next(), got.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => {
                return Some((
                    number,
                    a.unwrap_or("(end)").to_string(),
                    b.unwrap_or("(end)").to_string(),
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_differing_line_is_named() {
        assert_eq!(differing_line("a\nb\n", "a\nb\n"), None);
        assert_eq!(
            differing_line("a\nb\n", "a\nc\n"),
            Some((2, "b".into(), "c".into()))
        );
        assert_eq!(
            differing_line("a\n", "a\nb\n"),
            Some((2, "(end)".into(), "b".into()))
        );
    }
}
