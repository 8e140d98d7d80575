//! The inference itself, the same on every board.

use sanderling_engine::Engine;
use sanderling_plan::Plan;

use crate::marks::{mark_begin, mark_end};

/// How it went; the value is the exit status, which `cross/xtask/src/count` puts in words.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Ending {
    /// The outputs are written.
    Done = 0,
    /// `Plan::new` refused the plan.
    Plan = 2,
    /// `Engine::new` refused plan and arena.
    Engine = 3,
    /// The inputs are not there, or fewer bytes than the plan takes.
    Input = 4,
    /// A step did not run.
    Run = 5,
    /// The outputs could not be written.
    Output = 6,
    /// The memory for the arena is smaller than the plan asks for.
    Memory = 7,
    /// A byte outside the arena changed.
    Guard = 8,
    /// The plan does not lie at the start of its static.
    #[cfg_attr(
        target_os = "none",
        expect(dead_code, reason = "it has its place in flash")
    )]
    Place = 9,
}

/// What is in memory around the arena before a run, and in the arena itself: a step that
/// relies on zeros, or writes outside, is found out.
const PATTERN: u8 = 0xa5;
/// Bytes before and after the arena that must stay as they are; a multiple of the arena's
/// alignment.
const GUARD: usize = 64;

/// Runs `plan` once in the middle of `memory`, its inputs from `read`, its outputs to `write`.
pub fn run(
    plan: &'static [u8],
    memory: &'static mut [u8],
    mut read: impl FnMut(&mut [u8]) -> bool,
    mut write: impl FnMut(&[u8]) -> bool,
) -> Ending {
    memory.fill(PATTERN);
    let Ok(plan) = Plan::new(plan) else {
        return Ending::Plan;
    };
    let (before, rest) = memory.split_at_mut(memory.len().min(GUARD));
    let Some((arena, after)) = rest.split_at_mut_checked(plan.arena_bytes()) else {
        return Ending::Memory;
    };
    let Ok(mut engine) = Engine::new(plan, arena) else {
        return Ending::Engine;
    };
    for index in 0..engine.plan().input_count() {
        if !engine.input_mut(index).is_some_and(&mut read) {
            return Ending::Input;
        }
    }

    mark_begin();
    let ran = engine.run();
    mark_end();

    if ran.is_err() {
        return Ending::Run;
    }
    for index in 0..engine.plan().output_count() {
        if !engine.output(index).is_some_and(&mut write) {
            return Ending::Output;
        }
    }
    // Piece by piece, which is less code than byte by byte.
    let intact = |bytes: &[u8]| {
        let mut pieces = bytes.chunks(GUARD);
        pieces.all(|piece| [PATTERN; GUARD].starts_with(piece))
    };
    if intact(before) && intact(after) {
        Ending::Done
    } else {
        Ending::Guard
    }
}
