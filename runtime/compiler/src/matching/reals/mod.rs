//! Float steps between an operator and its quantization, and float ends.
//!
//! An operator whose float output is not quantized at once gets the meaning
//! [`Meaning::Real`]: nothing is computed until somebody asks. QuantizeLinear asks with its
//! parameters, which go up through what commutes with rounding (movements of data, MaxPool,
//! Relu, Clip, Concat, Split) to the operator that computes; so those cost nothing. An output
//! of the model asks for floats. Sums and scaled sums are then computed as real numbers, from
//! integers where an operand is quantized ([`steps`]).

mod linear;
mod steps;

use super::meaning::{Activation, Mapped, Meaning, Quantization, Stored};
use super::{Matcher, OPEN, Why, axis};
use crate::cause::Cause;
use crate::graph::{Element, Node, ValueId};
use crate::program::Operation;
use crate::tables::Table;
use sanderling_plan::{Operator, step};
use std::rc::Rc;

/// Most float operators in a row; each asks the one before it.
const DEEPEST: usize = 200;

/// The node that is at fault, and why.
pub(super) type Fault = (usize, Why);

/// What becomes of a real result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Finish {
    /// How it is quantized; it stays real without.
    pub(super) to: Option<Quantization>,
    /// Lowest and highest real number.
    pub(super) clamp: (f32, f32),
}

impl Finish {
    /// As it is, in `f32`.
    pub(super) const REAL: Finish = Finish {
        to: None,
        clamp: OPEN,
    };

    /// Quantized.
    pub(super) fn quantized(to: Quantization) -> Self {
        Finish {
            to: Some(to),
            clamp: OPEN,
        }
    }

    /// Clamped to `low..=high` before all of this.
    fn after(self, (low, high): (f32, f32)) -> Self {
        let (l, h) = self.clamp;
        Finish {
            clamp: (low.max(l).min(h), high.min(h).max(l)),
            ..self
        }
    }

    /// The bounds as a step has them.
    fn bounds(self) -> (f32, f32) {
        let (low, high) = self.clamp;
        (low.max(f32::MIN), high.min(f32::MAX))
    }

    /// Scale and zero point as a step has them.
    fn scale(self) -> (f32, i32) {
        self.to
            .map_or((1.0, 0), |to| (to.scale, to.zero_point_i8()))
    }

    /// How it is quantized to bytes.
    fn to_bytes(self) -> Option<Quantization> {
        self.to.filter(|to| to.element != Element::I16)
    }

    /// Whether a step that gives `f32` or bytes gives this.
    fn fits_a_step(self) -> bool {
        self.to.is_none_or(|to| to.element != Element::I16)
    }
}

/// Operators that may wait for what follows them.
const WAITING: &[&str] = &[
    "Add",
    "BatchNormalization",
    "Clip",
    "Concat",
    "Div",
    "Gemm",
    "GlobalAveragePool",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "MatMul",
    "MaxPool",
    "Mul",
    "QuickGelu",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Sigmoid",
    "Softmax",
    "Split",
    "Sub",
    "Swish",
    "Tanh",
];

impl<'a> Matcher<'a> {
    /// The meaning of a node that has no other, where it may wait.
    pub(super) fn real_form(&self, index: usize, node: &Node) -> Option<Vec<Meaning>> {
        let operator = node.operator.as_str();
        let moves = commutes(node);
        if !(moves || WAITING.contains(&operator)) {
            return None;
        }
        let product = matches!(operator, "Gemm" | "MatMul");
        if product && !self.has_real_weights(node) {
            return None;
        }
        let data = match operator {
            "Add" | "Sub" | "Mul" | "Div" => 2,
            "Concat" => node.inputs.len(),
            _ => 1,
        };
        let (mut varies, mut depth) = (false, 0);
        for input in 0..data {
            match self.meaning(node, input) {
                Some(Meaning::Stored(stored)) if stored.element == Element::F32 && self.floats => {}
                Some(Meaning::Wide(..)) if self.floats => {}
                Some(Meaning::Real { depth: before, .. }) => depth = depth.max(before + 1),
                Some(Meaning::Pending { .. } | Meaning::Activated { .. } | Meaning::Mapped(_)) => {}
                Some(Meaning::Weights(_)) => continue,
                None if self.constant_reals(node, input).is_some() => continue,
                _ => return None,
            }
            varies = true;
        }
        if !varies || depth > DEEPEST {
            return None;
        }
        let outputs = match operator {
            "Split" => node.outputs.len(),
            _ => 1,
        };
        Some(vec![Meaning::Real { node: index, depth }; outputs])
    }

    /// Real constants of an input and their dimensions, be they float or quantized.
    pub(super) fn constant_reals(
        &self,
        node: &Node,
        input: usize,
    ) -> Option<(Vec<usize>, Vec<f32>)> {
        if let Some(constant) = self.graph.constant(node, input) {
            return Some((constant.shape.clone(), constant.floats()?.to_vec()));
        }
        match self.meaning(node, input)? {
            Meaning::Weights(weights) => Some((weights.shape.clone(), weights.reals())),
            _ => None,
        }
    }

    /// A value in `f32`.
    pub(super) fn real(&mut self, value: ValueId) -> Result<Stored, Fault> {
        self.finished(value, Finish::REAL)
    }

    /// A value as `finish` says. What several readers ask for in the same way is computed once.
    pub(super) fn finished(&mut self, value: ValueId, finish: Finish) -> Result<Stored, Fault> {
        let known = self.computed.get(&value).into_iter().flatten();
        if let Some((_, stored)) = known.into_iter().find(|(asked, _)| *asked == finish) {
            return Ok(stored.clone());
        }
        let stored = self.finish(value, finish)?;
        let known = self.computed.entry(value).or_default();
        known.push((finish, stored.clone()));
        Ok(stored)
    }

    fn finish(&mut self, value: ValueId, finish: Finish) -> Result<Stored, Fault> {
        let (index, output) = self.producers.get(&value).copied().unwrap_or((0, 0));
        let node = &self.graph.nodes[index];
        match self.meanings.get(&value).cloned() {
            Some(Meaning::Stored(stored)) if stored.element == Element::F32 => {
                Ok(self.concluded(node, stored, finish))
            }
            Some(Meaning::Mapped(mapped)) => Ok(self.mapped_reals(node, &mapped, finish)),
            Some(Meaning::Wide(stored, from)) => {
                let real = self.dequantized(node, &stored, from);
                Ok(self.concluded(node, real, finish))
            }
            Some(Meaning::Pending {
                node: of,
                low,
                high,
            }) => self.real_node(of, 0, finish.after((low, high))),
            Some(Meaning::Activated { node: of, function }) => match finish.to_bytes() {
                Some(to) => {
                    let (low, high) = finish.clamp;
                    let clamped = move |x| (function.0)(x).max(low).min(high);
                    self.activated(of, &Activation(Rc::new(clamped)), to)
                        .map_err(|why| (of, why))
                }
                None => self.real_node(index, output, finish),
            },
            Some(Meaning::Real { .. }) => self.real_node(index, output, finish),
            _ => Err((index, "it does not depend on any input".into())),
        }
    }

    /// What a node computes, as `finish` says.
    fn real_node(&mut self, index: usize, output: usize, finish: Finish) -> Result<Stored, Fault> {
        let graph = self.graph;
        let node = &graph.nodes[index];
        let operator = node.operator.as_str();
        let data = node.input(0);
        if let Some(to) = finish.to
            && self.has_integer_form(node)
        {
            let (low, high) = finish.clamp;
            return self.emit(index, to, to.clamp(low, high));
        }
        let at = |why: Why| (index, why);
        if commutes(node)
            && let Some(value) = data
        {
            if operator == "MaxPool" && finish.to.is_none() {
                return Err(float_output(index, operator));
            }
            let x = self.finished(value, finish)?;
            return match operator {
                "MaxPool" => self.pooled(node, &x).map_err(at),
                "Split" => self.part(node, &x, output).map_err(at),
                "Identity" | "Dropout" => Ok(x),
                _ => self.moved(node, &x, &|_| None).map_err(at),
            };
        }
        if operator == "Concat" {
            return self.real_concat(index, finish);
        }
        if let Some(bounds) = self.clamp_of(node).map_err(at)?
            && let Some(value) = data
        {
            return self.finished(value, finish.after(bounds));
        }
        if finish.to.is_none() && !self.floats {
            return Err(float_output(index, operator));
        }
        if !finish.fits_a_step() {
            let real = self.real_node(index, output, Finish::REAL)?;
            return Ok(self.concluded(node, real, finish));
        }
        match operator {
            "Add" | "Sub" | "Mul" | "Div" => self.real_pair(index, finish),
            "Conv" | "Gemm" | "MatMul" => self.real_linear(index, finish),
            "BatchNormalization" => self.real_batch_norm(index, finish),
            "ReduceMean" | "ReduceSum" | "GlobalAveragePool" => self.real_mean(index, finish),
            "Softmax" => self.real_rows(index, finish),
            "Sigmoid" | "Tanh" | "LeakyRelu" | "HardSigmoid" | "HardSwish" | "Swish"
            | "QuickGelu" => self.real_map(index, finish),
            other => Err(float_output(index, other)),
        }
    }

    /// Whether a node has quantized operands throughout, so that it is computed in integers.
    fn has_integer_form(&self, node: &Node) -> bool {
        let value = node.outputs[0];
        let is_pending = matches!(
            self.meanings.get(&value),
            Some(Meaning::Pending { node, .. }) if self.graph.nodes[*node].outputs[0] == value
        );
        is_pending && !self.has_real_weights(node)
    }

    /// Whether a product's weights are float constants.
    pub(super) fn has_real_weights(&self, node: &Node) -> bool {
        matches!(node.operator.as_str(), "Gemm" | "MatMul")
            && self.graph.constant(node, 1).is_some()
    }

    /// A tensor that is a function of bytes, as `finish` says.
    fn mapped_reals(&mut self, node: &Node, mapped: &Mapped, finish: Finish) -> Stored {
        let (low, high) = finish.clamp;
        let open = finish.clamp == OPEN;
        let clamped = match open {
            true => mapped.clone(),
            false => super::unary::map(mapped, |x| x.max(low).min(high)),
        };
        if let Some(to) = finish.to_bytes() {
            return match mapped.linear == Some(to) && open {
                true => mapped.stored.clone(),
                false => self.lookup(node, &clamped, to),
            };
        }
        let from = mapped.stored.clone();
        let real = match mapped.linear.filter(|_| open) {
            Some(linear) => self.dequantized(node, &from, linear),
            None => {
                let output = self.new_stored(node, from.shape, from.order, Element::F32, None);
                let operation = Operation::Tabled {
                    operator: Operator::LookupReal(step::LookupReal { table: 0 }),
                    tables: vec![Table::F32(clamped.table.to_vec())],
                };
                self.step(node, operation, vec![from.tensor], output.tensor);
                output
            }
        };
        self.concluded(
            node,
            real,
            Finish {
                clamp: OPEN,
                ..finish
            },
        )
    }

    fn dequantized(&mut self, node: &Node, stored: &Stored, from: Quantization) -> Stored {
        let (shape, order) = (stored.shape.clone(), stored.order.clone());
        let output = self.new_stored(node, shape, order, Element::F32, None);
        let dequantize = step::Dequantize {
            scale: from.scale,
            zero_point: from.zero_point_i8(),
        };
        let operation = Operation::Plain(Operator::Dequantize(dequantize));
        self.step(node, operation, vec![stored.tensor], output.tensor);
        output
    }

    /// A real tensor, clamped and quantized.
    fn concluded(&mut self, node: &Node, x: Stored, finish: Finish) -> Stored {
        let mut x = x;
        if finish.clamp != OPEN {
            let (alpha, beta) = finish.bounds();
            let parameters = step::RealMap {
                function: step::RealMap::CLAMP,
                alpha,
                beta,
                scale_y: 1.0,
                zero_point: 0,
            };
            let output =
                self.new_stored(node, x.shape.clone(), x.order.clone(), Element::F32, None);
            let operation = Operation::Plain(Operator::RealMap(parameters));
            self.step(node, operation, vec![x.tensor], output.tensor);
            x = output;
        }
        let Some(to) = finish.to else { return x };
        let output = self.new_stored(node, x.shape, x.order, to.element, Some(to));
        let quantize = step::Quantize {
            scale: to.scale,
            zero_point: to.zero_point_i8(),
        };
        let operation = Operation::Plain(Operator::Quantize(quantize));
        self.step(node, operation, vec![x.tensor], output.tensor);
        output
    }

    /// Each part as `finish` says, then one behind the other; constants are computed here.
    fn real_concat(&mut self, index: usize, finish: Finish) -> Result<Stored, Fault> {
        let graph = self.graph;
        let node = &graph.nodes[index];
        if finish.to.is_none() && !self.floats {
            return Err(float_output(index, "Concat"));
        }
        let mut parts = Vec::with_capacity(node.inputs.len());
        for input in 0..node.inputs.len() {
            let part = match (self.constant_reals(node, input), node.input(input)) {
                (Some((shape, reals)), _) => self.constant_part(node, input, shape, &reals, finish),
                (None, Some(value)) => self.finished(value, finish)?,
                (None, None) => return Err((index, format!("input {input} is missing"))),
            };
            parts.push(part);
        }
        let element = finish.to.map_or(Element::F32, |to| to.element);
        self.join(node, &parts, element, finish.to)
            .map_err(|why| (index, why))
    }

    /// A constant in the place of a tensor.
    pub(super) fn constant_part(
        &mut self,
        node: &Node,
        input: usize,
        shape: Vec<usize>,
        reals: &[f32],
        finish: Finish,
    ) -> Stored {
        let name = format!("{}/constant{input}", node.name);
        let (low, high) = finish.clamp;
        let reals: Vec<f32> = reals.iter().map(|x| x.max(low).min(high)).collect();
        let order = (0..shape.len()).collect();
        let (tensor, element) = match finish.to {
            Some(to) => {
                let values: Vec<i8> = reals.iter().map(|&x| to.quantize(x)).collect();
                let (scale, zero_point) = (to.scale, to.zero_point_i8());
                let tensor =
                    self.program
                        .add_constant(&name, shape.clone(), &values, scale, zero_point);
                (tensor, to.element)
            }
            None => {
                let tensor = self.program.add_real_constant(&name, shape.clone(), &reals);
                (tensor, Element::F32)
            }
        };
        Stored {
            tensor,
            element,
            shape,
            order,
        }
    }

    /// Output number `output` of a Split of `stored`.
    fn part(&mut self, node: &'a Node, stored: &Stored, output: usize) -> Result<Stored, Why> {
        let axis = axis(node.int("axis").unwrap_or(0), stored.shape.len())?;
        let extent = |id: &ValueId| self.graph.value(*id).shape[axis];
        let mut first = vec![0usize; stored.shape.len()];
        first[axis] = node.outputs[..output].iter().map(extent).sum();
        let shape = self.graph.value(node.outputs[output]).shape.clone();
        let pace = vec![1; shape.len()];
        self.window_of(node, stored, shape, &first, &pace)
    }
}

/// Whether a node moves or compares values, so that it may stand before or behind a
/// quantization.
fn commutes(node: &Node) -> bool {
    match node.operator.as_str() {
        "Pad" => false,
        "Resize" => node.text("mode").unwrap_or("nearest") == "nearest",
        "Split" | "MaxPool" => true,
        operator => super::MOVEMENTS.contains(&operator),
    }
}

/// The fault of a node whose float output somebody asks for in vain.
fn float_output(index: usize, operator: &str) -> Fault {
    let operator = operator.to_owned();
    (index, Cause::FloatOutput { operator }.into())
}
