//! QOperator form to QDQ form, on the file's own nodes.
//!
//! `QLinearX(a, scale, zero point, …)` says the same as `X` between DequantizeLinear and
//! QuantizeLinear; ONNX Runtime turns the second into the first. Doing the reverse here
//! leaves one form for everything that follows.

use super::keep::node_name;
use crate::error::{CompileError, Refusal};
use crate::graph::{Attribute, Node};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, type_proto};

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

/// Turns a node of an old operator set into what the newer ones write for the same.
pub fn to_newer_form(node: &mut Node, opset: i64) {
    if node.operator == "Resize" && opset < 11 {
        // Resize-10 has its scales where the region of interest came to be, no modes for
        // coordinates, and ONNX Runtime rounds for it in a way that no newer mode has.
        node.inputs.insert(1, None);
        for (name, mode) in [
            ("coordinate_transformation_mode", "asymmetric"),
            ("nearest_mode", SIMPLE),
        ] {
            let mode = Attribute::Text(mode.to_owned());
            node.attributes.push((name.to_owned(), mode));
        }
    }
}

/// How Resize-10 rounds: up where it makes the tensor smaller, else down.
pub const SIMPLE: &str = "simple";

/// Rewrites every QLinear node of the graph.
pub fn qoperators_to_qdq(graph: &mut GraphProto) -> Result<(), CompileError> {
    let mut refusals = Vec::new();
    let mut types = Types::of(graph);
    let mut nodes = Vec::with_capacity(graph.node.len());
    let mut taken: HashSet<String> = (graph.node.iter().flat_map(|node| &node.output))
        .chain(graph.input.iter().map(|input| &input.name))
        .chain(graph.initializer.iter().map(|tensor| &tensor.name))
        .cloned()
        .collect();
    for node in std::mem::take(&mut graph.node) {
        let rewritten = rewrite(&node, &types, &mut taken);
        types.note(&node);
        match rewritten {
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

/// Element types by name, as far as the file says them or they follow from a zero point. The
/// result of a QLinear node may have none: it then has the type of the operand.
struct Types(HashMap<String, i32>);

impl Types {
    fn of(graph: &GraphProto) -> Self {
        let constants = graph.initializer.iter();
        let mut types: HashMap<String, i32> = constants
            .map(|tensor| (tensor.name.clone(), tensor.data_type))
            .collect();
        for info in graph.input.iter().chain(&graph.value_info) {
            let kind = info.r#type.as_ref().and_then(|kind| kind.value.as_ref());
            if let Some(type_proto::Value::TensorType(tensor)) = kind {
                types.insert(info.name.clone(), tensor.elem_type);
            }
        }
        Types(types)
    }

    fn first<'a>(&self, mut names: impl Iterator<Item = &'a String>) -> Option<i32> {
        names.find_map(|name| self.0.get(name).copied())
    }

    /// Learns the type of what a node computes.
    fn note(&mut self, node: &NodeProto) {
        let quantization = match node.op_type.as_str() {
            "QuantizeLinear" => Some((1, 2)),
            "Constant" => {
                let value = node.attribute.iter().find_map(|a| a.t.as_ref());
                if let (Some(tensor), [output]) = (value, node.output.as_slice()) {
                    self.0.insert(output.clone(), tensor.data_type);
                }
                None
            }
            other => result_of(other),
        };
        let Some((_, zero_point)) = quantization else {
            return;
        };
        let given = node.input.get(zero_point);
        let found = self.first(given.into_iter().chain(operand_of(node)));
        if let (Some(dtype), [output]) = (found, node.output.as_slice()) {
            self.0.insert(output.clone(), dtype);
        }
    }
}

/// Input numbers of scale and zero point of a QLinear operator's result.
fn result_of(operator: &str) -> Option<(usize, usize)> {
    Some(match operator {
        "QLinearConv" | "QLinearMatMul" | "QLinearAdd" | "QLinearMul" => (6, 7),
        "QGemm" => (7, 8),
        "QLinearConcat" => (0, 1),
        operator if QOPERATORS.contains(&operator) => (3, 4),
        _ => return None,
    })
}

/// A QLinear node's first operand and its zero point, the latter first.
fn operand_of(node: &NodeProto) -> impl Iterator<Item = &String> {
    let first = if node.op_type == "QLinearConcat" {
        2
    } else {
        0
    };
    let quantizes = node.op_type == "QuantizeLinear";
    let places = if quantizes {
        [None, None]
    } else {
        [Some(first + 2), Some(first)]
    };
    let inputs = places.into_iter().flatten();
    inputs.filter_map(|place| node.input.get(place))
}

/// The nodes that stand for `node`, whose new values have names that are not `taken`.
fn rewrite(
    node: &NodeProto,
    types: &Types,
    taken: &mut HashSet<String>,
) -> Result<Option<Vec<NodeProto>>, String> {
    let mut form = QdqForm::new(node, types, taken);
    match node.op_type.as_str() {
        "QLinearConv" => {
            form.operand(0, 1, 2, None)?;
            form.operand(3, 4, 5, Some(0))?;
            form.bias(8, 4)?;
            form.result("Conv")?
        }
        "QLinearMatMul" => {
            form.operand(0, 1, 2, None)?;
            form.operand(3, 4, 5, Some(-1))?;
            form.result("MatMul")?
        }
        "QGemm" => {
            form.operand(0, 1, 2, None)?;
            let transposed = form.int("transB").unwrap_or(0) != 0;
            form.operand(3, 4, 5, Some(if transposed { 0 } else { 1 }))?;
            form.bias(6, 4)?;
            form.result("Gemm")?
        }
        "QLinearAdd" | "QLinearMul" => {
            form.operand(0, 1, 2, None)?;
            form.operand(3, 4, 5, None)?;
            form.result(node.op_type.trim_start_matches("QLinear"))?
        }
        "QLinearLeakyRelu" | "QLinearSigmoid" => {
            form.operand(0, 1, 2, None)?;
            form.result(node.op_type.trim_start_matches("QLinear"))?
        }
        "QLinearSoftmax" => {
            form.operand(0, 1, 2, None)?;
            form.result("Softmax")?
        }
        "QLinearGlobalAveragePool" | "QLinearAveragePool" => {
            if form.int("channels_last").unwrap_or(0) != 0 {
                return Err("channels_last is not supported; export it with channels first".into());
            }
            form.operand(0, 1, 2, None)?;
            form.result(node.op_type.trim_start_matches("QLinear"))?
        }
        "QLinearReduceMean" => {
            form.operand(0, 1, 2, None)?;
            form.result("ReduceMean")?
        }
        "QLinearConcat" => {
            for first in (2..node.input.len()).step_by(3) {
                form.operand(first, first + 1, first + 2, None)?;
            }
            form.result("Concat")?
        }
        _ => return Ok(None),
    }
    Ok(Some(form.nodes))
}

/// The nodes that one QLinear node becomes.
struct QdqForm<'a> {
    node: &'a NodeProto,
    types: &'a Types,
    name: String,
    nodes: Vec<NodeProto>,
    operands: Vec<String>,
    taken: &'a mut HashSet<String>,
}

impl<'a> QdqForm<'a> {
    fn new(node: &'a NodeProto, types: &'a Types, taken: &'a mut HashSet<String>) -> Self {
        QdqForm {
            node,
            types,
            taken,
            name: node_name(node),
            nodes: Vec::new(),
            operands: Vec::new(),
        }
    }

    /// A name for a new value.
    fn fresh(&mut self, what: &str) -> String {
        let mut name = format!("{}/{what}", self.name);
        while !self.taken.insert(name.clone()) {
            name.push('\'');
        }
        name
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
            let scale = self.fresh("bias_scale");
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
        let output = self.fresh(&format!("operand{}", self.operands.len()));
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

    /// Adds the operator over the operands, and its QuantizeLinear where the result has a scale.
    fn result(&mut self, operator: &str) -> Result<(), String> {
        let output = self.node.output.first().cloned().unwrap_or_default();
        let places = result_of(&self.node.op_type).filter(|&(scale, _)| self.has(scale));
        let float = match places {
            Some(_) => self.fresh("float"),
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
        let Some((scale, zero_point)) = places else {
            return Ok(());
        };
        let mut input = vec![float, self.input(scale)?];
        let mut attribute = Vec::new();
        if self.has(zero_point) {
            input.push(self.input(zero_point)?);
        } else {
            // QuantizeLinear's own default is uint8, that of these operators their operand's type.
            let dtype = (self.types.first(operand_of(self.node)))
                .ok_or("nothing says the type of its result; give it a zero point")?;
            attribute.push(int_attribute("output_dtype", dtype.into()));
        }
        self.nodes.push(NodeProto {
            name: format!("{}/quantize", self.name),
            op_type: "QuantizeLinear".into(),
            input,
            output: vec![output],
            attribute,
            ..NodeProto::default()
        });
        Ok(())
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
