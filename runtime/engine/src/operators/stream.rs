//! Convolutions that run row by row, see [`sanderling_plan::step::stream`].

use super::conv::rows_before;
use super::rows::InputRows;
use super::{conv, depthwise};
use crate::kernels::Kernel;
use crate::memory::{Constants, signed, signed_mut};
use sanderling_plan::step::stream::MAX_STEPS;
use sanderling_plan::{Operator, Place, Plan, Step, Tensor};

/// Runs the stream that starts with step `first`.
pub(super) fn run<K: Kernel, B: AsRef<[u8]>>(
    plan: &Plan<B>,
    first: usize,
    arena: &mut [u8],
) -> Option<()> {
    let count = usize::from(plan.step(first)?.stream).min(MAX_STEPS);
    let mut done = [0u32; MAX_STEPS];
    loop {
        // The last step that has what it reads goes on by one row: what is kept of the
        // rows before it is then no longer than its window.
        let mut position = count;
        loop {
            position = position.checked_sub(1)?;
            let row = Row::of(plan, first + position, *done.get(position)?)?;
            let there = match position.checked_sub(1) {
                Some(before) => *done.get(before)? as usize,
                None => usize::MAX,
            };
            if row.oy == row.height {
                if position + 1 == count {
                    return Some(());
                }
            } else if there >= row.reads()? {
                row.compute::<K, B>(plan, arena)?;
                *done.get_mut(position)? += 1;
                break;
            }
        }
    }
}

/// The next row of one step.
struct Row {
    step: Step,
    input: Tensor,
    output: Tensor,
    from: [u32; 4],
    to: [u32; 4],
    oy: u32,
    height: u32,
}

impl Row {
    fn of<B: AsRef<[u8]>>(plan: &Plan<B>, index: usize, oy: u32) -> Option<Self> {
        let step = plan.step(index)?;
        let input = plan.tensor(*step.inputs().first()?)?;
        let output = plan.tensor(step.output)?;
        let (from, to) = (input.shape.nhwc()?, output.shape.nhwc()?);
        Some(Row {
            step,
            input,
            output,
            from,
            to,
            oy,
            height: to[1],
        })
    }

    /// Input rows before the first that it does not read.
    fn reads(&self) -> Option<usize> {
        Some(rows_before(self.step.convolution()?, self.from[1], self.oy))
    }

    fn compute<K: Kernel, B: AsRef<[u8]>>(&self, plan: &Plan<B>, arena: &mut [u8]) -> Option<()> {
        let constants = Constants::of(plan);
        let none_here = 0..0;
        let input = match self.input.place {
            Place::Arena => self.input.range(),
            Place::Constants => none_here.clone(),
        };
        let scratch = Some(self.step.scratch()).filter(|range| !range.is_empty());
        let [x, y, scratch] = arena
            .get_disjoint_mut([input, self.output.range(), scratch.unwrap_or(none_here)])
            .ok()?;
        let x: &[u8] = match self.input.place {
            Place::Arena => x,
            Place::Constants => plan.constants().get(self.input.range())?,
        };
        let len = |[_, _, w, c]: [u32; 4]| (w as usize).checked_mul(c as usize);
        let (row, row_out) = (len(self.from)?, len(self.to)?);
        let x = InputRows::of(signed(x), row);
        let slot = (self.oy as usize).checked_rem(y.len().checked_div(row_out)?)?;
        let start = slot.checked_mul(row_out)?;
        let y = signed_mut(y).get_mut(start..start.checked_add(row_out)?)?;
        match &self.step.operator {
            Operator::Conv(p) => conv::row::<K>(
                p,
                (self.from, self.to),
                &constants,
                x,
                self.oy,
                (scratch, y),
            ),
            Operator::DepthwiseConv(p) => depthwise::row::<K>(
                p,
                (self.from, self.to),
                &constants,
                x,
                self.oy,
                (scratch, y),
            ),
            _ => None,
        }
    }
}
