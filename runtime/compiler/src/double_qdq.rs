//! Two QDQ pairs in a row become one, as ONNX Runtime has it.
//!
//! `Q₁ → DQ₁ → Q₂ → DQ₂` with different parameters is a requantization on paper, but ONNX
//! Runtime's `DoubleQDQPairsRemover` drops the middle two and gives the outer two a new
//! scale and zero point over the range that both pairs can represent. The bits that
//! come out differ from the requantization's by up to two steps, and the oracle's count.

use crate::graph::{Constant, Data, Element, Graph, Value, ValueId};
use std::sync::Arc;

/// Scale and zero point, with the zero point's type.
type Pair = (f32, i32, Element);

/// Merges every double pair of the graph.
pub fn merge(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        match double_pair(graph, index) {
            Some((q1, q2, dq2, merged)) => {
                let inner = graph.nodes[index].outputs[0];
                replace(graph, q1, dq2, merged);
                let middle = graph.nodes[q2].outputs[0];
                graph.nodes.retain(|node| {
                    !node.outputs.contains(&inner) && !node.outputs.contains(&middle)
                });
                // The merged pair may be the first of another double pair.
                index = 0;
            }
            None => index += 1,
        }
    }
}

/// Nodes Q₁, Q₂, DQ₂ around the DequantizeLinear at `dq1`, and their new parameters.
fn double_pair(graph: &Graph, dq1: usize) -> Option<(usize, usize, usize, Pair)> {
    let self_node = &graph.nodes[dq1];
    if self_node.operator != "DequantizeLinear" {
        return None;
    }
    let q1 = graph
        .nodes
        .iter()
        .position(|node| Some(node.outputs[0]) == self_node.input(0))?;
    let q2 = only_reader(graph, self_node.outputs[0])?;
    let dq2 = only_reader(graph, graph.nodes[q2].outputs[0])?;
    only_reader(graph, graph.nodes[q1].outputs[0])?;
    let kinds = [
        (q1, "QuantizeLinear"),
        (q2, "QuantizeLinear"),
        (dq2, "DequantizeLinear"),
    ];
    if kinds
        .iter()
        .any(|&(node, kind)| graph.nodes[node].operator != kind)
    {
        return None;
    }
    let (first, second) = (parameters(graph, q1)?, parameters(graph, q2)?);
    if first != parameters(graph, dq1)? || second != parameters(graph, dq2)? || first.2 != second.2
    {
        return None;
    }
    (first != second).then(|| (q1, q2, dq2, common_range(first, second)))
}

/// The range that both pairs can represent, over all values of the type. `f32` throughout, and
/// `round` is half away from zero, as ONNX Runtime computes it.
fn common_range(first: Pair, second: Pair) -> Pair {
    let (low, high) = match first.2 {
        Element::U8 => (0, 255),
        Element::I16 => (i16::MIN.into(), i16::MAX.into()),
        _ => (-128, 127),
    };
    let real = |value: i32, (scale, zero_point, _): Pair| (value - zero_point) as f32 * scale;
    let real_low = real(low, first).max(real(low, second));
    let real_high = real(high, first).min(real(high, second));
    let scale = (real_high - real_low) / (high - low) as f32;
    (
        scale,
        (low as f32 - real_low / scale).round() as i32,
        first.2,
    )
}

fn only_reader(graph: &Graph, value: ValueId) -> Option<usize> {
    if graph.outputs.iter().any(|(_, output)| *output == value) {
        return None;
    }
    let mut readers = graph
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.inputs.contains(&Some(value)))
        .map(|(index, _)| index);
    readers.next().filter(|_| readers.next().is_none())
}

/// Parameters of a node whose scale and zero point are both there, constant, and single.
fn parameters(graph: &Graph, node: usize) -> Option<Pair> {
    let node = &graph.nodes[node];
    let &[scale] = graph.constant(node, 1)?.floats()? else {
        return None;
    };
    let points = graph.constant(node, 2)?.integers()?;
    let &[zero_point] = points.as_slice() else {
        return None;
    };
    let element = graph.value(node.input(2)?).element;
    matches!(element, Element::I8 | Element::U8 | Element::I16).then_some((
        scale,
        zero_point as i32,
        element,
    ))
}

fn replace(graph: &mut Graph, q1: usize, dq2: usize, (scale, zero_point, element): Pair) {
    let name = graph.nodes[q1].name.clone();
    let mut constant = |what: &str, element: Element, data: Data| {
        let id = ValueId(graph.values.len());
        graph.values.push(Value {
            name: format!("{name}/merged_{what}"),
            element,
            shape: Vec::new(),
            constant: Some(Arc::new(Constant {
                shape: Vec::new(),
                data,
            })),
        });
        id
    };
    let point = match element {
        Element::U8 => Data::U8(vec![zero_point as u8]),
        Element::I16 => Data::I16(vec![zero_point as i16]),
        _ => Data::I8(vec![zero_point as i8]),
    };
    let scale = constant("scale", Element::F32, Data::F32(vec![scale]));
    let zero_point = constant("zero_point", element, point);
    let stored = graph.nodes[q1].outputs[0];
    for (node, first) in [(q1, graph.nodes[q1].input(0)), (dq2, Some(stored))] {
        graph.nodes[node].inputs = vec![first, Some(scale), Some(zero_point)];
    }
}
