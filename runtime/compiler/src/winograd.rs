//! Has 3×3 convolutions run by Winograd's algorithm, which needs fewer products and more
//! flash: 32 bytes for 9 weights, where the board's flash allows it.
//!
//! [`sanderling_plan::step::WinogradConv`] says why its answers are the same bits.

use crate::memory::plan_memory;
use crate::program::{Operation, Program, Step};
use sanderling_plan::Target;
use sanderling_plan::packing::winograd::{DEPTH, MAX_CHANNELS, OUTPUTS, TILES, runs, weight_bytes};
use sanderling_plan::step::{Conv, WinogradConv};

/// Whether `target` has the algorithm.
pub const fn possible(target: Target) -> bool {
    runs(target)
}

/// `program` with the convolutions that save most instructions for each byte computed by
/// Winograd's algorithm, as many as take at most `flash` bytes more, and all of the arena
/// at most `max_arena`.
pub fn choose(
    program: &Program,
    target: Target,
    flash: usize,
    max_arena: Option<usize>,
) -> Program {
    let mut candidates: Vec<Candidate> = (0..program.steps.len())
        .filter(|&index| program.stream_of(index).is_none())
        .filter_map(|index| Candidate::of(program, target, index))
        .collect();
    candidates.sort_by(|a, b| (b.worth().total_cmp(&a.worth())).then(a.step.cmp(&b.step)));
    let (mut chosen, mut left) = (program.clone(), flash);
    for candidate in candidates {
        let Some(rest) = left.checked_sub(candidate.bytes) else {
            continue;
        };
        let mut more = chosen.clone();
        if let Some(step) = more.steps.get_mut(candidate.step) {
            change(step);
        }
        let fits = |limit| plan_memory(&more, target).arena_bytes <= limit;
        if max_arena.is_none_or(fits) {
            (chosen, left) = (more, rest);
        }
    }
    chosen
}

/// Bytes of flash that the convolutions of `program` take more than they would directly.
pub fn more_flash(program: &Program, target: Target) -> usize {
    let more = |step: &Step| match &step.operation {
        Operation::Winograd { .. } => more_bytes(program, target, step),
        _ => None,
    };
    program.steps.iter().filter_map(more).sum()
}

/// The parameters of `conv` by Winograd's algorithm, offsets not yet known.
pub fn parameters(conv: &Conv) -> WinogradConv {
    WinogradConv {
        pad_top: conv.pad_top,
        pad_left: conv.pad_left,
        weights: 0,
        bias: 0,
        multipliers: 0,
        input_zero_point: conv.input_zero_point,
        zero_point: conv.zero_point,
        low: conv.low,
        high: conv.high,
    }
}

/// A convolution that could run so.
struct Candidate {
    step: usize,
    /// Bytes of flash that it takes more.
    bytes: usize,
    /// Instructions that it saves.
    saved: f64,
}

impl Candidate {
    fn of(program: &Program, target: Target, index: usize) -> Option<Self> {
        let step = program.steps.get(index)?;
        let Operation::Conv {
            parameters: p,
            depthwise: false,
            ..
        } = &step.operation
        else {
            return None;
        };
        let shape = |id| <[usize; 4]>::try_from(program.tensor(id).shape.as_slice()).ok();
        let (from, to) = (shape(*step.inputs.first()?)?, shape(step.output)?);
        let kernel = [p.kernel_h, p.kernel_w] == [WinogradConv::KERNEL; 2];
        let dense = [p.stride_h, p.stride_w, p.dilation_h, p.dilation_w] == [1; 4];
        if !(runs(target) && kernel && dense && p.groups == 1 && from[3] <= MAX_CHANNELS) {
            return None;
        }
        let saved = direct(from, to) - by_tiles(from, to);
        (saved > 0.0).then_some(Candidate {
            step: index,
            bytes: more_bytes(program, target, step)?,
            saved,
        })
    }

    /// Instructions saved for each byte.
    fn worth(&self) -> f64 {
        self.saved / self.bytes.max(1) as f64
    }
}

/// Instructions of the direct convolution on Cortex-M4: 17 for 4 values of 3 pixels and 2
/// outputs, 12 for each output, and the gathering of the window. Within 10 % of what was
/// counted on layers of 3 to 64 channels.
fn direct([_, _, _, channels]: [usize; 4], [batch, h, w, outputs]: [usize; 4]) -> f64 {
    let k = (9 * channels).next_multiple_of(4) as f64;
    let gathered = match channels.is_multiple_of(4) {
        true => 4.0 * k,
        false => 500.0 + 5.0 * k,
    };
    let pixels = (batch * h * w) as f64;
    pixels * (outputs as f64 * (17.0 / 24.0 * k + 12.0) + gathered)
}

/// Instructions by Winograd's algorithm: 16 positions of 8 for each pair of channels, 5
/// more, and 450 for what follows, for 3 tiles and 2 outputs; 400 for each tile and 200 for
/// each four of its channels.
fn by_tiles([_, _, _, channels]: [usize; 4], [batch, h, w, outputs]: [usize; 4]) -> f64 {
    let steps = channels.div_ceil(DEPTH) as f64;
    let tiles = h.div_ceil(2) * w.div_ceil(2);
    let groups = (batch * tiles.div_ceil(TILES)) as f64;
    let pair = 16.0 * (16.0 * steps + 5.0) + 450.0;
    let inputs = TILES as f64 * (200.0 * steps + 400.0);
    groups * (outputs.div_ceil(OUTPUTS) as f64 * pair + inputs)
}

/// Bytes that a convolution's weights take more than they would directly.
fn more_bytes(program: &Program, target: Target, step: &Step) -> Option<usize> {
    let inputs = *program.tensor(*step.inputs.first()?).shape.last()?;
    let outputs = *program.tensor(step.output).shape.last()?;
    let now = target.dense().weight_bytes(outputs, 9 * inputs)?;
    weight_bytes(outputs, inputs)?.checked_sub(now)
}

/// Turns a convolution into one by Winograd's algorithm.
fn change(step: &mut Step) {
    if let Operation::Conv {
        parameters, affine, ..
    } = &step.operation
    {
        step.operation = Operation::Winograd {
            parameters: *parameters,
            affine: affine.clone(),
        };
    }
}
