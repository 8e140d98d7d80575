//! Concat: each input is copied to its place, through a table where its quantization
//! differs from the output's.

use super::arrange::{CopyAxis, strided};
use super::meaning::{Mapped, Meaning, Quantization, Stored};
use super::reals::Finish;
use super::{Matcher, Why, axis};
use crate::graph::{Element, Node};
use crate::program::Operation;
use sanderling_plan::Operator;

impl Matcher<'_> {
    pub(super) fn concat(&mut self, node: &Node, to: Quantization) -> Result<Stored, Why> {
        let mut parts = Vec::with_capacity(node.inputs.len());
        for input in 0..node.inputs.len() {
            if let Some((shape, reals)) = self.constant_reals(node, input) {
                let finish = Finish::quantized(to);
                parts.push(self.constant_part(node, input, shape, &reals, finish));
                continue;
            }
            let (stored, quantization) = self.operand(node, input)?;
            parts.push(if quantization == to {
                stored
            } else {
                let mut table = [0.0; 256];
                for (byte, real) in table.iter_mut().enumerate() {
                    *real = quantization.dequantize(byte as u8 as i8);
                }
                let mapped = Mapped {
                    stored,
                    table: table.into(),
                    linear: Some(quantization),
                };
                self.lookup(node, &mapped, to)
            });
        }
        self.join(node, &parts, to.element, Some(to))
    }

    /// Concat of tensors that are stored as they are, without DequantizeLinear between.
    pub(super) fn concat_of_stored(&mut self, node: &Node) -> Result<Option<Meaning>, Why> {
        if node.operator != "Concat" {
            return Ok(None);
        }
        let parts: Option<Vec<Stored>> = (0..node.inputs.len())
            .map(|input| match self.meaning(node, input) {
                Some(Meaning::Stored(stored)) => Some(stored.clone()),
                _ => None,
            })
            .collect();
        let Some(parts) = parts.filter(|parts| !parts.is_empty()) else {
            return Ok(None);
        };
        let element = parts[0].element;
        if parts.iter().any(|part| part.element != element) {
            return Err("its inputs differ in type".into());
        }
        self.join(node, &parts, element, None)
            .map(|stored| Some(Meaning::Stored(stored)))
    }

    pub(super) fn join(
        &mut self,
        node: &Node,
        parts: &[Stored],
        element: Element,
        to: Option<Quantization>,
    ) -> Result<Stored, Why> {
        let shape = self.output_shape(node);
        let axis = axis(node.int("axis").unwrap_or(0), shape.len())?;
        // Constants lie in ONNX's own order; what is computed has one that costs less.
        let computed = |part: &&Stored| !self.program.is_constant(part.tensor);
        let leading = parts.iter().find(computed).unwrap_or(&parts[0]);
        let order = leading.order.clone();
        let output = self.new_stored(node, shape, order, element, to);
        let strides = output.strides();
        let mut start = 0;
        for part in parts {
            let from = part.strides();
            let axes: Vec<CopyAxis> = output
                .order
                .iter()
                .map(|&a| (part.shape[a], from[a] as isize, strides[a] as isize))
                .collect();
            let copy = strided(&axes, 0, start * strides[axis])?;
            let operation = Operation::Plain(Operator::Copy(copy));
            self.step(node, operation, vec![part.tensor], output.tensor);
            start += part.shape[axis];
        }
        Ok(output)
    }
}
