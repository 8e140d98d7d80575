//! Two QDQ pairs in a row become one, as ONNX Runtime has it.
//!
//! `Q₁ → DQ₁ → Q₂ → DQ₂` with different parameters is a requantization on paper, but ONNX
//! Runtime's `DoubleQDQPairsRemover` drops the middle two and gives the outer two a new
//! scale and zero point over the range that both pairs can represent. The bits that
//! come out differ from the requantization's by up to two steps, and the oracle's count.

use super::{is_output, readers};
use crate::graph::{Constant, Data, Element, Graph, Value, ValueId};
use std::sync::Arc;

/// Scale and zero point, with the zero point's type.
type Pair = (f32, i32, Element);

/// Merges every double pair of the graph.
pub fn merge(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        match double_pair(graph, index) {
            Some((q1, q2, last, merged)) => {
                let inner = graph.nodes[index].outputs[0];
                replace(graph, q1, &last, merged);
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

/// Nodes Q₁, Q₂ around the DequantizeLinear at `dq1`, every DQ₂, and their new parameters. Several
/// may read Q₂, but only DequantizeLinear with its parameters.
fn double_pair(graph: &Graph, dq1: usize) -> Option<(usize, usize, Vec<usize>, Pair)> {
    let self_node = &graph.nodes[dq1];
    if self_node.operator != "DequantizeLinear" {
        return None;
    }
    let q1 = graph
        .nodes
        .iter()
        .position(|node| Some(node.outputs[0]) == self_node.input(0))?;
    let q2 = only_reader(graph, self_node.outputs[0])?;
    let middle = graph.nodes[q2].outputs[0];
    let last = readers(graph, middle);
    if last.is_empty() || is_output(graph, middle) {
        return None;
    }
    only_reader(graph, graph.nodes[q1].outputs[0])?;
    let is = |node: usize, kind: &str| graph.nodes[node].operator == kind;
    if !is(q1, "QuantizeLinear") || !is(q2, "QuantizeLinear") {
        return None;
    }
    let (first, second) = (parameters(graph, q1)?, parameters(graph, q2)?);
    let ends = |&dq2: &usize| {
        is(dq2, "DequantizeLinear")
            && graph.nodes[dq2].input(0) == Some(middle)
            && parameters(graph, dq2) == Some(second)
    };
    if first != parameters(graph, dq1)? || first.2 != second.2 || !last.iter().all(ends) {
        return None;
    }
    (first != second).then(|| (q1, q2, last, common_range(first, second)))
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
    match readers(graph, value).as_slice() {
        &[reader] if !is_output(graph, value) => Some(reader),
        _ => None,
    }
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

fn replace(graph: &mut Graph, q1: usize, last: &[usize], (scale, zero_point, element): Pair) {
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
    let after = last.iter().map(|&dq2| (dq2, Some(stored)));
    for (node, first) in after.chain([(q1, graph.nodes[q1].input(0))]) {
        graph.nodes[node].inputs = vec![first, Some(scale), Some(zero_point)];
    }
}
