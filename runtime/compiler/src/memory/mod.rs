//! Gives every buffer and scratch area its place in one arena.
//!
//! Four stages, each a pure function: [`lifetime`] finds how long each buffer is in
//! use and merges outputs into inputs that die under them; [`overlap`] finds the outputs
//! that may be written over an input while it is read; [`bound`] says how small
//! the arena could be at best; [`place`] packs the blocks close to that.
//!
//! Time is counted in *points*: 0 is before the first step, when the caller writes the
//! inputs; `s + 1` is step `s`; the number of steps + 1 is after the last step, when the
//! caller reads the outputs.
//!
//! ```text
//! point     0         1         2         3         4
//!           │ write   │ step 0  │ step 1  │ step 2  │ read
//!           │ inputs  │         │         │         │ outputs
//! input     ├─────────┤
//! a                   ├─────────┤
//! scratch             ├──┤
//! output                        ├───────────────────┤
//! ```

mod bound;
mod lifetime;
mod overlap;
mod place;

use crate::program::{BufferId, Program, TensorId};
use bound::Live;
use lifetime::{Blocks, Preference};
use overlap::Overlap;
use sanderling_plan::Target;

/// Points at which bytes are in use, both ends included; see the module's diagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// The point at which they are first written.
    pub first: usize,
    /// The point at which they are last read or written.
    pub last: usize,
}

impl Lifetime {
    /// Whether both are in use at some point.
    pub fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether it is in use during step `step`.
    pub fn covers_step(&self, step: usize) -> bool {
        (self.first..=self.last).contains(&(step + 1))
    }
}

/// Where everything lies, and why the arena is as large as it is.
#[derive(Clone, Debug)]
pub struct MemoryPlan {
    /// Bytes of arena, scratch included; a multiple of 16.
    pub arena_bytes: usize,
    /// No placement of the same blocks can need fewer bytes: the most that are in use at
    /// one point.
    pub lower_bound: usize,
    /// By buffer: first byte in the arena. `None` for constants and for buffers that no
    /// step, input or output uses.
    pub offsets: Vec<Option<usize>>,
    /// By buffer: when it is in use. `None` where `offsets` is.
    pub lifetimes: Vec<Option<Lifetime>>,
    /// By step: first byte of its scratch in the arena; 0 where it needs none.
    pub scratch_offsets: Vec<usize>,
    /// By step: bytes of scratch.
    pub scratch_bytes: Vec<usize>,
    /// By step: number of the input whose bytes the output takes.
    pub in_place: Vec<Option<usize>>,
    /// By step: bytes in use during it, each block rounded up to 16.
    pub live_bytes: Vec<usize>,
    /// The first step with the most bytes in use.
    pub peak_step: usize,
    /// The largest tensor in use during that step; of equal ones, one that the step writes
    /// or reads. `None` only for a program without arena tensors.
    pub peak_tensor: Option<TensorId>,
}

impl MemoryPlan {
    /// First byte of `buffer` in the arena; `None` for constants and unused buffers.
    pub fn offset(&self, buffer: BufferId) -> Option<usize> {
        self.offsets.get(buffer.0).copied().flatten()
    }
}

/// Plans the arena for `program`, packed for `target`.
///
/// Inputs may be overwritten by a run: the caller writes them anew before each. Outputs
/// keep their bytes until the next run. The same program gives the same plan everywhere.
pub fn plan_memory(program: &Program, target: Target) -> MemoryPlan {
    let best = packed(program, target, Preference::FirstInput);
    // Which of two dying inputs an output takes does not change how many bytes are in
    // use at any point, only how well the blocks pack.
    let best = match best.placement.bytes > best.live.most() {
        true => {
            let other = packed(program, target, Preference::LastInput);
            match other.placement.bytes < best.placement.bytes {
                true => other,
                false => best,
            }
        }
        false => best,
    };
    assemble(program, &best)
}

/// Blocks, which of them may overlap, and where they lie.
struct Packed {
    blocks: Blocks,
    overlaps: Vec<Overlap>,
    placement: place::Placement,
    live: Live,
}

impl Packed {
    fn of(program: &Program, target: Target, mut blocks: Blocks, overlaps: Vec<Overlap>) -> Self {
        blocks.reserve_scratch(program, |index| {
            let overlaps = overlaps.iter().any(|overlap| overlap.step == index);
            program.scratch_bytes(&program.steps[index], target, overlaps)
        });
        let live = Live::of(&blocks.all, &overlaps);
        let placement = place::place(&blocks.all, &overlaps, live.most());
        Packed {
            blocks,
            overlaps,
            placement,
            live,
        }
    }
}

/// The blocks of `program` packed with those overlaps that make the arena smaller: each
/// costs the copying of its input rows.
fn packed(program: &Program, target: Target, preference: Preference) -> Packed {
    let blocks = Blocks::of(program, preference);
    let all = overlap::candidates(program, target, &blocks);
    let with_all = Packed::of(program, target, blocks.clone(), all);
    let limit = with_all.placement.bytes;
    let needed = |overlap: &&Overlap| {
        let saved = overlap.saves(&with_all.blocks.all);
        with_all.live.at(overlap.step + 1).saturating_add(saved) > limit
    };
    let few: Vec<Overlap> = with_all.overlaps.iter().filter(needed).copied().collect();
    let with_few = Packed::of(program, target, blocks, few);
    match with_few.placement.bytes <= limit {
        true => with_few,
        false => with_all,
    }
}

fn assemble(program: &Program, packed: &Packed) -> MemoryPlan {
    let Packed {
        blocks, placement, ..
    } = packed;
    let steps = program.steps.len();
    let offset_of = |block: usize| placement.offsets[block];
    let live_bytes: Vec<usize> = (0..steps).map(|step| packed.live.at(step + 1)).collect();
    let mut in_place = blocks.in_place.clone();
    for overlap in &packed.overlaps {
        let (input, output) = (offset_of(overlap.input), offset_of(overlap.output));
        if input < output + blocks.all[overlap.output].bytes
            && output < input + blocks.all[overlap.input].bytes
        {
            in_place[overlap.step] = Some(0);
        }
    }
    let most = live_bytes.iter().copied().max().unwrap_or(0);
    let peak_step = live_bytes
        .iter()
        .position(|&bytes| bytes == most)
        .unwrap_or(0);
    MemoryPlan {
        arena_bytes: placement.bytes,
        lower_bound: packed.live.most(),
        offsets: blocks
            .of_buffer
            .iter()
            .map(|block| block.map(offset_of))
            .collect(),
        scratch_offsets: blocks
            .of_scratch
            .iter()
            .map(|block| block.map(offset_of).unwrap_or(0))
            .collect(),
        scratch_bytes: blocks.scratch_bytes.clone(),
        in_place,
        peak_tensor: peak_tensor(program, &blocks.lifetimes, peak_step),
        lifetimes: blocks.lifetimes.clone(),
        live_bytes,
        peak_step,
    }
}

/// The largest tensor in use during `step`, or the largest of all where there is no step.
fn peak_tensor(program: &Program, lifetimes: &[Option<Lifetime>], step: usize) -> Option<TensorId> {
    let at_step = program.steps.get(step);
    let touched =
        |id: TensorId| at_step.is_some_and(|step| step.output == id || step.inputs.contains(&id));
    let in_use = |id: TensorId| {
        let lifetime = lifetimes[program.tensor(id).buffer.0];
        lifetime.is_some_and(|lifetime| at_step.is_none() || lifetime.covers_step(step))
    };
    let borders = program.inputs.iter().chain(&program.outputs);
    let operands = program.steps.iter().flat_map(|step| {
        let operands = step.inputs.iter();
        operands.chain([&step.output])
    });
    borders
        .chain(operands)
        .copied()
        .filter(|&id| in_use(id))
        .max_by_key(|&id| {
            (
                program.buffers[program.tensor(id).buffer.0].bytes,
                touched(id),
                std::cmp::Reverse(id),
            )
        })
}

#[cfg(test)]
mod tests;
