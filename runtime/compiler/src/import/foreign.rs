//! Tensors of types that tract does not know, found before it reads the file.

use super::keep::node_name;
use crate::cause::Cause;
use crate::error::Refusal;
use tract_onnx::pb::GraphProto;

/// Takes out what nobody reads, and refuses the nodes that read the rest.
pub fn unreadable(graph: &mut GraphProto) -> Vec<Refusal> {
    let found: Vec<(String, &'static str)> = (graph.initializer.iter())
        .filter_map(|tensor| Some((tensor.name.clone(), foreign(tensor.data_type)?)))
        .collect();
    let mut refusals = Vec::new();
    for node in &graph.node {
        let constants = node.attribute.iter().filter_map(|a| a.t.as_ref());
        let held = constants.filter_map(|tensor| Some((String::new(), foreign(tensor.data_type)?)));
        let read = (found.iter())
            .filter(|(name, _)| node.input.contains(name))
            .cloned();
        for (tensor, element) in read.chain(held) {
            let instead = match element {
                "int4" | "uint4" | "int2" | "uint2" => "store the same integers as int8 or uint8",
                _ => "quantize to int8 or uint8",
            };
            let cause = Cause::Unread {
                tensor,
                element,
                instead,
            };
            refusals.push(Refusal::new(node_name(node), &node.op_type, cause));
        }
    }
    for node in graph.node.iter().filter(|node| node.op_type == "Cast") {
        let to = node
            .attribute
            .iter()
            .find(|attribute| attribute.name == "to");
        if let Some(element) = to.and_then(|to| foreign(to.i as i32)) {
            let cause = Cause::Gives { element };
            refusals.push(Refusal::new(node_name(node), &node.op_type, cause));
        }
    }
    let is_read = |name: &String| graph.node.iter().any(|node| node.input.contains(name));
    let unread: Vec<String> = (found.into_iter())
        .map(|(name, _)| name)
        .filter(|name| !is_read(name))
        .collect();
    (graph.initializer).retain(|tensor| !unread.contains(&tensor.name));
    refusals
}

/// ONNX's name of an element type that tract does not know.
pub(super) fn foreign(number: i32) -> Option<&'static str> {
    Some(match number {
        14 => "complex64",
        15 => "complex128",
        16 => "bfloat16",
        17 => "float8e4m3fn",
        18 => "float8e4m3fnuz",
        19 => "float8e5m2",
        20 => "float8e5m2fnuz",
        21 => "uint4",
        22 => "int4",
        23 => "float4e2m1",
        24 => "float8e8m0",
        25 => "uint2",
        26 => "int2",
        _ => return None,
    })
}
