//! Softmax.

use super::meaning::{Quantization, Stored};
use super::{Matcher, Why, axis};
use crate::graph::{Element, Node};
use crate::program::Operation;
use sanderling_plan::{Operator, step};

/// What a softmax runs over.
struct Rows {
    x: Stored,
    order: Vec<usize>,
    /// Rows and their length.
    dims: [usize; 2],
}

impl Matcher<'_> {
    pub(super) fn softmax(&mut self, node: &Node, to: Quantization) -> Result<Stored, Why> {
        let (x, from) = self.operand(node, 0)?;
        let Rows { x, order, dims } = self.softmax_rows(node, &x)?;
        let output = self.new_stored(node, x.shape.clone(), order, to.element, Some(to));
        let input = self.program.add_view(x.tensor, dims.to_vec());
        let target = self.program.add_view(output.tensor, dims.to_vec());
        // ONNX Runtime's quantized kernel takes a whole number of steps for 1. Where it does not
        // run, which is where the types differ or others read the shares too, that is what it is.
        let inverse_scale = match from.element == to.element && self.has_one_reader(node) {
            true => (1.0 / to.scale).floor(),
            false => 1.0 / to.scale,
        };
        let parameters = step::Softmax {
            table: 0,
            inverse_scale,
            zero_point: to.zero_point_i8(),
        };
        let operation = Operation::Softmax {
            parameters,
            table: exponentials(from.scale, dims[1]),
        };
        self.step(node, operation, vec![input], target);
        Ok(output)
    }

    /// A softmax that ends in float, of `f32` or of bytes with scale and zero point.
    pub(super) fn softmax_of(
        &mut self,
        node: &Node,
        x: &Stored,
        (scale, zero_x): (f32, i32),
    ) -> Result<Stored, Why> {
        let Rows { x, order, dims } = self.softmax_rows(node, x)?;
        let output = self.new_stored(node, x.shape.clone(), order, Element::F32, None);
        let input = self.program.add_view(x.tensor, dims.to_vec());
        let target = self.program.add_view(output.tensor, dims.to_vec());
        let parameters = step::SoftmaxReal { scale, zero_x };
        let operation = Operation::Plain(Operator::SoftmaxReal(parameters));
        self.step(node, operation, vec![input], target);
        Ok(output)
    }

    /// The input with the axes of the softmax last.
    fn softmax_rows(&mut self, node: &Node, x: &Stored) -> Result<Rows, Why> {
        let rank = x.shape.len();
        let opset = node.int("opset").unwrap_or(self.graph.opset);
        // Before operator set 13, softmax ran over all axes from `axis` on.
        let flat = opset < 13;
        let axis = axis(node.int("axis").unwrap_or(if flat { 1 } else { -1 }), rank)?;
        let order: Vec<usize> = if flat {
            (0..rank).collect()
        } else {
            (0..rank).filter(|&a| a != axis).chain([axis]).collect()
        };
        let x = self.arrange(node, x, &order)?;
        let length: usize = if flat {
            x.shape[axis..].iter().product()
        } else {
            x.shape[axis]
        };
        let rows = x.shape.iter().product::<usize>() / length;
        Ok(Rows {
            x,
            order,
            dims: [rows, length],
        })
    }
}

/// Keeps `exponential · inverse scale` below the largest `f32`. A power of two, so that
/// every quotient of two exponentials keeps its bits.
const HEADROOM: f64 = 1.0 / (1u64 << 24) as f64;

/// The exponentials of the 256 possible inputs, by byte of the `i8` value that has the
/// row's maximum at 127, scaled as ONNX Runtime's QLinearSoftmax scales them: as large
/// as the sum over a row allows, with e⁵ to spare; then [`HEADROOM`].
fn exponentials(scale: f32, length: usize) -> Vec<f32> {
    let largest = f64::from((f32::MAX / length as f32).ln());
    let shift = (largest - 5.0).max(0.0) / f64::from(scale);
    let mut table = vec![0.0; 256];
    for i in 0..256i32 {
        let exponent = (f64::from(i) - 255.0 + shift) * f64::from(scale);
        table[usize::from((i - 128) as u8)] = (exponent.exp() * HEADROOM) as f32;
    }
    table
}
