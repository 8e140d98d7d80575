//! Inputs, outputs, QuantizeLinear, DequantizeLinear.

use super::meaning::{Mapped, Meaning, Quantization, Stored, Table, Weights};
use super::reals::{Fault, Finish};
use super::{Matcher, Why, axis};
use crate::cause::Cause;
use crate::error::Refusal;
use crate::graph::{Element, Node, ValueId};
use crate::program::Operation;
use crate::tables::Table as TableOf;
use sanderling_plan::{Dtype, Operator, step};
use std::sync::Arc;

impl<'a> Matcher<'a> {
    /// The model's inputs as they arrive; `u8` becomes `i8` at once.
    pub(super) fn inputs(&mut self) {
        for &id in &self.graph.inputs {
            let value = self.graph.value(id);
            let dtype = match value.element {
                Element::F32 => Dtype::F32,
                Element::I8 => Dtype::I8,
                Element::U8 => Dtype::U8,
                // Indices; a plan has them in 32 bits.
                Element::I32 | Element::I64 => Dtype::I32,
                Element::I16 => Dtype::I16,
                other => {
                    let why = format!("an input of type {other} has no place in a plan");
                    self.refusals.push(Refusal::new(&value.name, "input", why));
                    self.meanings.insert(id, Meaning::Refused);
                    continue;
                }
            };
            let shape = value.shape.clone();
            let order = (0..shape.len()).collect();
            let (scale, zero_point) = self.input_quantization(id).unwrap_or((0.0, 0));
            let mut tensor =
                self.program
                    .add_tensor(&value.name, dtype, shape.clone(), scale, zero_point);
            self.program.inputs.push(tensor);
            if dtype == Dtype::U8 {
                let node = border_node(&value.name, id);
                let signed = self.program.add_tensor(
                    &value.name,
                    Dtype::I8,
                    shape.clone(),
                    scale,
                    zero_point - 128,
                );
                self.step(
                    &node,
                    Operation::Lookup { table: flip_sign() },
                    vec![tensor],
                    signed,
                );
                tensor = signed;
            }
            let stored = Stored {
                tensor,
                element: value.element,
                shape,
                order,
            };
            self.meanings.insert(id, Meaning::Stored(stored));
        }
    }

    /// Scale and zero point of an integer input: those of its DequantizeLinear, through
    /// movements that leave them.
    fn input_quantization(&self, id: ValueId) -> Option<(f32, i32)> {
        let reader = self
            .graph
            .nodes
            .iter()
            .find(|node| node.input(0) == Some(id))?;
        match reader.operator.as_str() {
            "DequantizeLinear" => {
                let quantization = self.parameters(reader).ok()?;
                Some((quantization.scale, quantization.zero_point))
            }
            "Transpose" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" | "Identity" => {
                self.input_quantization(reader.outputs[0])
            }
            _ => None,
        }
    }

    /// The model's outputs in ONNX's order and type.
    pub(super) fn outputs(&mut self) {
        for (name, id) in self.graph.outputs.clone() {
            let node = border_node(&name, id);
            match self.output(&node, id) {
                Ok(stored) => {
                    // Each output has a name of its own, also where it is an input or another
                    // output: then it is one more view of those bytes.
                    let mut known = self.program.inputs.iter().chain(&self.program.outputs);
                    let is_known = known.any(|&tensor| tensor == stored.tensor);
                    let tensor = match is_known {
                        true => self.program.add_alias(stored.tensor),
                        false => stored.tensor,
                    };
                    self.program.tensors[tensor.0].name = name;
                    self.program.outputs.push(tensor);
                }
                Err(Some(why)) => self.refusals.push(Refusal::new(name, "output", why)),
                Err(None) => {}
            }
        }
    }

    /// The tensor for an output; `Err(None)` where something before it was refused.
    fn output(&mut self, node: &Node, id: ValueId) -> Result<Stored, Option<Why>> {
        match self.meanings.get(&id).cloned() {
            Some(Meaning::Stored(stored)) => {
                let stored = self.row_major(node, &stored)?;
                if stored.element != Element::U8 {
                    return Ok(stored);
                }
                let source = self.program.tensor(stored.tensor).clone();
                let tensor = self.program.add_tensor(
                    &node.name,
                    Dtype::U8,
                    source.shape,
                    source.scale,
                    source.zero_point + 128,
                );
                let flip = Operation::Lookup { table: flip_sign() };
                self.step(node, flip, vec![stored.tensor], tensor);
                Ok(Stored { tensor, ..stored })
            }
            Some(
                Meaning::Mapped(Mapped {
                    stored,
                    linear: Some(from),
                    ..
                })
                | Meaning::Wide(stored, from),
            ) => {
                let stored = self.row_major(node, &stored)?;
                let shape = self.program.tensor(stored.tensor).shape.clone();
                let tensor = self
                    .program
                    .add_tensor(&node.name, Dtype::F32, shape, 0.0, 0);
                let dequantize = step::Dequantize {
                    scale: from.scale,
                    zero_point: from.zero_point_i8(),
                };
                let operation = Operation::Plain(Operator::Dequantize(dequantize));
                self.step(node, operation, vec![stored.tensor], tensor);
                Ok(Stored {
                    tensor,
                    element: Element::F32,
                    ..stored
                })
            }
            Some(Meaning::Mapped(mapped)) => {
                let stored = self.row_major(node, &mapped.stored)?;
                let shape = self.program.tensor(stored.tensor).shape.clone();
                let tensor = self
                    .program
                    .add_tensor(&node.name, Dtype::F32, shape, 0.0, 0);
                let operation = Operation::Tabled {
                    operator: Operator::LookupReal(step::LookupReal { table: 0 }),
                    tables: vec![TableOf::F32(mapped.table.to_vec())],
                };
                self.step(node, operation, vec![stored.tensor], tensor);
                Ok(Stored {
                    tensor,
                    element: Element::F32,
                    ..stored
                })
            }
            Some(Meaning::Pending { node: from, .. })
                if self.graph.nodes[from].operator == "Softmax" =>
            {
                let stored = self
                    .real_rows(from, Finish::REAL)
                    .map_err(|(_, why)| Some(why))?;
                Ok(self.row_major(node, &stored)?)
            }
            Some(Meaning::Pending { .. } | Meaning::Activated { .. } | Meaning::Real { .. })
                if self.floats =>
            {
                match self.real(id) {
                    Ok(stored) => Ok(self.row_major(node, &stored)?),
                    Err(fault) => {
                        self.refuse(fault);
                        Err(None)
                    }
                }
            }
            Some(Meaning::Real { node: from, .. }) => Err(Some(format!(
                "it is the float output of `{}`; end the model with QuantizeLinear (and \
                 DequantizeLinear)",
                self.graph.nodes[from].name
            ))),
            Some(Meaning::Activated { node: from, .. }) => Err(Some(format!(
                "it is the float output of an activation after `{}`; end the model with \
                 QuantizeLinear (and DequantizeLinear)",
                self.graph.nodes[from].name
            ))),
            Some(Meaning::Pending { node: from, .. }) => Err(Some(format!(
                "it is the float output of `{}`; end the model with QuantizeLinear (and \
                 DequantizeLinear)",
                self.graph.nodes[from].name
            ))),
            Some(Meaning::Weights(_)) | None => Err(Some("it does not depend on any input".into())),
            Some(Meaning::Refused) => Err(None),
        }
    }

    pub(super) fn dequantize(&mut self, node: &'a Node) -> Result<Meaning, Why> {
        if self.graph.constant(node, 0).is_some() {
            return Ok(Meaning::Weights(Arc::new(self.weights(node)?)));
        }
        if node.input(0).is_some_and(|value| self.fixed[value.0]) {
            return Err(self.not_constant(node, 0, "input").into());
        }
        let Some(Meaning::Stored(stored)) = self.meaning(node, 0).cloned() else {
            let (what, element) = ("input", self.element(node, 0));
            let takes = "int8, uint8, or int16";
            return Err(Cause::Element {
                what,
                element,
                takes,
            }
            .into());
        };
        let quantization = self.parameters(node)?;
        if stored.element != quantization.element {
            return Err(format!(
                "it reads {} with a zero point of {}",
                stored.element, quantization.element
            ));
        }
        if quantization.element == Element::I16 {
            let tensor = &mut self.program.tensors[stored.tensor.0];
            (tensor.scale, tensor.zero_point) = (quantization.scale, quantization.zero_point);
            return Ok(Meaning::Wide(stored, quantization));
        }
        let mut table: Table = [0.0; 256];
        for (byte, real) in table.iter_mut().enumerate() {
            *real = quantization.dequantize(byte as u8 as i8);
        }
        let tensor = &mut self.program.tensors[stored.tensor.0];
        if tensor.scale == 0.0 {
            tensor.scale = quantization.scale;
            tensor.zero_point = quantization.zero_point_i8();
        }
        Ok(Meaning::Mapped(Mapped {
            stored,
            table: Arc::new(table),
            linear: Some(quantization),
        }))
    }

    pub(super) fn quantize(&mut self, node: &'a Node) -> Result<Meaning, Why> {
        if node.input(0).is_some_and(|value| self.fixed[value.0]) {
            return Err(Cause::QuantizesConstant.into());
        }
        let to = self.parameters(node)?;
        match self.meaning(node, 0).cloned() {
            Some(Meaning::Stored(stored)) if stored.element == Element::F32 => {
                let output =
                    self.new_stored(node, stored.shape, stored.order, to.element, Some(to));
                let quantize = step::Quantize {
                    scale: to.scale,
                    zero_point: to.zero_point_i8(),
                };
                let operation = Operation::Plain(Operator::Quantize(quantize));
                self.step(node, operation, vec![stored.tensor], output.tensor);
                Ok(Meaning::Stored(output))
            }
            Some(Meaning::Mapped(mapped)) => {
                if mapped.linear == Some(to) {
                    // The pair cancels.
                    return Ok(Meaning::Stored(mapped.stored));
                }
                if to.element == Element::I16 {
                    return self.widened(node, &mapped, to).map(Meaning::Stored);
                }
                Ok(Meaning::Stored(self.lookup(node, &mapped, to)))
            }
            Some(Meaning::Wide(stored, from)) => {
                if from == to {
                    return Ok(Meaning::Stored(stored));
                }
                let range = to.range();
                let stored = self.requantized(node, &stored, from, to, range);
                Ok(Meaning::Stored(stored))
            }
            Some(Meaning::Pending {
                node: pending,
                low,
                high,
            }) => {
                if self.has_real_weights(&self.graph.nodes[pending]) {
                    return Ok(self.waited(node, to));
                }
                match self.emit(pending, to, to.clamp(low, high)) {
                    Ok(stored) => Ok(Meaning::Stored(stored)),
                    Err((index, why)) => Ok(self.refused_before(node, index, why)),
                }
            }
            Some(Meaning::Real { .. }) => Ok(self.waited(node, to)),
            Some(Meaning::Activated { node: index, .. }) if to.element == Element::I16 => {
                let why = "a function of its int16 output is not supported; quantize it first";
                Ok(self.refused_before(node, index, why.into()))
            }
            Some(Meaning::Activated {
                node: index,
                function,
            }) => match self.activated(index, &function, to) {
                Ok(stored) => Ok(Meaning::Stored(stored)),
                Err(why) => Ok(self.refused_before(node, index, why)),
            },
            Some(Meaning::Stored(stored)) => Err(format!("it reads {}", stored.element)),
            Some(Meaning::Weights(_)) | None => Err(Cause::QuantizesConstant.into()),
            Some(Meaning::Refused) => Ok(self.stand_in(node)),
        }
    }

    /// The operator at `index` cannot give what `node` quantizes: the fault is its own, not that
    /// of the QuantizeLinear, behind which integers could go on.
    fn refused_before(&mut self, node: &Node, index: usize, why: Why) -> Meaning {
        self.refuse((index, why));
        self.stand_in(node)
    }

    /// What waited for its quantization.
    fn waited(&mut self, node: &Node, to: Quantization) -> Meaning {
        let Some(value) = node.input(0) else {
            return Meaning::Refused;
        };
        match self.finished(value, Finish::quantized(to)) {
            Ok(stored) => Meaning::Stored(stored),
            Err((index, why)) => self.refused_before(node, index, why),
        }
    }

    /// Lists a node whose result something else asked for.
    fn refuse(&mut self, (index, why): Fault) {
        let at = &self.graph.nodes[index];
        let refusal = Refusal::new(&at.name, &at.operator, why);
        if !self.refusals.contains(&refusal) {
            self.refusals.push(refusal);
        }
    }

    /// A table step from a stored tensor to the quantization `to`.
    pub(super) fn lookup(&mut self, node: &Node, mapped: &Mapped, to: Quantization) -> Stored {
        let mut table = [0u8; 256];
        for (entry, &real) in table.iter_mut().zip(mapped.table.iter()) {
            *entry = to.quantize(real) as u8;
        }
        let from = mapped.stored.clone();
        let output = self.new_stored(node, from.shape, from.order, to.element, Some(to));
        self.step(
            node,
            Operation::Lookup { table },
            vec![from.tensor],
            output.tensor,
        );
        output
    }

    /// Scale and zero point of an activation's QuantizeLinear or DequantizeLinear.
    fn parameters(&self, node: &Node) -> Result<Quantization, Why> {
        let &[scale] = self.scales(node)? else {
            let scales = self.scales(node)?.len();
            return Err(Cause::PerChannel { scales }.into());
        };
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(format!("its scale is {scale}"));
        }
        let (element, zero_point) = match self.graph.constant(node, 2) {
            Some(constant) => {
                let element = self.element(node, 2);
                let points = (constant.integers()).ok_or(Cause::Activations(element))?;
                let &[point] = points.as_slice() else {
                    let (what, count) = ("zero point", points.len());
                    return Err(Cause::Count { what, count }.into());
                };
                (element, point as i32)
            }
            None if node.input(2).is_some() => {
                return Err(self.not_constant(node, 2, "zero point").into());
            }
            None => (self.element_without_zero_point(node), 0),
        };
        match element {
            Element::I8 | Element::U8 | Element::I16 => Ok(Quantization {
                scale,
                zero_point,
                element,
            }),
            other => Err(Cause::Activations(other).into()),
        }
    }

    /// The type of what has no zero point: DequantizeLinear takes that of its input, and
    /// QuantizeLinear gives uint8.
    fn element_without_zero_point(&self, node: &Node) -> Element {
        match node.input(0) {
            Some(id) if node.operator == "DequantizeLinear" => self.graph.value(id).element,
            _ => Element::U8,
        }
    }

    /// The scales of a QuantizeLinear or DequantizeLinear.
    fn scales(&self, node: &Node) -> Result<&'a [f32], Why> {
        let graph = self.graph;
        let Some(constant) = graph.constant(node, 1) else {
            return Err(self.not_constant(node, 1, "scale").into());
        };
        constant.floats().ok_or_else(|| {
            let (what, takes) = ("scale", "float");
            let element = self.element(node, 1);
            Cause::Element {
                what,
                element,
                takes,
            }
            .into()
        })
    }

    /// The integer constant behind a DequantizeLinear.
    fn weights(&self, node: &Node) -> Result<Weights, Why> {
        let id = node.input(0).ok_or("its input is missing")?;
        let constant = self
            .graph
            .constant(node, 0)
            .ok_or("its input is not a constant")?;
        let element = self.element(node, 0);
        let values = constant.integers().ok_or(Cause::Element {
            what: "input",
            element,
            takes: "int8, uint8, int16, or int32",
        })?;
        let scales = self.scales(node)?.to_vec();
        if let Some(scale) = scales.iter().find(|scale| !scale.is_finite()) {
            return Err(format!("its scale is {scale}"));
        }
        let zero_points = match (node.input(2), self.graph.constant(node, 2)) {
            (None, _) => vec![0; scales.len()],
            (_, Some(points)) => points
                .integers()
                .ok_or("its zero point is not an integer")?
                .into_iter()
                .map(|point| point as i32)
                .collect(),
            _ => return Err(self.not_constant(node, 2, "zero point").into()),
        };
        if node.int("block_size").unwrap_or(0) != 0 {
            return Err("blocked quantization is not supported".into());
        }
        let rank = constant.shape.len();
        let axis = if rank == 0 {
            0
        } else {
            axis(node.int("axis").unwrap_or(1).min(rank as i64 - 1), rank)?
        };
        if scales.len() > 1 && constant.shape.get(axis) != Some(&scales.len()) {
            return Err(format!("{} scales do not fit axis {axis}", scales.len()));
        }
        if zero_points.len() != scales.len() {
            return Err("scales and zero points differ in number".into());
        }
        Ok(Weights {
            shape: constant.shape.clone(),
            values: values.into_iter().map(|v| v as i32).collect(),
            element: self.graph.value(id).element,
            scales,
            zero_points,
            axis,
        })
    }
}

/// From `u8` to `i8` and back: the top bit flips.
fn flip_sign() -> [u8; 256] {
    std::array::from_fn(|byte| byte as u8 ^ 0x80)
}

/// A stand-in for the model's border, so that steps there have a name.
fn border_node(name: &str, value: ValueId) -> Node {
    Node {
        name: name.to_owned(),
        operator: "border".to_owned(),
        attributes: Vec::new(),
        inputs: Vec::new(),
        outputs: vec![value],
    }
}
