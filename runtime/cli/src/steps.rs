//! The steps of a plan as rows of a table.

use crate::table::{Align, Table};
use crate::text;
use sanderling_plan::packing::winograd;
use sanderling_plan::{Operator, Place, Plan, Tensor, TensorId};
use serde::Serialize;

/// One step, as the compiler reports it and as a plan shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StepRow {
    /// Its number, from 0.
    pub index: usize,
    /// The ONNX node it comes from.
    pub name: String,
    /// What it computes.
    pub operator: String,
    /// Dimensions of each input.
    pub inputs: Vec<Vec<usize>>,
    /// Dimensions of the output.
    pub output: Vec<usize>,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// Bytes of its constants.
    pub weight_bytes: usize,
    /// Bytes of scratch.
    pub scratch_bytes: usize,
    /// Whether the output takes the bytes of an input.
    pub in_place: bool,
    /// Whether it runs row by row with the steps before or after it.
    pub streamed: bool,
    /// Bytes of arena in use while it runs.
    pub live_bytes: usize,
}

/// A tensor in the arena and the steps between which its bytes are taken.
pub struct Life {
    /// Which tensor.
    pub id: TensorId,
    /// Its record.
    pub tensor: Tensor,
    /// The step that writes it; an input is there from step 0.
    pub first: usize,
    /// The last step that reads it; an output stays to the last step.
    pub last: usize,
}

impl Life {
    /// Whether its bytes are taken while step `index` runs.
    pub fn covers(&self, index: usize) -> bool {
        (self.first..=self.last).contains(&index)
    }
}

/// When each tensor of the arena is in use, in the order of ids; tensors that no step and
/// no caller touches are left out.
pub fn lives<B: AsRef<[u8]>>(plan: &Plan<B>) -> Vec<Life> {
    let mut lives: Vec<Option<Life>> = (0..plan.tensor_count()).map(|_| None).collect();
    let mut touch = |id: TensorId, step: usize| {
        let Some(tensor) = plan.tensor(id).filter(|t| t.place == Place::Arena) else {
            return;
        };
        if let Some(slot) = lives.get_mut(usize::from(id.0)) {
            let life = slot.get_or_insert(Life {
                id,
                tensor,
                first: step,
                last: step,
            });
            life.last = life.last.max(step);
        }
    };
    for (id, _) in plan.inputs() {
        touch(id, 0);
    }
    for (index, step) in plan.steps().enumerate() {
        // The steps of a stream run together.
        let first = index - usize::from(step.position);
        let last = first + usize::from(step.stream.max(1)) - 1;
        for &id in step.inputs().iter().chain([&step.output]) {
            touch(id, first);
            touch(id, last);
        }
    }
    for (id, _) in plan.outputs() {
        touch(id, plan.step_count().saturating_sub(1));
    }
    lives.into_iter().flatten().collect()
}

/// Every step of a plan.
pub fn rows<B: AsRef<[u8]>>(plan: &Plan<B>) -> Vec<StepRow> {
    let lives = lives(plan);
    let shape = |tensor: &Tensor| tensor.shape.dims().iter().map(|&n| n as usize).collect();
    let mut rows = Vec::new();
    for (index, step) in plan.steps().enumerate() {
        let Some(output) = plan.tensor(step.output) else {
            continue;
        };
        let inputs: Vec<Tensor> = step
            .inputs()
            .iter()
            .filter_map(|&id| plan.tensor(id))
            .collect();
        let constants = inputs.iter().filter(|t| t.place == Place::Constants);
        let carried: usize = constants.map(|t| t.bytes as usize).sum();
        let (macs, weights) = cost(&step.operator, inputs.first(), &output);
        rows.push(StepRow {
            index,
            name: plan.step_name(&step).to_owned(),
            operator: step.operator.name().to_owned(),
            inputs: inputs.iter().map(shape).collect(),
            output: shape(&output),
            macs,
            weight_bytes: weights + carried,
            scratch_bytes: step.scratch_bytes as usize,
            in_place: inputs
                .iter()
                .any(|t| t.place == Place::Arena && meet(t, &output)),
            streamed: step.stream > 0,
            live_bytes: live_bytes(&lives, index) + step.scratch_bytes as usize,
        });
    }
    rows
}

/// Whether two tensors of the arena have bytes in common.
fn meet(a: &Tensor, b: &Tensor) -> bool {
    a.range().start < b.range().end && b.range().start < a.range().end
}

/// The table that `compile` and `inspect` print.
pub fn table(rows: &[StepRow], arena_bytes: usize) -> String {
    let mut table = Table::new(&[
        ("step", Align::Right),
        ("node", Align::Left),
        ("operator", Align::Left),
        ("input", Align::Left),
        ("output", Align::Left),
        ("MACs", Align::Right),
        ("weights", Align::Right),
        ("arena in use", Align::Left),
        ("", Align::Right),
    ]);
    for row in rows {
        let inputs: Vec<String> = row.inputs.iter().map(|dims| text::shape(dims)).collect();
        let how = match row {
            StepRow { in_place: true, .. } => " in place",
            StepRow { streamed: true, .. } => " by rows",
            _ => "",
        };
        table.row([
            row.index.to_string(),
            text::shortened(&row.name, 32),
            format!("{}{how}", row.operator),
            inputs.join(" + "),
            text::shape(&row.output),
            if row.macs == 0 {
                String::new()
            } else {
                text::count(row.macs)
            },
            if row.weight_bytes == 0 {
                String::new()
            } else {
                text::bytes(row.weight_bytes)
            },
            text::bar(row.live_bytes, arena_bytes, 12),
            text::bytes(row.live_bytes),
        ]);
    }
    table.render()
}

/// Bytes of the arena that tensors take while step `index` runs, shared ones once.
fn live_bytes(lives: &[Life], index: usize) -> usize {
    let mut ranges: Vec<_> = lives
        .iter()
        .filter(|life| life.covers(index))
        .map(|life| life.tensor.range())
        .collect();
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut end = 0;
    let mut total = 0;
    for range in ranges {
        total += range.end.saturating_sub(range.start.max(end));
        end = end.max(range.end);
    }
    total
}

/// Multiply-accumulates and bytes of constants of a step with weights.
fn cost(operator: &Operator, input: Option<&Tensor>, output: &Tensor) -> (u64, usize) {
    let channels = output.shape.last() as usize;
    let channels_in = input.map_or(0, |t| t.shape.last() as usize);
    let per_output = match operator {
        Operator::Conv(conv) | Operator::DepthwiseConv(conv) => {
            let window = conv.kernel_h as usize * conv.kernel_w as usize;
            window * (channels_in / (conv.groups as usize).max(1))
        }
        Operator::WinogradConv(_) => {
            let macs = output.shape.elements() as u64 * 9 * channels_in as u64;
            let weights = winograd::weight_bytes(channels, channels_in).unwrap_or(0);
            return (macs, weights + channels * 8);
        }
        Operator::FullyConnected(_) => channels_in,
        Operator::Lookup(_) => return (0, 256),
        Operator::Softmax(_) => return (0, 256 * 4),
        _ => return (0, 0),
    };
    // A bias and a multiplier of four bytes each per channel.
    let weights = channels * per_output + channels * 8;
    (output.shape.elements() as u64 * per_output as u64, weights)
}
