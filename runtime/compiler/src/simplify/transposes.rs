//! A Transpose that a later one takes back, with nothing but QuantizeLinear, DequantizeLinear,
//! and elementwise functions between them.
//!
//! Both come out of the graph, as ONNX Runtime's transpose optimizer has it before it merges
//! double pairs: what stood before the first and what stood after the second then meet. Nothing
//! changes but the order of the elements in between.

use super::{is_output, readers};
use crate::graph::{Graph, ValueId};

/// Functions of each element by itself.
const ELEMENTWISE: &[&str] = &[
    "Abs",
    "Clip",
    "Elu",
    "Erf",
    "Exp",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Log",
    "Neg",
    "Reciprocal",
    "Relu",
    "Round",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tanh",
];

/// Takes out every such pair.
pub fn cancel(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        match taken_back(graph, index) {
            Some((between, last)) => {
                take_out(graph, index, &between, last);
                // What the two stood between may be such a pair.
                index = 0;
            }
            None => index += 1,
        }
    }
}

/// The nodes between the Transpose at `first` and the one that takes it back, and the latter.
fn taken_back(graph: &Graph, first: usize) -> Option<(Vec<usize>, usize)> {
    let permutation = permutation(graph, first)?;
    let mut between = Vec::new();
    let mut value = graph.nodes[first].outputs[0];
    loop {
        let &[reader] = readers(graph, value).as_slice() else {
            return None;
        };
        let node = &graph.nodes[reader];
        if is_output(graph, value) || node.input(0) != Some(value) {
            return None;
        }
        if let Some(other) = self::permutation(graph, reader) {
            let back = (0..permutation.len()).all(|axis| permutation[other[axis]] == axis);
            return back.then_some((between, reader));
        }
        let operator = node.operator.as_str();
        let quantizes = matches!(operator, "QuantizeLinear" | "DequantizeLinear");
        let one = |input: usize| {
            (node.input(input))
                .is_none_or(|id| graph.value(id).shape.iter().product::<usize>() == 1)
        };
        let alone = ELEMENTWISE.contains(&operator) || quantizes;
        if !alone || !(1..node.inputs.len()).all(one) || node.outputs.len() != 1 {
            return None;
        }
        between.push(reader);
        value = node.outputs[0];
    }
}

/// The permutation of a Transpose; `None` for other nodes.
fn permutation(graph: &Graph, index: usize) -> Option<Vec<usize>> {
    let node = &graph.nodes[index];
    if node.operator != "Transpose" {
        return None;
    }
    let rank = graph.value(node.input(0)?).shape.len();
    let permutation: Vec<usize> = match node.ints("perm") {
        Some(perm) => (perm.iter())
            .map(|&axis| usize::try_from(axis).ok().filter(|&axis| axis < rank))
            .collect::<Option<_>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = permutation.clone();
    sorted.sort_unstable();
    sorted.into_iter().eq(0..rank).then_some(permutation)
}

fn take_out(graph: &mut Graph, first: usize, between: &[usize], last: usize) {
    let (Some(source), Some(before_last)) =
        (graph.nodes[first].input(0), graph.nodes[last].input(0))
    else {
        return;
    };
    let shape = graph.value(source).shape.clone();
    for &node in between {
        let output = graph.nodes[node].outputs[0];
        graph.values[output.0].shape = shape.clone();
    }
    let start = graph.nodes[first].outputs[0];
    let end = graph.nodes[last].outputs[0];
    // Where nothing stands between the two, the source itself comes out.
    let result = if between.is_empty() {
        source
    } else {
        before_last
    };
    let replace = |value: &mut ValueId| {
        if *value == start {
            *value = source;
        } else if *value == end {
            *value = result;
        }
    };
    for node in &mut graph.nodes {
        node.inputs.iter_mut().flatten().for_each(replace);
    }
    (graph.outputs.iter_mut()).for_each(|(_, output)| replace(output));
    let gone = [first, last];
    let mut index = 0;
    graph.nodes.retain(|_| {
        index += 1;
        !gone.contains(&(index - 1))
    });
}
