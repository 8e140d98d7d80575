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

/// Where a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// In no group.
    Rest,
    /// In one group.
    Grouped,
    /// In every group that reads it: a constant, or a DequantizeLinear.
    Copied,
}

/// The part of the nodes `group`, with copies of what it reads.
pub fn part(net: &Net<'_>, group: &[usize], role: &dyn Fn(usize) -> Role) -> Part {
    let graph = net.graph;
    let own: HashSet<usize> = group.iter().copied().collect();
    let mut nodes: HashSet<usize> = own.clone();
    let mut inputs: Vec<ValueId> = Vec::new();
    let mut open: Vec<usize> = group.iter().rev().copied().collect();
    while let Some(node) = open.pop() {
        for &value in &net.reads[node] {
            match net.producer.get(&value) {
                Some(from) if own.contains(from) => {}
                Some(&from) if role(from) == Role::Copied => {
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
    let leaves = |value: &ValueId| leaves(net, *value, &own, role);
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
        unread: Vec::new(),
    };
    Part { nodes, graph }
}

/// Whether others than the nodes `own` need `value`, which is computed there.
fn leaves(
    net: &Net<'_>,
    value: ValueId,
    own: &HashSet<usize>,
    role: &dyn Fn(usize) -> Role,
) -> bool {
    let foreign = |node: usize| role(node) == Role::Grouped && !own.contains(&node);
    let copied = (net.producer.get(&value)).is_some_and(|&node| role(node) == Role::Copied);
    let is_output = |(_, output): &(String, ValueId)| *output == value;
    net.graph.outputs.iter().any(is_output)
        || net.readers(value).iter().any(|&node| match role(node) {
            Role::Rest => true,
            // Another group computes a copied value itself.
            Role::Grouped => foreign(node) && !copied,
            Role::Copied => {
                let mut outputs = net.graph.nodes[node].outputs.iter();
                outputs.any(|&output| net.readers(output).iter().any(|&node| foreign(node)))
            }
        })
}
