//! Which node reads what, and how far a refusal reaches.

use crate::graph::{Element, Graph, ValueId};
use std::collections::HashMap;
use tract_onnx::pb;

/// A value that one node computes and another reads.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// Index of the node that computes it.
    pub from: usize,
    /// Index of the node that reads it.
    pub to: usize,
    /// Whether a region may end here: the value has 8 or 16 bits.
    quantized: bool,
}

/// The nodes of a graph that depend on its inputs, and the values between them.
pub struct Net<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// By node: the values it reads, those that its inner graphs capture included.
    pub reads: Vec<Vec<ValueId>>,
    /// Which node computes a value.
    pub producer: HashMap<ValueId, usize>,
    /// Which nodes read a value.
    readers: HashMap<ValueId, Vec<usize>>,
    /// By node: whether it depends on no input of the model. Such a node belongs to nobody;
    /// every part that reads it takes a copy.
    pub constant: Vec<bool>,
    /// All values between nodes that are not constant, by `to`.
    pub edges: Vec<Edge>,
}

impl<'a> Net<'a> {
    /// The net of `graph`, which was read from `file`.
    pub fn new(graph: &'a Graph, file: &pb::GraphProto) -> Self {
        let producer: HashMap<ValueId, usize> = (graph.nodes.iter().enumerate())
            .flat_map(|(index, node)| node.outputs.iter().map(move |&value| (value, index)))
            .collect();
        let captured = captured(graph, file);
        let reads: Vec<Vec<ValueId>> = (graph.nodes.iter().enumerate())
            .map(|(index, node)| {
                let inner = captured.get(&index).into_iter().flatten();
                node.inputs.iter().flatten().chain(inner).copied().collect()
            })
            .collect();
        let mut readers: HashMap<ValueId, Vec<usize>> = HashMap::new();
        for (node, values) in reads.iter().enumerate() {
            for &value in values {
                readers.entry(value).or_default().push(node);
            }
        }
        let mut constant = Vec::with_capacity(reads.len());
        for values in &reads {
            let fixed = |value: &ValueId| {
                let from = producer.get(value).and_then(|&node| constant.get(node));
                graph.value(*value).constant.is_some() || from == Some(&true)
            };
            let fixed = !values.is_empty() && values.iter().all(fixed);
            constant.push(fixed);
        }
        let mut edges = Vec::new();
        for (to, values) in reads.iter().enumerate() {
            for value in values {
                let Some(&from) = producer.get(value) else {
                    continue;
                };
                let element = graph.value(*value).element;
                if !constant[from] && !constant[to] {
                    edges.push(Edge {
                        from,
                        to,
                        quantized: matches!(element, Element::I8 | Element::U8 | Element::I16),
                    });
                }
            }
        }
        Net {
            graph,
            reads,
            producer,
            readers,
            constant,
            edges,
        }
    }

    /// Carries refusals over every value that no border can lie on: a region takes in what
    /// its QuantizeLinear reads or quantized integers, and gives out what its DequantizeLinear
    /// computes or quantized integers. `refused` holds a reason for each refused node.
    pub fn spread(&self, refused: &mut [Option<String>]) {
        let mut again = true;
        while again {
            again = false;
            for edge in self.edges.iter().filter(|edge| !edge.quantized) {
                let (from, to) = (edge.from, edge.to);
                let name = |node: usize| &self.graph.nodes[node].name;
                match (refused[from].is_some(), refused[to].is_some()) {
                    (true, false) if !self.is(to, "QuantizeLinear") => {
                        refused[to] = Some(format!("it reads a float value of `{}`", name(from)));
                    }
                    (false, true) if !self.is(from, "DequantizeLinear") => {
                        refused[from] = Some(format!("`{}` reads its float value", name(to)));
                    }
                    _ => continue,
                }
                again = true;
            }
        }
    }

    /// Whether `node` is one of this operator.
    pub fn is(&self, node: usize, operator: &str) -> bool {
        self.graph.nodes[node].operator == operator
    }

    /// The nodes that read `value`.
    pub fn readers(&self, value: ValueId) -> &[usize] {
        self.readers.get(&value).map_or(&[], Vec::as_slice)
    }

    /// Whether an output of `node` is one of the model's, or is read by a node for which
    /// `which` is true.
    pub fn is_read_by(&self, node: usize, which: impl Fn(usize) -> bool) -> bool {
        let outputs = &self.graph.nodes[node].outputs;
        (self.graph.outputs.iter()).any(|(_, output)| outputs.contains(output))
            || (outputs.iter())
                .flat_map(|&output| self.readers(output))
                .any(|&reader| which(reader))
    }
}

/// Values of the graph that are read inside the inner graphs of a node (If, Loop, Scan).
fn captured(graph: &Graph, file: &pb::GraphProto) -> HashMap<usize, Vec<ValueId>> {
    let by_name: HashMap<&str, ValueId> = (graph.values.iter().enumerate())
        .map(|(index, value)| (value.name.as_str(), ValueId(index)))
        .collect();
    let mut captured = HashMap::new();
    for proto in &file.node {
        let values: Vec<ValueId> = (inner_reads(proto).iter())
            .filter_map(|name| by_name.get(name).copied())
            .collect();
        if values.is_empty() {
            continue;
        }
        let node = proto.output.iter().find_map(|output| {
            let value = by_name.get(output.as_str())?;
            (graph.nodes.iter()).position(|node| node.outputs.contains(value))
        });
        if let Some(node) = node {
            captured.insert(node, values);
        }
    }
    captured
}

/// Every name that the inner graphs of a node read, at any depth.
pub fn inner_reads(node: &pb::NodeProto) -> Vec<&str> {
    let mut names = Vec::new();
    let mut nodes = vec![node];
    while let Some(node) = nodes.pop() {
        let graphs = (node.attribute.iter()).flat_map(|a| a.g.iter().chain(&a.graphs));
        for graph in graphs {
            for inner in &graph.node {
                names.extend(inner.input.iter().map(String::as_str));
                nodes.push(inner);
            }
            names.extend(graph.output.iter().map(|output| output.name.as_str()));
        }
    }
    names
}
