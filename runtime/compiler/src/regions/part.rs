//! A group of nodes as a graph of its own.

use super::net::Net;
use crate::graph::{Graph, ValueId};
use std::collections::HashSet;

/// The graph of the nodes `group`, with copies of the constant nodes that they read. Its
/// inputs are what they read of others, the model's own inputs first and in their order;
/// its outputs are what others read of them.
pub fn part(net: &Net<'_>, group: &[usize]) -> Graph {
    let graph = net.graph;
    let own: HashSet<usize> = group.iter().copied().collect();
    let mut nodes: HashSet<usize> = own.clone();
    let mut inputs: Vec<ValueId> = Vec::new();
    let mut open: Vec<usize> = group.iter().rev().copied().collect();
    while let Some(node) = open.pop() {
        for &value in &net.reads[node] {
            match net.producer.get(&value) {
                Some(&from) if net.constant[from] => {
                    if nodes.insert(from) {
                        open.push(from);
                    }
                }
                Some(from) if own.contains(from) => {}
                _ if graph.value(value).constant.is_some() => {}
                _ if inputs.contains(&value) => {}
                _ => inputs.push(value),
            }
        }
    }
    let place = |value: &ValueId| graph.inputs.iter().position(|input| input == value);
    inputs.sort_by_key(|value| place(value).unwrap_or(usize::MAX));
    let mut order: Vec<usize> = nodes.into_iter().collect();
    order.sort_unstable();
    // The model's own outputs first and in their order, then the others.
    let computed: Vec<ValueId> = (group.iter())
        .flat_map(|&node| graph.nodes[node].outputs.iter().copied())
        .collect();
    let mut outputs: Vec<ValueId> = (graph.outputs.iter())
        .map(|(_, value)| *value)
        .filter(|value| computed.contains(value))
        .collect();
    outputs.extend(computed.iter().filter(|&&value| net.leaves(value, &own)));
    let mut seen = HashSet::new();
    outputs.retain(|value| seen.insert(*value));
    Graph {
        opset: graph.opset,
        values: graph.values.clone(),
        nodes: (order.iter())
            .map(|&node| graph.nodes[node].clone())
            .collect(),
        inputs,
        outputs: (outputs.into_iter())
            .map(|value| (graph.value(value).name.clone(), value))
            .collect(),
    }
}
