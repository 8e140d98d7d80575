//! Which operand of a sum ONNX Runtime takes first.
//!
//! Its quantized Add multiplies and adds fused, one operand after the other, so the order of
//! the two decides where a sum comes to lie that is a tie but for rounding. Where the first
//! operand is repeated along the innermost axis, its kernel for a single number runs, and that
//! takes the number second. Which axis is innermost depends on the layout: channels, where
//! its optimizer has the tensors in NHWC as its convolutions want them, else the last one.

use super::Matcher;
use crate::graph::{Node, ValueId};

/// How many nodes on the search for a convolution goes.
const FAR: usize = 8;

/// Operators through which ONNX Runtime's optimizer pushes a transposition.
const ELEMENTWISE: &[&str] = &[
    "Add",
    "AveragePool",
    "Clip",
    "DequantizeLinear",
    "GlobalAveragePool",
    "LeakyRelu",
    "MaxPool",
    "Mul",
    "QuantizeLinear",
    "Relu",
    "Sigmoid",
];

impl Matcher<'_> {
    /// Whether ONNX Runtime swaps the operands of a sum whose result is stored in `order`.
    pub(super) fn swaps_operands(&self, node: &Node, order: &[usize]) -> bool {
        let (shape, output) = (self.operand_shape(node, 0), self.output_shape(node));
        let rank = output.len();
        let missing = rank - shape.len().min(rank);
        let repeated = |axis: usize| axis < missing || shape[axis - missing] == 1;
        // Axes of extent 1 are not there for ONNX Runtime.
        let innermost = |order: &[usize]| {
            let axis = order.iter().rev().find(|&&axis| output[axis] > 1);
            axis.is_some_and(|&axis| repeated(axis))
        };
        let straight: Vec<usize> = (0..rank).collect();
        let [in_rows, in_images] = [innermost(&straight), innermost(order)];
        if in_rows == in_images {
            return in_rows;
        }
        let image = |input| {
            let operand = self.operand(node, input);
            operand.is_ok_and(|(stored, _)| stored.order != straight)
        };
        if (image(0) && image(1)) || self.goes_into_a_convolution(node) {
            in_images
        } else {
            in_rows
        }
    }

    /// Whether a convolution reads the result, through elementwise operators alone.
    fn goes_into_a_convolution(&self, node: &Node) -> bool {
        let mut values: Vec<ValueId> = node.outputs.clone();
        for _ in 0..FAR {
            let reads =
                |reader: &&Node| reader.inputs.iter().flatten().any(|id| values.contains(id));
            let readers: Vec<&Node> = self.graph.nodes.iter().filter(reads).collect();
            if readers.iter().any(|reader| reader.operator == "Conv") {
                return true;
            }
            values = (readers.iter())
                .filter(|reader| ELEMENTWISE.contains(&reader.operator.as_str()))
                .flat_map(|reader| reader.outputs.iter().copied())
                .collect();
        }
        false
    }
}
