//! A group of nodes as a graph of its own.

use super::net::Net;
use crate::graph::{Graph, ValueId};
use std::collections::HashSet;

/// A group and what it needs.
#[derive(Clone, Debug)]
pub struct Part {
    /// Indices of the nodes: the group's, and those copied for it.
    pub nodes: Vec<usize>,
    /// The nodes as a graph. Its inputs are what they read of others, the model's own inputs
    /// first and in their order; its outputs are what others read of the group, likewise.
    pub graph: Graph,
}

/// The part of the nodes `group`. Copied along are the nodes that it reads and for which
/// `copied` is true: constants, and DequantizeLinear of other groups.
pub fn part(net: &Net<'_>, group: &[usize], copied: &dyn Fn(usize) -> bool) -> Part {
    let graph = net.graph;
    let own: HashSet<usize> = group.iter().copied().collect();
    let mut nodes: HashSet<usize> = own.clone();
    let mut inputs: Vec<ValueId> = Vec::new();
    let mut open: Vec<usize> = group.iter().rev().copied().collect();
    while let Some(node) = open.pop() {
        for &value in &net.reads[node] {
            match net.producer.get(&value) {
                Some(from) if own.contains(from) => {}
                Some(&from) if copied(from) => {
                    if nodes.insert(from) {
                        open.push(from);
                    }
                }
                _ if graph.value(value).constant.is_some() => {}
                _ if inputs.contains(&value) => {}
                _ => inputs.push(value),
            }
        }
    }
    let place = |value: &ValueId| graph.inputs.iter().position(|input| input == value);
    inputs.sort_by_key(|value| place(value).unwrap_or(usize::MAX));
    let mut nodes: Vec<usize> = nodes.into_iter().collect();
    nodes.sort_unstable();
    let leaves = |value: &ValueId| leaves(net, *value, &own, copied);
    let computed = || (group.iter()).flat_map(|&node| graph.nodes[node].outputs.iter().copied());
    let own_outputs: HashSet<ValueId> = computed().collect();
    let mut outputs: Vec<ValueId> = (graph.outputs.iter())
        .map(|(_, value)| *value)
        .filter(|value| own_outputs.contains(value))
        .collect();
    outputs.extend(computed().filter(leaves));
    let mut seen = HashSet::new();
    outputs.retain(|value| seen.insert(*value));
    let graph = Graph {
        opset: graph.opset,
        values: graph.values.clone(),
        nodes: nodes.iter().map(|&n| graph.nodes[n].clone()).collect(),
        inputs,
        outputs: (outputs.into_iter())
            .map(|value| (graph.value(value).name.clone(), value))
            .collect(),
    };
    Part { nodes, graph }
}

/// Whether others than the nodes `own` read `value`, be it through a copied node.
fn leaves(
    net: &Net<'_>,
    value: ValueId,
    own: &HashSet<usize>,
    copied: &dyn Fn(usize) -> bool,
) -> bool {
    let graph = net.graph;
    let is_read = |node: usize| net.reads[node].contains(&value) && !own.contains(&node);
    (graph.outputs.iter()).any(|(_, output)| *output == value)
        || (0..graph.nodes.len())
            .filter(|&node| is_read(node))
            .any(|node| {
                let mut outputs = graph.nodes[node].outputs.iter();
                !copied(node) || outputs.any(|&output| leaves(net, output, own, copied))
            })
}
