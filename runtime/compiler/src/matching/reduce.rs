//! GlobalAveragePool, ReduceMean, ReduceSum, and the axes of every reduction.

use super::meaning::{Quantization, Stored};
use super::{Matcher, Why, axis};
use crate::graph::Node;
use crate::program::Operation;
use sanderling_plan::{Operator, step};

/// A tensor whose reduced axes lie side by side.
pub struct Groups {
    /// The tensor, copied where they did not.
    pub x: Stored,
    /// Product of the extents before the reduced axes.
    pub outer: usize,
    /// Product of their extents.
    pub reduce: usize,
    /// Product of the extents after them.
    pub inner: usize,
    /// Stored order of the result.
    pub order: Vec<usize>,
}

/// The mean over `reduce` of `[outer, reduce, inner]`.
pub(super) fn mean(
    [outer, reduce, inner]: [usize; 3],
    from: &Quantization,
    to: &Quantization,
    clamp: (i32, i32),
) -> step::ReduceMean {
    step::ReduceMean {
        outer: outer as u32,
        reduce: reduce as u32,
        inner: inner as u32,
        zero_x: from.zero_point_i8(),
        multiplier: from.scale / (to.scale * reduce as f32),
        zero_point: to.zero_point_i8(),
        low: clamp.0,
        high: clamp.1,
    }
}

impl Matcher<'_> {
    pub(super) fn reduce_mean(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let (x, from) = self.operand(node, 0)?;
        let Groups {
            x,
            outer,
            reduce,
            inner,
            order,
        } = self.groups(node, &x)?;
        let shape = self.output_shape(node);
        let output = self.new_stored(node, shape, order, to.element, Some(to));
        let mut parameters = mean([outer, reduce, inner], &from, &to, clamp);
        if node.operator == "ReduceSum" {
            parameters.multiplier = from.scale / to.scale;
        }
        let scratch = parameters.scratch_bytes().ok_or("it is too large")?;
        let operation = Operation::Plain(Operator::ReduceMean(parameters));
        self.step_with(node, operation, vec![x.tensor], output.tensor, scratch, 0);
        Ok(output)
    }

    /// The axes of `x` in three groups: before, within, and after those that are reduced.
    pub(super) fn groups(&mut self, node: &Node, x: &Stored) -> Result<Groups, Why> {
        let rank = x.shape.len();
        let reduced = self.reduced_axes(node, rank)?;
        let long = |&&axis: &&usize| x.shape[axis] > 1;
        let places: Vec<bool> = x
            .order
            .iter()
            .filter(long)
            .map(|axis| reduced.contains(axis))
            .collect();
        // Where the reduced axes do not lie side by side, they are brought to the end.
        let changes = places.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let side_by_side = changes <= 1 || (changes == 2 && !places[0]);
        let order = if side_by_side {
            x.order.clone()
        } else {
            let kept = (0..rank).filter(|axis| !reduced.contains(axis));
            kept.chain(reduced.iter().copied()).collect()
        };
        let x = self.arrange(node, x, &order)?;
        let extent = |axes: &mut dyn Iterator<Item = &usize>| -> usize {
            axes.map(|&axis| x.shape[axis]).product()
        };
        let is_long_reduced = |axis: &&usize| reduced.contains(axis) && x.shape[**axis] > 1;
        let first = order
            .iter()
            .position(|axis| is_long_reduced(&axis))
            .unwrap_or(0);
        let end = order
            .iter()
            .rposition(|axis| is_long_reduced(&axis))
            .map_or(0, |last| last + 1);
        let outer = extent(&mut order[..first].iter());
        let reduce = extent(&mut order[first..end.max(first)].iter());
        let inner = extent(&mut order[end.max(first)..].iter());

        let order = if self.output_shape(node).len() == rank {
            order
        } else {
            // Without keepdims the remaining axes close up.
            let rank_after = |axis: usize| (0..axis).filter(|a| !reduced.contains(a)).count();
            order
                .iter()
                .filter(|a| !reduced.contains(a))
                .map(|&a| rank_after(a))
                .collect()
        };
        Ok(Groups {
            x,
            outer,
            reduce,
            inner,
            order,
        })
    }

    fn reduced_axes(&self, node: &Node, rank: usize) -> Result<Vec<usize>, Why> {
        match node.operator.as_str() {
            "GlobalAveragePool" | "GlobalMaxPool" => return Ok((2..rank).collect()),
            "ArgMax" | "ArgMin" => return self.arg_axis(node, rank),
            _ => {}
        }
        let axes = match node.ints("axes") {
            Some(axes) => axes.to_vec(),
            None => match self.graph.constant(node, 1) {
                Some(axes) if !axes.shape.contains(&0) => {
                    axes.integers().ok_or("its axes are not integers")?
                }
                // No axes are all of them, or with `noop_with_empty_axes` none.
                None if node.input(1).is_some() => return Err("its axes are not constant".into()),
                _ if node.int("noop_with_empty_axes").unwrap_or(0) != 0 => {
                    return Err(
                        "it reduces nothing, as `noop_with_empty_axes` says; leave it out".into(),
                    );
                }
                _ => (0..rank as i64).collect(),
            },
        };
        let mut axes: Vec<usize> = axes
            .into_iter()
            .map(|index| axis(index, rank))
            .collect::<Result<_, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        Ok(axes)
    }
}
