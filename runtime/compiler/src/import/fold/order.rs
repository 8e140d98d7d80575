//! Which node reads what, and an order in which each follows what it reads.

use super::places::MOVEMENTS;
use std::collections::{BTreeSet, HashMap, HashSet};
use tract_onnx::pb::NodeProto;

/// The operators that read each name.
pub struct Readers(HashMap<String, Vec<(String, Vec<String>)>>);

impl Readers {
    pub fn of(nodes: &[NodeProto]) -> Self {
        let mut readers: HashMap<String, Vec<(String, Vec<String>)>> = HashMap::new();
        for node in nodes {
            for name in reads(node) {
                let reader = (node.op_type.clone(), node.output.clone());
                readers.entry(name.clone()).or_default().push(reader);
            }
        }
        Readers(readers)
    }

    /// Whether a name goes, moved and scaled at most, into products alone, as weights do.
    pub fn are_products(&self, name: &str) -> bool {
        let mut seen: HashSet<&str> = HashSet::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            if !seen.insert(name) {
                continue;
            }
            for (operator, outputs) in self.0.get(name).into_iter().flatten() {
                match operator.as_str() {
                    "Conv" | "ConvTranspose" | "Gemm" | "MatMul" => {}
                    "Cast" | "Div" | "Mul" => open.extend(outputs.iter().map(String::as_str)),
                    moves if MOVEMENTS.contains(&moves) => {
                        open.extend(outputs.iter().map(String::as_str));
                    }
                    _ => return false,
                }
            }
        }
        true
    }
}

/// The nodes in an order in which each follows what it reads; a file need not have them so. What
/// waits for itself comes last, for tract to say.
pub fn sorted(nodes: Vec<NodeProto>) -> Vec<NodeProto> {
    let makers: HashMap<&String, usize> = (nodes.iter().enumerate())
        .flat_map(|(index, node)| node.output.iter().map(move |name| (name, index)))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let mut waits = vec![0usize; nodes.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        let from: BTreeSet<usize> = (reads(node).into_iter())
            .filter_map(|name| makers.get(name).copied())
            .collect();
        waits[index] = from.len();
        for maker in from {
            readers[maker].push(index);
        }
    }
    let mut ready: BTreeSet<usize> = (0..nodes.len()).filter(|&i| waits[i] == 0).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(index) = ready.pop_first() {
        order.push(index);
        for &reader in &readers[index] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.insert(reader);
            }
        }
    }
    let placed: HashSet<usize> = order.iter().copied().collect();
    order.extend((0..nodes.len()).filter(|index| !placed.contains(index)));
    let mut nodes: Vec<Option<NodeProto>> = nodes.into_iter().map(Some).collect();
    (order.into_iter())
        .filter_map(|index| nodes[index].take())
        .collect()
}

/// The names that a node reads, in its subgraphs too.
pub fn reads(node: &NodeProto) -> Vec<&String> {
    let mut names: Vec<&String> = node.input.iter().filter(|name| !name.is_empty()).collect();
    let graphs = (node.attribute.iter()).flat_map(|a| a.g.iter().chain(&a.graphs));
    for graph in graphs {
        names.extend(graph.output.iter().map(|output| &output.name));
        for inner in &graph.node {
            names.extend(reads(inner));
        }
    }
    names
}
