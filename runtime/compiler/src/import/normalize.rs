//! QOperator form to QDQ form, on the file's own nodes.
//!
//! `QLinearX(a, scale, zero point, …)` says the same as `X` between DequantizeLinear and
//! QuantizeLinear; ONNX Runtime turns the second into the first. Doing the reverse here
//! leaves one form for everything that follows.

use super::keep::node_name;
use crate::error::{CompileError, Refusal};
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, attribute_proto::AttributeType};

/// The operators that are rewritten.
pub const QOPERATORS: &[&str] = &[
    "QGemm",
    "QLinearAdd",
    "QLinearAveragePool",
    "QLinearConcat",
    "QLinearConv",
    "QLinearGlobalAveragePool",
    "QLinearLeakyRelu",
    "QLinearMatMul",
    "QLinearMul",
    "QLinearReduceMean",
    "QLinearSigmoid",
    "QLinearSoftmax",
];

/// Rewrites every QLinear node of the graph.
pub fn qoperators_to_qdq(graph: &mut GraphProto) -> Result<(), CompileError> {
    let mut refusals = Vec::new();
    let mut nodes = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node) {
        match rewrite(&node) {
            Ok(Some(rewritten)) => nodes.extend(rewritten),
            Ok(None) => nodes.push(node),
            Err(why) => refusals.push(Refusal::new(node_name(&node), &node.op_type, why)),
        }
    }
    graph.node = nodes;
    if refusals.is_empty() {
        Ok(())
    } else {
        Err(CompileError::Unplaced(refusals))
    }
}

fn rewrite(node: &NodeProto) -> Result<Option<Vec<NodeProto>>, String> {
    let mut form = QdqForm::new(node);
    match node.op_type.as_str() {
        "QLinearConv" => {
            form.operand(0, 1, 2, None)?;
            form.operand(3, 4, 5, Some(0))?;
            form.bias(8, 4)?;
            form.result("Conv", Some((6, 7)))
        }
        "QLinearMatMul" => {
            form.operand(0, 1, 2, None)?;
            form.operand(3, 4, 5, Some(-1))?;
            form.result("MatMul", Some((6, 7)))
        }
        "QGemm" => {
            form.operand(0, 1, 2, None)?;
            let transposed = form.int("transB").unwrap_or(0) != 0;
            form.operand(3, 4, 5, Some(if transposed { 0 } else { 1 }))?;
            form.bias(6, 4)?;
            form.result("Gemm", form.has(7).then_some((7, 8)))
        }
        "QLinearAdd" | "QLinearMul" => {
            form.operand(0, 1, 2, None)?;
            form.operand(3, 4, 5, None)?;
            form.result(node.op_type.trim_start_matches("QLinear"), Some((6, 7)))
        }
        "QLinearLeakyRelu" | "QLinearSigmoid" => {
            form.operand(0, 1, 2, None)?;
            form.result(node.op_type.trim_start_matches("QLinear"), Some((3, 4)))
        }
        "QLinearSoftmax" => {
            form.operand(0, 1, 2, None)?;
            form.result("Softmax", Some((3, 4)))
        }
        "QLinearGlobalAveragePool" | "QLinearAveragePool" => {
            if form.int("channels_last").unwrap_or(0) != 0 {
                return Err("channels_last is not supported; export it with channels first".into());
            }
            form.operand(0, 1, 2, None)?;
            form.result(node.op_type.trim_start_matches("QLinear"), Some((3, 4)))
        }
        "QLinearReduceMean" => {
            form.operand(0, 1, 2, None)?;
            form.result("ReduceMean", Some((3, 4)))
        }
        "QLinearConcat" => {
            for first in (2..node.input.len()).step_by(3) {
                form.operand(first, first + 1, first + 2, None)?;
            }
            form.result("Concat", Some((0, 1)))
        }
        _ => return Ok(None),
    }
    Ok(Some(form.nodes))
}

/// The nodes that one QLinear node becomes.
struct QdqForm<'a> {
    node: &'a NodeProto,
    name: String,
    nodes: Vec<NodeProto>,
    operands: Vec<String>,
}

impl<'a> QdqForm<'a> {
    fn new(node: &'a NodeProto) -> Self {
        QdqForm {
            node,
            name: node_name(node),
            nodes: Vec::new(),
            operands: Vec::new(),
        }
    }

    fn has(&self, input: usize) -> bool {
        self.node
            .input
            .get(input)
            .is_some_and(|name| !name.is_empty())
    }

    fn int(&self, attribute: &str) -> Option<i64> {
        self.node
            .attribute
            .iter()
            .find(|a| a.name == attribute)
            .map(|a| a.i)
    }

    fn input(&self, index: usize) -> Result<String, String> {
        let name = self.node.input.get(index).filter(|name| !name.is_empty());
        name.cloned()
            .ok_or_else(|| format!("input {index} is missing"))
    }

    /// Adds an operand: value, scale, zero point by their input numbers, and the axis
    /// of scales per channel.
    fn operand(
        &mut self,
        value: usize,
        scale: usize,
        zero_point: usize,
        axis: Option<i64>,
    ) -> Result<(), String> {
        let mut inputs = vec![self.input(value)?, self.input(scale)?];
        if self.has(zero_point) {
            inputs.push(self.input(zero_point)?);
        }
        self.dequantize(inputs, axis);
        Ok(())
    }

    /// Adds an `int32` bias, if there is one. Its scale is the product of the operands'
    /// scales, input 1 being that of the first.
    fn bias(&mut self, value: usize, weight_scale: usize) -> Result<(), String> {
        if self.has(value) {
            let scale = format!("{}/bias_scale", self.name);
            self.nodes.push(NodeProto {
                name: scale.clone(),
                op_type: "Mul".into(),
                input: vec![self.input(1)?, self.input(weight_scale)?],
                output: vec![scale.clone()],
                ..NodeProto::default()
            });
            let inputs = vec![self.input(value)?, scale];
            self.dequantize(inputs, Some(0));
        }
        Ok(())
    }

    fn dequantize(&mut self, inputs: Vec<String>, axis: Option<i64>) {
        let output = format!("{}/operand{}", self.name, self.operands.len());
        self.nodes.push(NodeProto {
            name: output.clone(),
            op_type: "DequantizeLinear".into(),
            input: inputs,
            output: vec![output.clone()],
            attribute: axis
                .map(|axis| int_attribute("axis", axis))
                .into_iter()
                .collect(),
            ..NodeProto::default()
        });
        self.operands.push(output);
    }

    /// Adds the operator over the operands, and its QuantizeLinear by the input numbers
    /// of scale and zero point.
    fn result(&mut self, operator: &str, quantization: Option<(usize, usize)>) {
        let output = self.node.output.first().cloned().unwrap_or_default();
        let float = match quantization {
            Some(_) => format!("{}/float", self.name),
            None => output.clone(),
        };
        self.nodes.push(NodeProto {
            name: self.name.clone(),
            op_type: operator.into(),
            input: std::mem::take(&mut self.operands),
            output: vec![float.clone()],
            attribute: self.node.attribute.clone(),
            ..NodeProto::default()
        });
        if let Some((scale, zero_point)) = quantization {
            let mut input = vec![float];
            input.extend(self.node.input.get(scale).cloned());
            input.extend(
                self.node
                    .input
                    .get(zero_point)
                    .filter(|n| !n.is_empty())
                    .cloned(),
            );
            self.nodes.push(NodeProto {
                name: format!("{}/quantize", self.name),
                op_type: "QuantizeLinear".into(),
                input,
                output: vec![output],
                ..NodeProto::default()
            });
        }
    }
}

fn int_attribute(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    }
}
