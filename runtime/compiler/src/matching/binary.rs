//! Elementwise operators of two tensors.

use super::arrange::{CopyAxis, strided};
use super::in_float::InFloat;
use super::meaning::{Activation, Mapped, Meaning, Quantization, Stored, Weights};
use super::unary::map;
use super::{Matcher, Why};
use crate::graph::{Element, Node};
use crate::program::{Operation, TensorId};
use sanderling_plan::{Operator, step};
use std::rc::Rc;
use std::sync::Arc;

/// An operand of Add or Mul, brought to the shape and order of the result.
pub(super) struct Operand {
    pub(super) tensor: TensorId,
    pub(super) quantization: Quantization,
}

/// ONNX's dimensions of a result, and the order in which it is stored.
type Place = (Vec<usize>, Vec<usize>);

impl<'a> Matcher<'a> {
    pub(super) fn binary(&mut self, index: usize, node: &'a Node) -> Result<Meaning, Why> {
        let function = function(&node.operator);
        if let Some(activated) = self.binary_of_pending(node, function)? {
            return Ok(activated);
        }
        // A number on either side, or twice the same tensor: still a function of one.
        let (a, b) = (self.mapped(node, 0), self.mapped(node, 1));
        match (a, b) {
            (Some(a), None) => {
                if let Some(b) = self.float_scalar(node, 1) {
                    return self
                        .same_shape(node, &a)
                        .map(|()| Meaning::Mapped(map(&a, |x| function(x, b))));
                }
            }
            (None, Some(b)) => {
                if let Some(a) = self.float_scalar(node, 0) {
                    return self
                        .same_shape(node, &b)
                        .map(|()| Meaning::Mapped(map(&b, |x| function(a, x))));
                }
            }
            (Some(a), Some(b))
                if a.stored.tensor == b.stored.tensor
                    && (a.linear.is_none() || b.linear.is_none()) =>
            {
                let mut table = *a.table;
                for (x, &y) in table.iter_mut().zip(b.table.iter()) {
                    *x = function(*x, y);
                }
                return Ok(Meaning::Mapped(Mapped {
                    table: Arc::new(table),
                    linear: None,
                    ..a
                }));
            }
            _ => {}
        }
        if !matches!(node.operator.as_str(), "Add" | "Mul" | "Sub") {
            return Err(format!(
                "{} of two tensors has no integer form",
                node.operator
            ));
        }
        let constants = (0..2)
            .filter(|&i| matches!(self.meaning(node, i), Some(Meaning::Weights(_))))
            .count();
        for input in 0..2 {
            if !matches!(self.meaning(node, input), Some(Meaning::Weights(_))) || constants == 2 {
                self.operand(node, input)?;
            }
        }
        Ok(Meaning::Pending {
            node: index,
            low: f32::NEG_INFINITY,
            high: f32::INFINITY,
        })
    }

    /// A function of a convolution or product that is not quantized yet: of it and a
    /// number, or of it and itself.
    fn binary_of_pending(
        &mut self,
        node: &Node,
        function: fn(f32, f32) -> f32,
    ) -> Result<Option<Meaning>, Why> {
        let (a, b) = (self.activation(node, 0), self.activation(node, 1));
        let (index, combined): (usize, Activation) = match (a, b) {
            (Some((index, a)), Some((other, b))) if index == other => {
                let both = move |x| function((a.0)(x), (b.0)(x));
                (index, Activation(Rc::new(both)))
            }
            (Some((index, a)), None) => match self.float_scalar(node, 1) {
                Some(b) => (index, Activation(Rc::new(move |x| function((a.0)(x), b)))),
                None => return Ok(None),
            },
            (None, Some((index, b))) => match self.float_scalar(node, 0) {
                Some(a) => (index, Activation(Rc::new(move |x| function(a, (b.0)(x))))),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        if self.output_shape(node) != self.output_shape(&self.graph.nodes[index]) {
            return Err("its constant has more dimensions than the tensor".into());
        }
        Ok(Some(Meaning::Activated {
            node: index,
            function: combined,
        }))
    }

    pub(super) fn add(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let (mut a, mut b, place) = self.pair(node)?;
        let fused = self.is_fused(node, [a.quantization, b.quantization], to, clamp);
        if fused && self.swaps_operands(node, &place.1) {
            std::mem::swap(&mut a, &mut b);
        }
        let ratio_a = a.quantization.scale / to.scale;
        let ratio_b = match node.operator.as_str() {
            "Sub" => -b.quantization.scale / to.scale,
            _ => b.quantization.scale / to.scale,
        };
        let (zero_a, zero_b) = (
            a.quantization.zero_point as f32,
            b.quantization.zero_point as f32,
        );
        let mut parameters = step::Add {
            ratio_a,
            ratio_b,
            fixed: fixed([ratio_a, ratio_b], [zero_a, zero_b], to.zero_point as f32),
            bias_a: a.quantization.bias(),
            bias_b: b.quantization.bias(),
            bias_y: to.bias(),
            low: clamp.0,
            high: clamp.1,
        };
        if !fused {
            match in_float(node, &a, &b, to, clamp).sum(parameters) {
                Some(nudged) => parameters = nudged,
                None => return self.widened_pair(node, [&a, &b], place, to, clamp),
            }
        }
        let (shape, order) = place;
        let output = self.new_stored(node, shape, order, to.element, Some(to));
        let operation = Operation::Plain(Operator::Add(parameters));
        self.step(node, operation, vec![a.tensor, b.tensor], output.tensor);
        Ok(output)
    }

    pub(super) fn mul(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let (a, b, place) = self.pair(node)?;
        let mut parameters = step::Mul {
            zero_a: a.quantization.zero_point_i8(),
            zero_b: b.quantization.zero_point_i8(),
            ratio: a.quantization.scale * b.quantization.scale / to.scale,
            offset: to.zero_point as f32,
            bias_y: to.bias(),
            low: clamp.0,
            high: clamp.1,
        };
        if !self.is_fused(node, [a.quantization, b.quantization], to, clamp) {
            match in_float(node, &a, &b, to, clamp).product(parameters) {
                Some(nudged) => parameters = nudged,
                None => return self.widened_pair(node, [&a, &b], place, to, clamp),
            }
        }
        let (shape, order) = place;
        let output = self.new_stored(node, shape, order, to.element, Some(to));
        let operation = Operation::Plain(Operator::Mul(parameters));
        self.step(node, operation, vec![a.tensor, b.tensor], output.tensor);
        Ok(output)
    }

    /// Both operands in the shape and order of the result, and these two.
    fn pair(&mut self, node: &Node) -> Result<(Operand, Operand, Place), Why> {
        let shape = self.output_shape(node);
        let full = |stored: &Stored| stored.shape == shape;
        let order = (0..2)
            .find_map(|input| {
                self.operand(node, input)
                    .ok()
                    .filter(|(stored, _)| full(stored))
            })
            .map_or_else(|| (0..shape.len()).collect(), |(stored, _)| stored.order);
        let a = self.broadcast(node, 0, &shape, &order)?;
        let b = self.broadcast(node, 1, &shape, &order)?;
        Ok((a, b, (shape, order)))
    }

    pub(super) fn broadcast(
        &mut self,
        node: &Node,
        input: usize,
        shape: &[usize],
        order: &[usize],
    ) -> Result<Operand, Why> {
        if let Some(Meaning::Weights(weights)) = self.meaning(node, input).cloned() {
            return self.broadcast_constant(node, &weights, shape, order);
        }
        let (stored, quantization) = self.operand(node, input)?;
        let stored = self.expand(node, &stored, shape, order)?;
        Ok(Operand {
            tensor: stored.tensor,
            quantization,
        })
    }

    /// `stored` repeated along the axes where it has extent 1 (or none) and `shape` has more.
    pub(super) fn expand(
        &mut self,
        node: &Node,
        stored: &Stored,
        shape: &[usize],
        order: &[usize],
    ) -> Result<Stored, Why> {
        if stored.shape == shape {
            return self.arrange(node, stored, order);
        }
        let missing = shape
            .len()
            .checked_sub(stored.shape.len())
            .ok_or("ranks do not fit")?;
        let strides = stored.strides();
        let source = self.program.tensor(stored.tensor).clone();
        let expanded = Stored {
            shape: shape.to_vec(),
            order: order.to_vec(),
            ..stored.clone()
        };
        let tensor = self.program.add_tensor(
            &source.name,
            source.dtype,
            expanded.stored_shape(),
            source.scale,
            source.zero_point,
        );
        let expanded = Stored { tensor, ..expanded };
        let to = expanded.strides();
        let axes: Vec<CopyAxis> = order
            .iter()
            .map(|&axis| {
                let repeats = axis < missing || stored.shape[axis - missing] == 1;
                let from = if repeats { 0 } else { strides[axis - missing] };
                (shape[axis], from as isize, to[axis] as isize)
            })
            .collect();
        let copy = Operation::Plain(Operator::Copy(strided(&axes, 0, 0)?));
        self.step(node, copy, vec![stored.tensor], tensor);
        Ok(expanded)
    }

    fn broadcast_constant(
        &mut self,
        node: &Node,
        weights: &Weights,
        shape: &[usize],
        order: &[usize],
    ) -> Result<Operand, Why> {
        let (&[scale], &[zero_point]) = (weights.scales.as_slice(), weights.zero_points.as_slice())
        else {
            return Err("a constant operand with several scales is not supported".into());
        };
        if !matches!(weights.element, Element::I8 | Element::U8) {
            return Err(format!(
                "a constant operand of {} is not supported",
                weights.element
            ));
        }
        let quantization = Quantization {
            scale,
            zero_point,
            element: weights.element,
        };
        let missing = shape
            .len()
            .checked_sub(weights.shape.len())
            .ok_or("ranks do not fit")?;
        let stored_shape: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
        let mut values = Vec::with_capacity(shape.iter().product());
        let mut index = vec![0usize; shape.len()];
        for _ in 0..shape.iter().product::<usize>() {
            let mut at = 0;
            for (axis, &extent) in weights.shape.iter().enumerate() {
                let i = if extent == 1 {
                    0
                } else {
                    index[axis + missing]
                };
                at = at * extent + i;
            }
            values.push((weights.values[at] - quantization.bias()) as i8);
            for &axis in order.iter().rev() {
                index[axis] += 1;
                if index[axis] < shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        let tensor = self.program.add_constant(
            &format!("{}/constant", node.name),
            stored_shape,
            &values,
            scale,
            quantization.zero_point_i8(),
        );
        Ok(Operand {
            tensor,
            quantization,
        })
    }

    fn mapped(&self, node: &Node, input: usize) -> Option<Mapped> {
        match self.meaning(node, input)? {
            Meaning::Mapped(mapped) => Some(mapped.clone()),
            _ => None,
        }
    }

    /// A float constant of one element; quantized constants take part as tensors.
    fn float_scalar(&self, node: &Node, input: usize) -> Option<f32> {
        self.graph.constant(node, input)?;
        self.scalar(node, input)
    }

    fn same_shape(&self, node: &Node, mapped: &Mapped) -> Result<(), Why> {
        if self.output_shape(node) == mapped.stored.shape {
            Ok(())
        } else {
            Err("its constant has more dimensions than the tensor".into())
        }
    }
}

/// The operation as ONNX Runtime has it where it does not fuse it.
fn in_float(node: &Node, a: &Operand, b: &Operand, to: Quantization, clamp: (i32, i32)) -> InFloat {
    InFloat {
        operands: [a.quantization, b.quantization],
        operation: function(&node.operator),
        to,
        clamp,
    }
}

fn function(operator: &str) -> fn(f32, f32) -> f32 {
    match operator {
        "Add" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Pow" => power,
        "Max" => f32::max,
        "Min" => f32::min,
        _ => |a, b| a / b,
    }
}

/// As ONNX Runtime has it: squares and cubes are products.
fn power(base: f32, exponent: f32) -> f32 {
    match exponent {
        2.0 => base * base,
        3.0 => base * base * base,
        _ => base.powf(exponent),
    }
}

/// What Add adds to both scaled operands: the zero point of the result less those of the
/// operands, scaled. ONNX Runtime's build fuses the first product into the sum; 418 of
/// 4,325,376 sums with scales chosen for ties differ where it is rounded by itself.
fn fixed(ratios: [f32; 2], zeros: [f32; 2], zero: f32) -> f32 {
    zero - ratios[0].mul_add(zeros[0], ratios[1] * zeros[1])
}

#[cfg(test)]
mod tests {
    /// The scales and zero points of a graph on which ONNX Runtime 1.32 gave 9 for 5 and 13.
    #[test]
    fn the_fixed_part_of_a_sum_is_fused() {
        let [a, b, y] = [0.063_099_21_f32, 0.101_196_855, 0.164_296_06];
        let ratios = [a / y, b / y];
        let fixed = super::fixed(ratios, [51.0, 128.0], 98.0);
        assert_eq!(fixed, -0.427_543_64);
        let real = 5_f32.mul_add(ratios[0], 13_f32.mul_add(ratios[1], fixed));
        assert_eq!(real.round_ties_even(), 9.0);
    }
}
