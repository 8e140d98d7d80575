//! Multiply-accumulate operations of a node, as its shapes have it.

use crate::graph::{Graph, Node};

/// Multiply-accumulates of one inference; 0 for operators without a weighted sum. Recurrent
/// operators are not counted.
pub fn macs(graph: &Graph, node: &Node) -> u64 {
    let shape = |input: usize| node.input(input).map(|id| graph.value(id).shape.as_slice());
    let product = |dims: &[usize]| {
        (dims.iter()).fold(1u64, |product, &extent| {
            product.saturating_mul(extent as u64)
        })
    };
    let output = (node.outputs.first()).map_or(0, |&id| product(&graph.value(id).shape));
    match (node.operator.as_str(), shape(0), shape(1)) {
        // Weights [out, in / groups, …]: as many products for each output.
        ("Conv", _, Some([_, window @ ..])) => output.saturating_mul(product(window)),
        // Weights [in, out / groups, …]: as many products for each input.
        ("ConvTranspose", Some(input), Some([_, window @ ..])) => {
            product(input).saturating_mul(product(window))
        }
        ("MatMul", Some([.., k]), _) => output.saturating_mul(*k as u64),
        ("Gemm", Some([rows, columns]), _) => {
            let transposed = node.int("transA").unwrap_or(0) != 0;
            output.saturating_mul(*(if transposed { rows } else { columns }) as u64)
        }
        _ => 0,
    }
}
