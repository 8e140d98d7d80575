//! `cargo xtask bench`: this engine beside others, network by network and board by board.
//!
//! On the emulated boards the measure is exact instructions of one inference; on this
//! machine it is the median time of one, with peers that install from a package index
//! timed in the same run. What cannot be measured here stands in `cross/peers.toml` with
//! its source. The table goes to the terminal, to a JSON file and to a plot.

mod native;
mod page;
mod peers;
mod plot;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;

use crate::count::board::BOARDS;
use crate::count::frame::Source;
use crate::count::{How, Subject, budget};
use crate::terminal::{say, thousands};
use crate::{setup, workspace};

/// Seconds that QEMU may take for one count.
const DEADLINE: u64 = 600;
/// The name of this machine's processor in the table.
pub const NATIVE: &str = "x86-64";

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Quantized ONNX models to measure as well; a name that begins with ic01, kws01, vww01
    /// or ad01 is set beside the stored figures of that network
    models: Vec<PathBuf>,
    /// Stored figures only: no peers are installed or run, and this machine is timed briefly
    #[arg(long)]
    quick: bool,
    /// Where the JSON goes; the plot goes beside it [default: bench/bench.json in the target
    /// directory]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Put table and plot into cross/README.md and cross/bench.svg
    #[arg(long)]
    bless: bool,
}

/// What another engine needs for the same.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    /// Its name.
    pub engine: String,
    /// In the row's unit.
    pub value: f64,
    /// Measured in this run, or where the figure comes from.
    pub source: String,
    /// Whether it was measured in this run.
    pub live: bool,
}

/// One network on one board.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The network.
    pub network: String,
    /// The board's processor.
    pub processor: String,
    /// `instructions`, or `µs` for the median time of an inference with one thread.
    pub unit: &'static str,
    /// What this engine needs.
    pub value: f64,
    /// Multiply-accumulates of an inference.
    pub macs: u64,
    /// MACs per instruction, or per nanosecond.
    pub rate: f64,
    /// Bytes of memory.
    pub arena_bytes: u64,
    /// Bytes of flash on a microcontroller: code, constants, and plan. Elsewhere the plan.
    pub flash_bytes: u64,
    /// The others.
    pub peers: Vec<Peer>,
    /// This engine's value over that of the best of them.
    pub ratio: Option<f64>,
}

impl Row {
    /// The best of the others.
    pub fn best(&self) -> Option<&Peer> {
        self.peers.iter().min_by(|a, b| a.value.total_cmp(&b.value))
    }

    /// A value in the row's unit.
    pub fn show(&self, value: f64) -> String {
        match self.unit {
            "instructions" => thousands(value as u64),
            _ => format!("{value:.1}"),
        }
    }
}

/// Measures, prints, and writes.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut networks = budget::networks()?;
    for model in &options.models {
        let name = model.file_stem().unwrap_or_default().to_string_lossy();
        networks.push((name.into_owned(), model.clone()));
    }
    for board in &BOARDS {
        setup::for_counting(board.triple)?;
    }
    let stored = peers::stored()?;
    let live = match options.quick {
        true => None,
        false => peers::Live::set_up()
            .inspect_err(|error| say(format!("no live peers: {error:#}")))
            .ok(),
    };
    let mut rows = Vec::new();
    for (name, model) in &networks {
        say(format!("measuring {name}"));
        rows.extend(measure(name, model, &stored, live.as_ref(), options.quick)?);
    }
    println!("\n{}", page::table(&rows));
    write(options, &rows)
}

/// All rows of one network.
fn measure(
    name: &str,
    model: &Path,
    stored: &peers::Stored,
    live: Option<&peers::Live>,
    quick: bool,
) -> anyhow::Result<Vec<Row>> {
    let subject = Subject::new(model, Source::Seed(1))?;
    let mut rows = Vec::new();
    for board in &BOARDS {
        let count = subject.count(board, &How::plain(board, DEADLINE))?;
        let flash = match board.is_microcontroller() {
            true => count.text_bytes + count.rodata_bytes,
            false => count.plan_bytes,
        };
        rows.push(Row {
            network: name.to_string(),
            processor: board.processor.to_string(),
            unit: "instructions",
            value: count.instructions as f64,
            macs: count.macs,
            rate: count.macs_per_instruction,
            arena_bytes: count.arena_bytes,
            flash_bytes: flash,
            peers: stored.of(name, board.name),
            ratio: None,
        });
    }
    rows.push(native::row(name, model, &subject, stored, live, quick)?);
    for row in &mut rows {
        row.ratio = row.best().map(|best| row.value / best.value);
    }
    Ok(rows)
}

fn write(options: &Options, rows: &[Row]) -> anyhow::Result<()> {
    let path = match &options.json {
        Some(path) => path.clone(),
        None => workspace::target()?.join("bench/bench.json"),
    };
    let plot = path.with_extension("svg");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let svg = plot::svg(rows);
    let object = json!({ "machine": native::machine(), "rows": rows });
    let text = serde_json::to_string_pretty(&object)?;
    for (path, text) in [(&path, &text), (&plot, &svg)] {
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    say(format!("{} and {}", path.display(), plot.display()));
    if options.bless {
        page::bless(rows, &svg)?;
        say("cross/README.md and cross/bench.svg have the new figures");
    }
    Ok(())
}
