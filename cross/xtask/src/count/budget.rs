//! What an inference may cost on a board, held to `cross/budgets.toml`.
//!
//! The file is data: for each network and board the instructions of an inference, the
//! bytes of its arena, and, on a microcontroller, the bytes of code. `--check` counts
//! anew and fails above any of them; `--bless` writes down what it counted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::board::{BOARDS, Board};
use super::frame::Source;
use super::{Count, How, Subject};
use crate::outcome::Tally;
use crate::terminal::{say, thousands};
use crate::{setup, snapshots, workspace};

/// Seconds that one count may take.
const DEADLINE: u64 = 300;
/// What `--bless` leaves free above what it counted, in thousandths: code moves a little
/// with every compiler.
const MARGIN: u64 = 20;
/// Networks of this prefix lie in the folder that `workspace::shared` names.
const SHARED: &str = "shared/";
/// Reference networks that are no part of the project.
const REFERENCES: [&str; 2] = [
    "shared/models/ic01_resnet8_int8_qdq_i8io.onnx",
    "shared/models/kws01_dscnn_int8_qdq_i8io.onnx",
];
/// What stands above the generated part of the file.
const MARK: &str = "# Written by `cargo xtask count --bless`.";

/// The most that one network may cost on one board.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
struct Budget {
    instructions: u64,
    arena: u64,
    /// Code of the program with the network's operators; on Linux it is mostly Rust's
    /// standard library, and nothing is asked of it.
    text: Option<u64>,
}

#[derive(Deserialize)]
struct Budgets {
    /// By network, by board.
    #[serde(default)]
    count: BTreeMap<String, BTreeMap<String, Budget>>,
    /// Code with every operator, by board.
    #[serde(default)]
    every_operator: BTreeMap<String, u64>,
}

/// Counts every network that has a budget on every board; one passed or failed test each.
pub fn check() -> anyhow::Result<Tally> {
    let path = file();
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let budgets: Budgets =
        toml::from_str(&text).with_context(|| format!("{} does not parse", path.display()))?;
    for board in &BOARDS {
        setup::for_counting(board.triple)?;
    }
    let mut tally = Tally::default();
    for (network, boards) in &budgets.count {
        let Some(model) = locate(network) else {
            println!("skipped: {network}: there is no such file here");
            tally.skipped += 1;
            continue;
        };
        let subject = Subject::new(&model, Source::Seed(1))?;
        for (name, budget) in boards {
            let result = Board::named(name)
                .and_then(|board| subject.count(board, &How::plain(board, DEADLINE)))
                .and_then(|count| budget.judge(network, &count));
            if let Err(error) = &result {
                println!("FAILED {network} on {name}: {error:#}");
            }
            tally.count(&result);
        }
        say(format!("{network}: {} boards", boards.len()));
    }
    for (name, &most) in &budgets.every_operator {
        let result = every_operator(Board::named(name)?)
            .and_then(|text| require("bytes of code with every operator", text, most));
        if let Err(error) = &result {
            println!("FAILED {name}: {error:#}");
        }
        tally.count(&result);
    }
    if tally.passed + tally.failed == 0 {
        bail!("{} has no budgets to check", path.display());
    }
    Ok(tally)
}

/// Counts the zoo and the reference networks on every board, and writes what they cost,
/// with a small margin, as their budgets.
pub fn bless() -> anyhow::Result<()> {
    let mut networks: Vec<String> = snapshots::models()?
        .iter()
        .map(|model| workspace::short(&model.onnx))
        .collect();
    networks.extend(REFERENCES.map(str::to_string));
    let mut written = format!(
        "{MARK}\n# Most instructions of an inference, bytes of arena, and bytes of code with the network's\n\
         # operators ({}.{} % above what was counted; a count is exact, but code moves with the compiler).\n",
        MARGIN / 10,
        MARGIN % 10
    );
    for network in &networks {
        let Some(model) = locate(network) else {
            bail!("{network} is not here, and its budget would be lost; set SANDERLING_SHARED");
        };
        let subject = Subject::new(&model, Source::Seed(1))?;
        written.push_str(&format!("\n[count.\"{network}\"]\n"));
        for board in &BOARDS {
            setup::for_counting(board.triple)?;
            let count = subject.count(board, &How::plain(board, DEADLINE))?;
            written.push_str(&line(board, &count));
        }
        say(format!("{network}: counted"));
    }
    written.push_str("\n# Bytes of code with every operator.\n[every_operator]\n");
    for board in BOARDS.iter().filter(|board| board.is_microcontroller()) {
        let text = with_margin(every_operator(board)?);
        written.push_str(&format!("{} = {}\n", board.name, underscored(text)));
    }
    let path = file();
    let old =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let kept = old.split(MARK).next().unwrap_or_default();
    fs::write(&path, format!("{kept}{written}"))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn file() -> PathBuf {
    workspace::root().join("cross/budgets.toml")
}

/// Where a network lies; `None` where it is not here.
fn locate(network: &str) -> Option<PathBuf> {
    let path = match network.strip_prefix(SHARED) {
        Some(rest) => workspace::shared()?.join(rest),
        None => workspace::root().join(network),
    };
    path.is_file().then_some(path)
}

/// Bytes of code of the program with every operator.
fn every_operator(board: &Board) -> anyhow::Result<u64> {
    Ok(super::image::build(board, super::EVERY_OPERATOR)?
        .image
        .text)
}

fn line(board: &Board, count: &Count) -> String {
    let text = match board.is_microcontroller() {
        true => {
            format!(", text = {}", underscored(with_margin(count.text_bytes)))
        }
        false => String::new(),
    };
    format!(
        "{} = {{ instructions = {}, arena = {}{text} }}\n",
        board.name,
        underscored(with_margin(count.instructions)),
        underscored(count.arena_bytes)
    )
}

fn with_margin(n: u64) -> u64 {
    n + n * MARGIN / 1000
}

fn underscored(n: u64) -> String {
    thousands(n).replace(',', "_")
}

fn require(what: &str, got: u64, most: u64) -> anyhow::Result<()> {
    if got > most {
        bail!(
            "{} {what} where {} are allowed; make it cheaper, or raise its line in cross/budgets.toml and say why",
            thousands(got),
            thousands(most)
        );
    }
    Ok(())
}

impl Budget {
    fn judge(&self, network: &str, count: &Count) -> anyhow::Result<()> {
        require("instructions", count.instructions, self.instructions)?;
        require("bytes of arena", count.arena_bytes, self.arena)?;
        if let Some(text) = self.text {
            require("bytes of code", count.text_bytes, text)?;
        }
        // A budget far above what it holds guards nothing.
        if count.instructions < self.instructions / 2 {
            say(format!(
                "{network} on {}: half of its instructions or less; `cargo xtask count --bless` lowers the budget",
                count.board
            ));
        }
        Ok(())
    }
}

/// The networks that have a budget and are here, with their paths.
pub fn networks() -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for model in snapshots::models()? {
        found.push((model.name, model.onnx));
    }
    for network in REFERENCES {
        let name = Path::new(network)
            .file_stem()
            .and_then(|stem| stem.to_str()?.split('_').next())
            .unwrap_or(network);
        if let Some(path) = locate(network) {
            found.push((name.to_string(), path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budgets_file_parses_and_names_known_boards() {
        let budgets: Budgets = toml::from_str(&fs::read_to_string(file()).unwrap()).unwrap();
        let boards = budgets.count.values().flat_map(BTreeMap::keys);
        for name in boards.chain(budgets.every_operator.keys()) {
            Board::named(name).unwrap();
        }
    }

    #[test]
    fn what_exceeds_a_budget_is_named() {
        let error = require("bytes of arena", 1_025, 1_024)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("1,025 bytes of arena where 1,024"),
            "{error}"
        );
        assert!(require("instructions", 7, 7).is_ok());
    }
}
