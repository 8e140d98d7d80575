//! Which steps an inference spends itself on: time on this machine, or instructions on a
//! board under QEMU.

use crate::command::bench::pseudo_random;
use crate::steps::StepRow;
use crate::table::{Align, Table};
use crate::text;
use anyhow::{Context, bail};
use sanderling_engine::Engine;
use sanderling_executor::AlignedBytes;
use sanderling_plan::Plan;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long steps are timed.
const SPAN: Duration = Duration::from_secs(1);
/// Most inferences that are timed.
const MOST_RUNS: usize = 10_000;
/// Fewest, however long they take.
const FEWEST_RUNS: usize = 5;
/// Inferences before the clock is read.
const WARM_UP: usize = 3;

/// What one step takes.
#[derive(Debug, Serialize)]
pub struct StepCost {
    index: usize,
    name: String,
    operator: String,
    macs: u64,
    /// Median nanoseconds, or instructions.
    cost: f64,
    /// Share of all steps together.
    share: f64,
    /// MACs per nanosecond, or per instruction.
    rate: f64,
    /// That rate as a share of the best: of the most that one instruction of the board
    /// does, or of this model's fastest step.
    of_best: f64,
}

/// The costs of all steps.
#[derive(Debug, Serialize)]
pub struct Profile {
    /// `here`, or the board.
    place: String,
    /// `ns` or `instructions`.
    unit: &'static str,
    /// Inferences that were measured.
    runs: usize,
    /// All steps together.
    total: f64,
    steps: Vec<StepCost>,
}

/// Times every step of `plan` on this machine.
pub fn here(plan: &Plan<AlignedBytes>, rows: &[StepRow]) -> anyhow::Result<Profile> {
    let arena = AlignedBytes::zeroed(plan.arena_bytes());
    let plan = Plan::new(AlignedBytes::copy_of(plan.bytes())).context("the plan changed")?;
    let mut engine = Engine::new(plan, arena)
        .context("only a plan that runs here can be timed; give the ONNX model, or --board")?;
    let inputs: Vec<Vec<u8>> = engine
        .plan()
        .inputs()
        .map(|(_, tensor)| pseudo_random(tensor.dtype, tensor.shape.elements()))
        .collect();
    let count = engine.plan().step_count();
    let mut times: Vec<Vec<u64>> = vec![Vec::with_capacity(MOST_RUNS); count];
    let start = Instant::now();
    let mut runs = 0;
    for run in 0.. {
        for (index, bytes) in inputs.iter().enumerate() {
            if let Some(input) = engine.input_mut(index) {
                input.copy_from_slice(bytes);
            }
        }
        for (index, times) in times.iter_mut().enumerate() {
            let one = Instant::now();
            engine.run_step(index)?;
            let nanoseconds = u64::try_from(one.elapsed().as_nanos()).unwrap_or(u64::MAX);
            if run >= WARM_UP {
                times.push(nanoseconds);
            }
        }
        runs = (run + 1usize).saturating_sub(WARM_UP);
        let enough = runs >= FEWEST_RUNS && start.elapsed() > SPAN;
        if enough || runs >= MOST_RUNS {
            break;
        }
    }
    let medians = times.into_iter().map(|mut times| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or(0) as f64
    });
    Ok(Profile::new("here", "ns", runs, rows, medians, None))
}

/// What `cargo xtask count` prints, as far as it is needed here.
#[derive(Deserialize)]
struct Counted {
    macs_per_instruction: f64,
    peak_share: f64,
    steps: Vec<CountedStep>,
}

#[derive(Deserialize)]
struct CountedStep {
    index: usize,
    name: String,
    operator: String,
    macs: u64,
    instructions: u64,
}

/// Counts every step's instructions on `board`. A checkout of the project is needed, for
/// it builds the program that is counted.
pub fn on_board(model: &Path, board: &str) -> anyhow::Result<Profile> {
    let model = model
        .canonicalize()
        .with_context(|| format!("cannot find {}", model.display()))?;
    let counted = Command::new("cargo")
        .args(["xtask", "count", "--steps", "--json", "--board", board])
        .arg(&model)
        .stdin(Stdio::null())
        // What it waits for, a person wants to see.
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start `cargo xtask count`, which counts instructions")?;
    let said = String::from_utf8_lossy(&counted.stdout);
    if !counted.status.success() {
        bail!(
            "`cargo xtask count` did not count (see above); it works in a checkout of Sanderling"
        );
    }
    let counted: Counted = serde_json::from_str(said.lines().last().unwrap_or_default())
        .context("`cargo xtask count` gave no JSON")?;
    let rows: Vec<StepRow> = counted.steps.iter().map(CountedStep::row).collect();
    let instructions = counted.steps.iter().map(|step| step.instructions as f64);
    // The board's best, from the whole model's rate and the share that it is.
    let peak = counted.macs_per_instruction / counted.peak_share;
    Ok(Profile::new(
        board,
        "instructions",
        1,
        &rows,
        instructions,
        Some(peak),
    ))
}

impl CountedStep {
    fn row(&self) -> StepRow {
        StepRow {
            index: self.index,
            name: self.name.clone(),
            operator: self.operator.clone(),
            macs: self.macs,
            ..StepRow::default()
        }
    }
}

impl Profile {
    fn new(
        place: &str,
        unit: &'static str,
        runs: usize,
        rows: &[StepRow],
        costs: impl Iterator<Item = f64>,
        peak: Option<f64>,
    ) -> Self {
        let mut steps: Vec<StepCost> = rows
            .iter()
            .zip(costs)
            .map(|(row, cost)| StepCost {
                index: row.index,
                name: row.name.clone(),
                operator: row.operator.clone(),
                macs: row.macs,
                cost,
                share: 0.0,
                rate: row.macs as f64 / cost.max(1.0),
                of_best: 0.0,
            })
            .collect();
        let total: f64 = steps.iter().map(|step| step.cost).sum();
        let fastest = steps.iter().map(|step| step.rate).fold(0.0, f64::max);
        let best = peak.unwrap_or(fastest);
        for step in &mut steps {
            step.share = if total > 0.0 { step.cost / total } else { 0.0 };
            step.of_best = if best > 0.0 { step.rate / best } else { 0.0 };
        }
        Profile {
            place: place.to_owned(),
            unit,
            runs,
            total,
            steps,
        }
    }

    /// The table for people.
    pub fn describe(&self) -> String {
        let timed = self.unit == "ns";
        let (cost, rate, best) = match timed {
            true => ("time ns", "MACs/ns", "of fastest"),
            false => ("instructions", "MACs/ins.", "of peak"),
        };
        let mut table = Table::new(&[
            ("step", Align::Right),
            ("node", Align::Left),
            ("operator", Align::Left),
            ("MACs", Align::Right),
            (cost, Align::Right),
            ("share", Align::Right),
            ("", Align::Left),
            (rate, Align::Right),
            (best, Align::Right),
        ]);
        for step in &self.steps {
            let of_macs = |text: String| match step.macs {
                0 => String::new(),
                _ => text,
            };
            table.row([
                step.index.to_string(),
                text::shortened(&step.name, 32),
                step.operator.clone(),
                of_macs(text::count(step.macs)),
                text::count(step.cost as u64),
                format!("{:.1} %", 100.0 * step.share),
                text::bar((1000.0 * step.share) as usize, 1000, 12),
                of_macs(format!("{:.2}", step.rate)),
                of_macs(format!("{:.1} %", 100.0 * step.of_best)),
            ]);
        }
        let total = match timed {
            true => format!(
                "all steps {:.1} µs on this machine, medians of {} runs, 1 thread\n",
                self.total / 1e3,
                text::count(self.runs as u64)
            ),
            false => format!(
                "all steps {} instructions on {}; instructions are not cycles\n",
                text::count(self.total as u64),
                self.place
            ),
        };
        format!("{}\n{total}", table.render())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_total_and_of_the_best() {
        let row = |index, macs| StepRow {
            index,
            macs,
            ..StepRow::default()
        };
        let rows = [row(0, 300), row(1, 0), row(2, 100)];
        let costs = || [100.0, 50.0, 50.0].into_iter();
        let here = Profile::new("here", "ns", 1, &rows, costs(), None);
        let of_best: Vec<f64> = here.steps.iter().map(|step| step.of_best).collect();
        assert_eq!(of_best, [1.0, 0.0, 2.0 / 3.0]);
        assert_eq!(here.steps[0].share, 0.5);
        let board = Profile::new("b", "instructions", 1, &rows, costs(), Some(12.0));
        assert_eq!(board.steps[0].of_best, 0.25);
    }
}
