//! How long inferences take on this very machine: `count SECONDS` instead of `count`.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use sanderling_engine::Engine;
use sanderling_plan::Plan;

use crate::inference::Ending;

/// Inferences before the clock starts.
const WARM_UP: usize = 10;
/// Most inferences that are timed one by one.
const MOST_RUNS: usize = 2_000_000;

/// Runs `plan` in `arena` for `span` on the frame that `input` holds, and writes median,
/// 99th percentile and least, all in nanoseconds, and the number of runs to `count.time`.
pub fn run(plan: &[u8], arena: &mut [u8], input: &[u8], span: Duration) -> Ending {
    let Ok(plan) = Plan::new(plan) else {
        return Ending::Plan;
    };
    let Ok(mut engine) = Engine::new(plan, arena) else {
        return Ending::Engine;
    };
    let mut times = Vec::with_capacity(MOST_RUNS);
    for _ in 0..WARM_UP {
        if let Err(ending) = infer(&mut engine, input) {
            return ending;
        }
    }
    let start = Instant::now();
    while times.is_empty() || (start.elapsed() < span && times.len() < MOST_RUNS) {
        let one = Instant::now();
        if let Err(ending) = infer(&mut engine, input) {
            return ending;
        }
        times.push(one.elapsed().as_nanos());
    }
    times.sort_unstable();
    let at = |share: f64| {
        let last = times.len().saturating_sub(1);
        let index = (share * last as f64).ceil() as usize;
        times.get(index.min(last)).copied().unwrap_or_default()
    };
    let line = format!("{} {} {} {}\n", at(0.5), at(0.99), at(0.0), times.len());
    match fs::write("count.time", line) {
        Ok(()) => Ending::Done,
        Err(_) => Ending::Output,
    }
}

/// Writes the inputs, runs, and looks at the outputs, as an application does.
fn infer<B: AsRef<[u8]>>(
    engine: &mut Engine<B, &mut [u8]>,
    mut input: &[u8],
) -> Result<(), Ending> {
    for index in 0..engine.plan().input_count() {
        let bytes = engine.input_mut(index).ok_or(Ending::Input)?;
        let (frame, rest) = input.split_at_checked(bytes.len()).ok_or(Ending::Input)?;
        bytes.copy_from_slice(frame);
        input = rest;
    }
    engine.run().map_err(|_| Ending::Run)?;
    for index in 0..engine.plan().output_count() {
        black_box(engine.output(index));
    }
    Ok(())
}
