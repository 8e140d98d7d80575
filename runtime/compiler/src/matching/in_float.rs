//! Sums, differences, and products that ONNX Runtime computes in float.
//!
//! Its quantized kernels want one type for operands and result, and behind the operation
//! nothing but the clamp to the result's own range; a difference has none. Everything else runs
//! in `f32`: both operands dequantized, the operation, the division by the scale of the result.
//! The engine's steps round in other places, so a pair of bytes on the edge between two results
//! may come out otherwise. There are 65,536 pairs, and all are tried here: where a step gives
//! every one, with a parameter moved by a few of its last bits if need be, it stays; else the
//! operands are widened to 16 bits, for which the engine has the formula in float itself.

use super::binary::Operand;
use super::meaning::{Quantization, Stored};
use super::{Matcher, Why};
use crate::graph::{Element, Node};
use crate::program::Operation;
use sanderling_plan::{Operator, step};

/// How far a parameter is moved, in 2⁻¹⁹: the last bits of sums of some hundred steps.
const NUDGES: [i8; 13] = [0, 1, -1, 2, -2, 3, -3, 4, -4, 6, -6, 8, -8];

/// An operation of two quantized operands in `f32`.
pub(super) struct InFloat {
    pub(super) operands: [Quantization; 2],
    pub(super) operation: fn(f32, f32) -> f32,
    pub(super) to: Quantization,
    pub(super) clamp: (i32, i32),
}

impl InFloat {
    /// What comes of each pair of the plan's bytes, the first operand's from -128 on.
    fn results(&self) -> Vec<i8> {
        let reals = self.operands.map(|operand| -> Vec<f32> {
            (i8::MIN..=i8::MAX)
                .map(|byte| operand.dequantize(byte))
                .collect()
        });
        let result = |a: f32, b: f32| {
            let byte = i32::from(self.to.quantize((self.operation)(a, b)));
            byte.clamp(self.clamp.0, self.clamp.1) as i8
        };
        (reals[0].iter())
            .flat_map(|&a| reals[1].iter().map(move |&b| result(a, b)))
            .collect()
    }

    /// The sum that gives every result, near to `usual`.
    pub(super) fn sum(&self, usual: step::Add) -> Option<step::Add> {
        let results = self.results();
        let nudged = NUDGES.map(|nudge| step::Add {
            fixed: usual.fixed + f32::from(nudge) / 524_288.0,
            ..usual
        });
        nudged.into_iter().find(|p| {
            gives(&results, |a, b| {
                let (a, b) = ((a + p.bias_a) as f32, (b + p.bias_b) as f32);
                let real = a.mul_add(p.ratio_a, b.mul_add(p.ratio_b, p.fixed));
                clamped(real, p.bias_y, (p.low, p.high))
            })
        })
    }

    /// The product that gives every result, near to `usual`.
    pub(super) fn product(&self, usual: step::Mul) -> Option<step::Mul> {
        let results = self.results();
        let nudged = NUDGES.map(|nudge| step::Mul {
            offset: usual.offset + f32::from(nudge) / 524_288.0,
            ..usual
        });
        nudged.into_iter().find(|p| {
            gives(&results, |a, b| {
                let product = ((a - p.zero_a) * (b - p.zero_b)) as f32;
                clamped(product * p.ratio + p.offset, p.bias_y, (p.low, p.high))
            })
        })
    }
}

/// Whether `step` gives the results.
fn gives(results: &[i8], step: impl Fn(i32, i32) -> i32) -> bool {
    let pairs = (-128..128).flat_map(|a| (-128..128).map(move |b| (a, b)));
    (results.iter().zip(pairs)).all(|(&result, (a, b))| step(a, b) == i32::from(result))
}

fn clamped(real: f32, bias: i32, (low, high): (i32, i32)) -> i32 {
    (real.round_ties_even() as i32)
        .saturating_sub(bias)
        .clamp(low, high)
}

impl Matcher<'_> {
    /// Whether ONNX Runtime has a quantized kernel for a sum or product of such operands.
    pub(super) fn is_fused(
        &self,
        node: &Node,
        operands: [Quantization; 2],
        to: Quantization,
        clamp: (i32, i32),
    ) -> bool {
        matches!(node.operator.as_str(), "Add" | "Mul")
            && operands.iter().all(|operand| operand.element == to.element)
            && clamp == to.range()
            && self.has_one_reader(node)
    }

    /// The operation in 16 bits, with every rounding of ONNX Runtime's.
    pub(super) fn widened_pair(
        &mut self,
        node: &Node,
        operands: [&Operand; 2],
        (shape, order): (Vec<usize>, Vec<usize>),
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let [a, b] = operands.map(|operand| {
            let from = operand.quantization;
            let stored = Stored {
                tensor: operand.tensor,
                element: from.element,
                shape: shape.clone(),
                order: order.clone(),
            };
            let wide = Quantization {
                scale: from.scale,
                zero_point: from.zero_point_i8(),
                element: Element::I16,
            };
            let stored = self.requantized(node, &stored, from, wide, wide.range());
            (stored.tensor, wide)
        });
        let negative = node.operator == "Sub";
        self.narrowed(node, to, |this, wide| {
            let stored = this.new_stored(node, shape, order, Element::I16, Some(wide));
            let parameters = step::WidePair {
                product: node.operator == "Mul",
                scale_a: a.1.scale,
                zero_a: a.1.zero_point,
                scale_b: if negative { -b.1.scale } else { b.1.scale },
                zero_b: b.1.zero_point,
                scale_y: wide.scale,
                zero_point: wide.zero_point,
                low: clamp.0,
                high: clamp.1,
            };
            let operation = Operation::Plain(Operator::WidePair(parameters));
            this.step(node, operation, vec![a.0, b.0], stored.tensor);
            Ok(stored)
        })
    }
}
