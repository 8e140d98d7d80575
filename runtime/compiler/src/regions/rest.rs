//! The file in which each region is one node.

use super::OPERATOR;
use super::net::{Net, inner_reads};
use crate::graph::{Constant, Data, Element, Graph, Node};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb;

/// The attribute of a region's node that holds its plan.
const PLAN: &str = "plan";

/// The plan of a region's node; `None` for other nodes.
pub fn plan_of(node: &pb::NodeProto) -> Option<&[u8]> {
    (node.attribute.iter())
        .find(|attribute| attribute.name == PLAN && node.op_type == OPERATOR)
        .map(|attribute| attribute.s.as_slice())
}

/// A region's node: it carries its plan, reads and computes values by their ONNX names.
pub fn region_node(name: &str, part: &Graph, plan: Vec<u8>) -> pb::NodeProto {
    let inputs = part.inputs.iter().map(|&id| part.value(id).name.clone());
    pb::NodeProto {
        name: name.to_owned(),
        op_type: OPERATOR.to_owned(),
        domain: "sanderling".to_owned(),
        input: inputs.collect(),
        output: part.outputs.iter().map(|(name, _)| name.clone()).collect(),
        attribute: vec![pb::AttributeProto {
            name: PLAN.to_owned(),
            r#type: pb::attribute_proto::AttributeType::String.into(),
            s: plan,
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Puts the nodes `regions` into the file in the place of the graph's nodes `taken`.
pub fn replace(
    file: &mut pb::GraphProto,
    net: &Net<'_>,
    taken: &HashSet<usize>,
    regions: Vec<pb::NodeProto>,
) {
    let names = |nodes: &mut dyn Iterator<Item = usize>| -> HashSet<&str> {
        nodes
            .flat_map(|node| &net.graph.nodes[node].outputs)
            .map(|&id| net.graph.value(id).name.as_str())
            .collect()
    };
    let gone = names(&mut taken.iter().copied());
    file.node
        .retain(|node| !(node.output.iter()).any(|name| gone.contains(name.as_str())));
    file.node.extend(regions);
    drop_unread(file);
    fold(file, net.graph);
    drop_unread(file);
}

/// Drops nodes and constants that no output needs. A constant may stand among the inputs
/// as well, where without its value it would be a real one.
fn drop_unread(file: &mut pb::GraphProto) {
    let mut read: HashSet<String> = file.output.iter().map(|o| o.name.clone()).collect();
    let mut kept = vec![false; file.node.len()];
    let mut again = true;
    while again {
        again = false;
        // Backwards, as most files list a node behind those that it reads.
        for (node, kept) in file.node.iter().zip(&mut kept).rev() {
            if !*kept && node.output.iter().any(|name| read.contains(name)) {
                *kept = true;
                again = true;
                read.extend(node.input.iter().cloned());
                read.extend(inner_reads(node).into_iter().map(str::to_owned));
            }
        }
    }
    let mut kept = kept.into_iter();
    file.node.retain(|_| kept.next().unwrap_or(true));
    let constants: HashSet<&str> = file.initializer.iter().map(|t| t.name.as_str()).collect();
    file.input
        .retain(|input| !constants.contains(input.name.as_str()));
    file.initializer
        .retain(|tensor| read.contains(&tensor.name));
}

/// Computes every DequantizeLinear of constants now: what stays in the file is then float
/// throughout, and nothing is left that tract could take for quantized arithmetic.
fn fold(file: &mut pb::GraphProto, graph: &Graph) {
    let name = |node: &Node| Some(graph.value(*node.outputs.first()?).name.as_str());
    let dequantizing: HashMap<&str, &Node> = (graph.nodes.iter())
        .filter(|node| node.operator == "DequantizeLinear")
        .filter_map(|node| Some((name(node)?, node)))
        .collect();
    let initializer = &mut file.initializer;
    file.node.retain(|proto| {
        let output = proto.output.first().map_or("", String::as_str);
        let node = dequantizing.get(output);
        let Some((node, values)) = node.and_then(|&n| Some((n, dequantized(graph, n)?))) else {
            return true;
        };
        let shape = node.outputs.iter().flat_map(|&id| &graph.value(id).shape);
        initializer.push(pb::TensorProto {
            name: output.to_owned(),
            dims: shape.map(|&n| n as i64).collect(),
            data_type: pb::tensor_proto::DataType::Float.into(),
            raw_data: values.into_iter().flat_map(f32::to_le_bytes).collect(),
            ..Default::default()
        });
        false
    });
}

/// The values of a DequantizeLinear whose inputs are constants: `(q - zero point) · scale`
/// in `f32`, with one scale or one for each index of an axis.
fn dequantized(graph: &Graph, node: &Node) -> Option<Vec<f32>> {
    if node.int("block_size").unwrap_or(0) != 0 {
        return None;
    }
    let constant: &Constant = graph.constant(node, 0)?;
    let values = match (&constant.data, graph.value(node.input(0)?).element) {
        (Data::F32(_), _) | (_, Element::Other(_)) => return None,
        _ => constant.integers()?,
    };
    let scales = graph.constant(node, 1)?.floats()?;
    let points = match node.input(2) {
        Some(_) => graph.constant(node, 2)?.integers()?,
        None => vec![0; scales.len()],
    };
    let rank = constant.shape.len() as i64;
    let axis = node.int("axis").unwrap_or(1);
    let axis = if axis < 0 { axis + rank } else { axis };
    let channel: usize = match scales.len() {
        1 => values.len().max(1),
        n => {
            let axis = usize::try_from(axis).ok()?;
            if constant.shape.get(axis) != Some(&n) {
                return None;
            }
            constant.shape.get(axis + 1..)?.iter().product()
        }
    };
    let real = |(index, &value): (usize, &i64)| {
        let channel = (index / channel.max(1)) % scales.len().max(1);
        Some((value - points.get(channel)?) as f32 * scales.get(channel)?)
    };
    values.iter().enumerate().map(real).collect()
}
