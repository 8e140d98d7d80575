//! `sanderling bench`: how long an inference takes, and what it asks of the allocator.

use super::{Executor, say_executor};
use crate::answer::Answer;
use crate::{POOL, pool, text};
use clap::Args;
use sanderling_executor::Model;
use sanderling_plan::{Dtype, Target};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Most inferences that are timed one by one.
const MOST_RUNS: usize = 1_000_000;
/// Fewest, however long they take.
const FEWEST_RUNS: usize = 5;
/// Fewest inferences before the clock starts. In them the pool grows to what they need.
const WARM_UP: usize = 3;
/// Most of them, while each still makes the pool grow.
const LONGEST_WARM_UP: usize = 20;

const EXAMPLES: &str = "\
Examples:
  sanderling bench terrain.onnx
  sanderling bench terrain.onnx --executor tract --seconds 10
  sanderling bench terrain.plan --json | jq .median_us

The time of an inference is that of writing the input, running, and reading the output.
Inputs are pseudo-random and the same in every run. `allocations` counts what an inference
asks for, `system_allocations` what of it, in all runs after the first few, the pool had to
get from the system.";

/// Time a model and count its allocations
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Bench {
    /// An ONNX model or a plan
    model: PathBuf,
    /// What runs it
    #[arg(long, value_enum, default_value = "auto")]
    executor: Executor,
    /// Threads that the engine spreads its steps over; tract runs on one
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=8))]
    threads: u16,
    /// What the engine's plan is packed for, where an ONNX model is given: by default the
    /// fastest that this processor runs
    #[arg(long, value_parser = super::target)]
    target: Option<Target>,
    /// How long to measure
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
}

/// What was measured.
struct Measured {
    /// Nanoseconds of every inference, sorted.
    times: Vec<u64>,
    /// Calls to the allocator during all of them.
    allocations: pool::Calls,
}

impl Bench {
    /// Warms up and measures.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let mut model = super::open(&self.model, self.executor, self.target)?;
        model.spread(self.threads.into())?;
        say_executor(&model);
        let measured = measure(&mut model, Duration::from_secs_f64(self.seconds))?;
        let runs = measured.times.len();
        let macs = model.plan().map(sanderling_plan::Plan::macs);
        let [min, median, p99] = [0.0, 0.5, 0.99].map(|q| quantile(&measured.times, q));
        // Whole where every inference did the same, which the engine's do.
        let allocations = if measured.allocations.all.is_multiple_of(runs as u64) {
            json!(measured.allocations.all / runs as u64)
        } else {
            json!(measured.allocations.all as f64 / runs as f64)
        };
        let system = measured.allocations.system;
        let speed = macs
            .filter(|&macs| macs > 0)
            .map(|macs| macs as f64 / median / 1e3);
        let mut text = format!(
            "{} in {}, {}\n\
             median       {median:.1} µs\n\
             p99          {p99:.1} µs\n\
             min          {min:.1} µs\n\
             allocations  {allocations} per inference, of which {system} in all runs reached the system\n\
             runs         {}\n",
            self.model.display(),
            super::where_it_ran(&model),
            match self.threads {
                1 => "1 thread".to_owned(),
                threads => format!("{threads} threads"),
            },
            text::count(runs as u64),
        );
        if let (Some(macs), Some(speed)) = (macs, speed) {
            text.push_str(&format!(
                "MACs         {}, {speed:.2} G per second\n",
                text::count(macs)
            ));
        }
        if let Some(plan) = model.plan() {
            text.push_str(&format!(
                "arena        {}\n",
                text::bytes(plan.arena_bytes())
            ));
        }
        let json = json!({
            "model": self.model,
            "digest": text::hex(&model.digest()),
            "executor": model.executor().name(),
            "reason": model.reason(),
            "regions": super::regions(&model),
            "threads": self.threads,
            "median_us": median,
            "p99_us": p99,
            "min_us": min,
            "allocations": allocations,
            "system_allocations": system,
            "pool_bytes": POOL.bytes(),
            "runs": runs,
            "macs": macs,
            "arena_bytes": model.plan().map(sanderling_plan::Plan::arena_bytes),
        });
        Ok(Answer::new(text, json))
    }
}

fn measure(model: &mut Model, span: Duration) -> anyhow::Result<Measured> {
    let inputs: Vec<Vec<u8>> = model
        .inputs()
        .iter()
        .map(|info| pseudo_random(info.dtype, info.elements()))
        .collect();
    let outputs = model.outputs().len();
    let mut times = Vec::with_capacity(MOST_RUNS);
    let mut infer = || -> anyhow::Result<()> {
        for (index, bytes) in inputs.iter().enumerate() {
            model.input_mut(index).copy_from_slice(bytes);
        }
        model.run()?;
        for index in 0..outputs {
            std::hint::black_box(model.output(index));
        }
        Ok(())
    };
    let _served = pool::serve_this_thread(&POOL);
    for round in 1..=LONGEST_WARM_UP {
        let before = POOL.bytes();
        infer()?;
        if round >= WARM_UP && POOL.bytes() == before {
            break;
        }
    }
    let before = POOL.calls();
    let start = Instant::now();
    while times.len() < FEWEST_RUNS || (start.elapsed() < span && times.len() < MOST_RUNS) {
        let one = Instant::now();
        infer()?;
        times.push(u64::try_from(one.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    let after = POOL.calls();
    let allocations = pool::Calls {
        all: after.all - before.all,
        system: after.system - before.system,
    };
    times.sort_unstable();
    Ok(Measured { times, allocations })
}

/// Microseconds that the share `q` of the sorted times stays at or below.
fn quantile(times: &[u64], q: f64) -> f64 {
    let last = times.len().saturating_sub(1);
    let at = (q * last as f64).ceil() as usize;
    times
        .get(at.min(last))
        .map_or(f64::NAN, |&nanoseconds| nanoseconds as f64 / 1e3)
}

/// Elements over the dtype's range, reals between -1 and 1.
pub(super) fn pseudo_random(dtype: Dtype, elements: usize) -> Vec<u8> {
    // A 32-bit xorshift: spread is all that matters here.
    let mut state = 0x9e37_79b9u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    match dtype {
        Dtype::F32 => (0..elements)
            .flat_map(|_| (next() as f32 / u32::MAX as f32 * 2.0 - 1.0).to_le_bytes())
            .collect(),
        _ => (0..elements * dtype.bytes())
            .map(|_| (next() >> 24) as u8)
            .collect(),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 3600.0 => Ok(seconds),
        _ => Err("give a number of seconds, more than 0 and at most 3600".to_owned()),
    }
}
