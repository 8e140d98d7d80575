//! Operators that do nothing are taken out of the graph, wherever they stand.
//!
//! Which forms count was asked of ONNX Runtime 1.32, one by one, by whether it merges the two
//! pairs around them: Identity; Dropout in inference; Cast to the type that is there; Expand to
//! a shape that is there, unless it is empty or has more axes; Add of 0, Mul by 1 on either side,
//! Sub of 0, Div by 1, each one constant number with no more axes than the tensor; Slice from 0
//! to the largest `int64` in steps of 1. It keeps a Reshape to the same shape, a Slice to the
//! exact end, a Transpose of no axes, Pad by 0, Pow of 1, Clip without bounds, and pooling of
//! one element, and so does this.

use super::is_output;
use crate::graph::{Data, Element, Graph, Node, ValueId};
use std::collections::{HashMap, HashSet};

/// Takes them out. One whose output is the model's stays, for its name.
pub fn remove(graph: &mut Graph) {
    let read: HashSet<ValueId> = (graph.nodes.iter())
        .flat_map(|node| node.inputs.iter().flatten().copied())
        .collect();
    let mut replaced: HashMap<ValueId, ValueId> = HashMap::new();
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for mut node in std::mem::take(&mut graph.nodes) {
        for input in node.inputs.iter_mut().flatten() {
            *input = replaced.get(input).copied().unwrap_or(*input);
        }
        let named = node.outputs.iter().any(|&output| is_output(graph, output));
        // The mask of a Dropout may be read.
        let beside = node
            .outputs
            .iter()
            .skip(1)
            .any(|output| read.contains(output));
        match passed(graph, &node).filter(|_| !named && !beside) {
            Some(input) => {
                replaced.insert(node.outputs[0], input);
            }
            None => nodes.push(node),
        }
    }
    graph.nodes = nodes;
}

/// The input that a node only passes on.
fn passed(graph: &Graph, node: &Node) -> Option<ValueId> {
    let first = node.input(0)?;
    let constant = |input: usize| {
        node.input(input)
            .and_then(|id| graph.value(id).constant.as_deref())
    };
    let shape = |id: ValueId| graph.value(id).shape.as_slice();
    let number = |id: ValueId, number: f32| {
        let one = graph.value(id).constant.as_deref();
        one.is_some_and(|c| matches!(&c.data, Data::F32(v) if v.as_slice() == [number]))
    };
    match node.operator.as_str() {
        "Identity" => Some(first),
        "Dropout" => {
            let training = match node.input(2) {
                Some(_) => constant(2)?.integers()? != [0],
                None => false,
            };
            let keeps_all = || constant(1).is_some_and(|c| c.floats() == Some(&[0.0]));
            (!training || keeps_all()).then_some(first)
        }
        "Cast" => {
            let same = cast_element(node) == Some(graph.value(first).element);
            same.then_some(first)
        }
        "Expand" => {
            let wish = constant(1)?.integers()?;
            let dims = shape(first);
            let own = dims.iter().rev();
            let there = (wish.iter().rev().zip(own)).all(|(&w, &d)| w == 1 || w == d as i64);
            (!wish.is_empty() && wish.len() <= dims.len() && there).then_some(first)
        }
        "Slice" => {
            let given = |input: usize, name: &str| match node.input(input) {
                Some(_) => constant(input).and_then(|c| c.integers()),
                None => node.ints(name).map(<[i64]>::to_vec),
            };
            let steps = match node.input(4) {
                Some(_) => constant(4)?.integers()?,
                None => Vec::new(),
            };
            let whole = given(1, "starts")?.iter().all(|&start| start == 0)
                && given(2, "ends")?.iter().all(|&end| end == i64::MAX)
                && steps.iter().all(|&step| step == 1);
            whole.then_some(first)
        }
        operator @ ("Add" | "Mul" | "Sub" | "Div") => {
            let neutral = f32::from(u8::from(matches!(operator, "Mul" | "Div")));
            let second = node.input(1)?;
            let passes = |kept: ValueId, other: ValueId| {
                graph.value(kept).constant.is_none()
                    && number(other, neutral)
                    && shape(other).len() <= shape(kept).len()
            };
            if passes(first, second) {
                Some(first)
            } else if matches!(operator, "Add" | "Mul") && passes(second, first) {
                Some(second)
            } else {
                None
            }
        }
        _ => None,
    }
}

/// The element type that a Cast goes to.
pub fn cast_element(node: &Node) -> Option<Element> {
    // ONNX's TensorProto.DataType.
    Some(match node.int("to")? {
        1 => Element::F32,
        2 => Element::U8,
        3 => Element::I8,
        5 => Element::I16,
        6 => Element::I32,
        7 => Element::I64,
        _ => return None,
    })
}
