//! Matrix product of two tensors, neither with weights' treatment.

use super::binary::Operand;
use super::meaning::{Meaning, Quantization, Stored};
use super::{Matcher, Why};
use crate::graph::Node;
use crate::program::Operation;
use sanderling_plan::{Operator, step};

impl Matcher<'_> {
    pub(super) fn mat_mul(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let shape = self.output_shape(node);
        let rank = shape.len();
        let Some(split) = rank.checked_sub(2) else {
            return Err("a product with a vector is not supported".into());
        };
        let (m, n) = (shape[split], shape[split + 1]);
        let k = self.operand_shape(node, 0).last().copied().unwrap_or(1);
        if self.operand_shape(node, 0).len() < 2 || self.operand_shape(node, 1).len() < 2 {
            return Err("a product with a vector is not supported".into());
        }
        let batch: usize = shape[..split].iter().product();
        let whole = |rows: usize, columns: usize| -> Vec<usize> {
            shape[..split]
                .iter()
                .copied()
                .chain([rows, columns])
                .collect()
        };
        let straight: Vec<usize> = (0..rank).collect();
        // The engine wants the columns of the right matrix as rows.
        let turned: Vec<usize> = (0..split).chain([split + 1, split]).collect();
        let a = self.broadcast(node, 0, &whole(m, k), &straight)?;
        let b = self.broadcast(node, 1, &whole(k, n), &turned)?;
        let left = self.program.add_view(a.tensor, vec![batch, m, k]);
        let right = self.program.add_view(b.tensor, vec![batch, n, k]);
        let output = self.new_stored(node, shape.clone(), straight, to.element, Some(to));
        let target = self.program.add_view(output.tensor, vec![batch, m, n]);
        let parameters = step::MatMul {
            batch: batch as u32,
            zero_a: a.quantization.zero_point_i8(),
            zero_b: b.quantization.zero_point_i8(),
            multiplier: multiplier(&a, &b, to),
            zero_point: to.zero_point_i8(),
            low: clamp.0,
            high: clamp.1,
        };
        let operation = Operation::Plain(Operator::MatMul(parameters));
        let macs = (batch * m * n * k) as u64;
        self.step_with(node, operation, vec![left, right], target, 0, macs);
        Ok(output)
    }

    /// ONNX's dimensions of an operand, be it a tensor or a constant.
    pub(super) fn operand_shape(&self, node: &Node, input: usize) -> Vec<usize> {
        match self.meaning(node, input) {
            Some(Meaning::Weights(weights)) => weights.shape.clone(),
            Some(Meaning::Mapped(mapped)) => mapped.stored.shape.clone(),
            _ => Vec::new(),
        }
    }
}

fn multiplier(a: &Operand, b: &Operand, to: Quantization) -> f32 {
    (a.quantization.scale * b.quantization.scale) / to.scale
}
