//! MatMul and Add of a constant vector become one product with a bias, as ONNX Runtime has it.
//!
//! Its `MatMulAddFusion` makes a Gemm of both, whose bias it quantizes to `int32` in steps of the
//! sums; so the vector is added before the one rounding.

use crate::graph::{Graph, Node, ValueId};
use std::collections::HashMap;

/// Joins every such pair of the graph.
pub fn join(graph: &mut Graph) {
    let constant = graph.fixed();
    let fixed = |id: ValueId| constant[id.0];
    let mut readers: HashMap<ValueId, usize> = HashMap::new();
    let reads = graph
        .nodes
        .iter()
        .flat_map(|node| node.inputs.iter().flatten());
    for &value in reads.chain(graph.outputs.iter().map(|(_, value)| value)) {
        *readers.entry(value).or_default() += 1;
    }
    let products: HashMap<ValueId, usize> = (graph.nodes.iter().enumerate())
        .filter(|(_, node)| node.operator == "MatMul" && node.inputs.len() == 2)
        .filter(|(_, node)| node.input(1).is_some_and(fixed))
        .filter(|(_, node)| !node.input(0).is_some_and(fixed))
        .map(|(index, node)| (node.outputs[0], index))
        .collect();
    let mut joined = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let sides = [(0, 1), (1, 0)].into_iter().find_map(|(product, bias)| {
            let (value, bias) = (node.input(product)?, node.input(bias)?);
            let of = *products.get(&value)?;
            (readers.get(&value) == Some(&1) && fixed(bias) && is_row(graph, value, bias, node))
                .then_some((of, bias))
        });
        if let (Some((of, bias)), "Add") = (sides, node.operator.as_str()) {
            joined.push((index, of, bias));
        }
    }
    for &(index, of, bias) in &joined {
        let product = graph.nodes[of].clone();
        let inputs = product.inputs.iter().copied().chain([Some(bias)]);
        // It stands where the Add stood, behind both of their inputs.
        graph.nodes[index] = Node {
            inputs: inputs.collect(),
            outputs: graph.nodes[index].outputs.clone(),
            ..product
        };
    }
    let gone: Vec<usize> = joined.iter().map(|&(_, of, _)| of).collect();
    let mut at = 0..;
    graph
        .nodes
        .retain(|_| !at.next().is_some_and(|index| gone.contains(&index)));
}

/// Whether `bias` has one number for each column of `product` and no other extent.
fn is_row(graph: &Graph, product: ValueId, bias: ValueId, sum: &Node) -> bool {
    let (product, bias) = (&graph.value(product).shape, &graph.value(bias).shape);
    let columns = product.last().copied().unwrap_or(1);
    let rows: usize = bias.iter().rev().skip(1).product();
    let same = graph.value(sum.outputs[0]).shape == *product;
    same && product.len() >= 2 && columns > 1 && bias.last() == Some(&columns) && rows == 1
}
