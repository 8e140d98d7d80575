//! The type that QuantizeLinear gives, said by its zero point alone.
//!
//! Since operator set 21 the attribute `output_dtype` may say it, with or without a zero point;
//! set 23 lets DequantizeLinear give another float type, and `precision` have the division done
//! in another one. tract knows none of the three: it takes a missing zero point for uint8. So a
//! node without a zero point gets one that says its type, and what divides in other than 32
//! bits or gives other than 32-bit floats is refused, whoever would run it.

use super::keep::node_name;
use crate::error::{CompileError, Refusal};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// Makes the types of all nodes explicit, those of inner graphs included.
///
/// # Errors
///
/// [`CompileError::Nobodys`] with the nodes whose types nobody here computes.
pub fn explicit(graph: &mut GraphProto) -> Result<(), CompileError> {
    let mut refusals = Vec::new();
    graph_types(graph, &mut refusals);
    if refusals.is_empty() {
        Ok(())
    } else {
        Err(CompileError::Nobodys(refusals))
    }
}

fn graph_types(graph: &mut GraphProto, refusals: &mut Vec<Refusal>) {
    let mut added = Vec::new();
    for index in 0..graph.node.len() {
        let node = &graph.node[index];
        let typed = match node.op_type.as_str() {
            "QuantizeLinear" => quantized(node)
                .map(|dtype| dtype.map(|dtype| zero_point(node, dtype, scale_dims(graph, node)))),
            "DequantizeLinear" => dequantized(node).map(|()| None),
            _ => Ok(None),
        };
        match typed {
            Ok(Some(tensor)) => {
                let inputs = &mut graph.node[index].input;
                inputs.resize(3, String::new());
                inputs[2] = tensor.name.clone();
                added.push(tensor);
            }
            Ok(None) => {}
            Err(why) => refusals.push(Refusal::new(node_name(node), &node.op_type, why)),
        }
        for attribute in &mut graph.node[index].attribute {
            let inner = attribute.g.iter_mut().chain(&mut attribute.graphs);
            inner.for_each(|graph| graph_types(graph, refusals));
        }
    }
    graph.initializer.extend(added);
}

/// The type that a QuantizeLinear without a zero point gives, where it is not uint8 by default.
fn quantized(node: &NodeProto) -> Result<Option<DataType>, String> {
    match type_of(node, "precision")? {
        None | Some(DataType::Float) => {}
        Some(other) => {
            return Err(format!(
                "its precision is {}; divisions are computed in 32-bit floats only, so leave \
                 the attribute out",
                other.as_str_name()
            ));
        }
    }
    let given = node.input.get(2).is_some_and(|name| !name.is_empty());
    match type_of(node, "output_dtype")? {
        None => Ok(None),
        Some(_) if given => Ok(None),
        Some(dtype) if bytes(dtype).is_some() => Ok(Some(dtype)),
        Some(other) => Err(format!(
            "its output_dtype is {}; int8, uint8, and int16 are supported",
            other.as_str_name()
        )),
    }
}

fn dequantized(node: &NodeProto) -> Result<(), String> {
    match type_of(node, "output_dtype")? {
        None | Some(DataType::Float) => Ok(()),
        Some(other) => Err(format!(
            "its output_dtype is {}; only FLOAT is supported",
            other.as_str_name()
        )),
    }
}

/// A type that an attribute names; `None` where it is left to the inputs.
fn type_of(node: &NodeProto, attribute: &str) -> Result<Option<DataType>, String> {
    let found = node.attribute.iter().find(|a| a.name == attribute);
    match found.map_or(0, |a| a.i) {
        0 => Ok(None),
        number => i32::try_from(number)
            .ok()
            .and_then(|number| DataType::try_from(number).ok())
            .map(Some)
            .ok_or_else(|| format!("its {attribute} is {number}, which is no type of ONNX's")),
    }
}

/// Bytes of one element of the integer types that tensors here may have.
fn bytes(dtype: DataType) -> Option<usize> {
    match dtype {
        DataType::Int8 | DataType::Uint8 => Some(1),
        DataType::Int16 | DataType::Uint16 => Some(2),
        _ => None,
    }
}

fn zero_point(node: &NodeProto, dtype: DataType, dims: Vec<i64>) -> TensorProto {
    let elements = (dims.iter())
        .try_fold(1usize, |n, &extent| {
            n.checked_mul(usize::try_from(extent).ok()?)
        })
        .filter(|&elements| elements <= 1 << 20)
        .unwrap_or(0);
    // Nodes may share a name, outputs may not.
    let output = node.output.first().map_or("", String::as_str);
    TensorProto {
        name: format!("{output}/zero_point"),
        data_type: dtype.into(),
        dims,
        raw_data: vec![0; elements * bytes(dtype).unwrap_or(1)],
        ..TensorProto::default()
    }
}

/// A zero point has the dimensions of its scale.
fn scale_dims(graph: &GraphProto, node: &NodeProto) -> Vec<i64> {
    let Some(scale) = node.input.get(1) else {
        return Vec::new();
    };
    let constants = (graph.node.iter())
        .filter(|other| other.op_type == "Constant" && other.output.first() == Some(scale))
        .flat_map(|other| other.attribute.iter().filter_map(|a| a.t.as_ref()));
    (graph
        .initializer
        .iter()
        .filter(|tensor| tensor.name == *scale))
    .chain(constants)
    .map(|tensor| tensor.dims.clone())
    .next()
    .unwrap_or_default()
}
