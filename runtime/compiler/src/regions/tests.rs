//! Groups of random graphs keep what they promise.

use super::groups::groups;
use super::net::Net;
use crate::graph::{Element, Graph, Node, Value, ValueId};
use crate::random::SplitMix64;
use std::collections::HashSet;
use tract_onnx::pb::GraphProto;

/// A graph of `count` nodes of one output each; node 0 and some others read the input.
fn random_graph(random: &mut SplitMix64, count: usize) -> Graph {
    let value = |index: usize, element| Value {
        name: format!("v{index}"),
        element,
        shape: vec![1],
        constant: None,
    };
    let mut graph = Graph {
        values: vec![value(0, Element::F32)],
        inputs: vec![ValueId(0)],
        ..Graph::default()
    };
    for index in 1..=count {
        // What DequantizeLinear gives is float, so that another cannot read it.
        let float = (graph.nodes.last()).is_some_and(|node| node.operator == "DequantizeLinear");
        let dequantizes = !float && random.below(4) == 0;
        let readings = if dequantizes { 1 } else { 1 + random.below(3) };
        let inputs = (0..readings).map(|_| {
            // Mostly what came shortly before, so that paths are long.
            let back = if dequantizes {
                1
            } else {
                1 + random.below(index.min(6))
            };
            Some(ValueId(index - back))
        });
        let inputs: Vec<_> = inputs.collect();
        graph.values.push(value(index, Element::I8));
        graph.nodes.push(Node {
            name: format!("n{index}"),
            operator: if dequantizes {
                "DequantizeLinear"
            } else {
                "Conv"
            }
            .into(),
            attributes: Vec::new(),
            inputs,
            outputs: vec![ValueId(index)],
        });
    }
    graph.outputs = vec![("out".into(), ValueId(count))];
    graph
}

/// Edges between groups and single nodes of the rest, where a candidate DequantizeLinear
/// stands in every group that reads it.
fn contracted(net: &Net<'_>, candidate: &[bool], found: &[Vec<usize>]) -> HashSet<(usize, usize)> {
    let group = |node: usize| {
        let place = found.iter().position(|group| group.contains(&node));
        place.unwrap_or(found.len() + node)
    };
    let free = |node: usize| candidate[node] && net.is(node, "DequantizeLinear");
    let mut edges = HashSet::new();
    for edge in &net.edges {
        let before = net.edges.iter().filter(|first| first.to == edge.from);
        if free(edge.from) && candidate[edge.to] {
            edges.extend(before.map(|first| (group(first.from), group(edge.to))));
        } else if !free(edge.to) || found.iter().any(|group| group.contains(&edge.to)) {
            edges.insert((group(edge.from), group(edge.to)));
        }
    }
    edges.retain(|(from, to)| from != to);
    edges
}

/// Whether a path of at least `least` edges leads from `from` to `to`.
fn reaches(edges: &HashSet<(usize, usize)>, from: usize, to: usize, least: usize) -> bool {
    let mut open: Vec<(usize, usize)> = vec![(from, 0)];
    let mut seen = HashSet::new();
    while let Some((at, length)) = open.pop() {
        for &(_, next) in edges.iter().filter(|edge| edge.0 == at) {
            let length = (length + 1).min(least);
            if next == to && length >= least {
                return true;
            }
            if next != to && seen.insert((next, length)) {
                open.push((next, length));
            }
        }
    }
    false
}

#[test]
fn groups_are_apart_wait_for_nobody_and_cannot_be_larger() {
    for seed in 0..1000 {
        let mut random = SplitMix64::new(seed);
        let count = 3 + random.below(25);
        let graph = random_graph(&mut random, count);
        let file = GraphProto::default();
        let net = Net::new(&graph, &file);
        let candidate: Vec<bool> = (0..count).map(|_| random.below(4) != 0).collect();
        let found = groups(&net, &candidate);
        let mut seen = HashSet::new();
        for &node in found.iter().flatten() {
            assert!(
                candidate[node] && seen.insert(node),
                "seed {seed}: node {node}"
            );
        }
        for node in (0..count).filter(|&node| candidate[node]) {
            let free = net.is(node, "DequantizeLinear");
            assert!(
                free || seen.contains(&node),
                "seed {seed}: node {node} is nowhere"
            );
            let read = net.is_read_by(node, |reader| !candidate[reader]);
            assert!(
                !free || read == seen.contains(&node),
                "seed {seed}: node {node}"
            );
        }
        let edges = contracted(&net, &candidate, &found);
        for group in 0..found.len() {
            assert!(
                !reaches(&edges, group, group, 1),
                "seed {seed}: a group waits for itself"
            );
        }
        for &(from, to) in &edges {
            let joinable = from < found.len() && to < found.len();
            let alone =
                |group: usize| (found[group].iter()).all(|&n| net.is(n, "DequantizeLinear"));
            if joinable && !alone(from) && !alone(to) {
                assert!(
                    reaches(&edges, from, to, 2),
                    "seed {seed}: {:?} and {:?} could be one",
                    found[from],
                    found[to]
                );
            }
        }
    }
}
