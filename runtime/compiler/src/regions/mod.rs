//! Cuts a partly float model into integer regions and the rest.
//!
//! ```text
//!           ┌──────────── region 0 ────────────┐                ┌──── region 1 ────┐
//!  x ─ Div ─┼▶ Quantize ─ Conv ─ … ─ Dequantize ┼─▶ LayerNorm ─┬─┼▶ Quantize ─ Gemm … ┼─▶
//!    tract  └─────────── a plan ───────────────┘     tract     │ └──────────────────┘
//! ```
//!
//! A region is a convex set of nodes that the matching stage takes as it stands; it becomes
//! a plan like any model. Its borders lie where the model itself has them: before a
//! QuantizeLinear, behind a DequantizeLinear, or on a quantized value, so that all rounding is
//! the engine's and tract sees floats only.
//!
//! The regions are found by trying. At first every node is a candidate; the largest convex
//! groups of candidates ([`groups`]) are matched; what is refused, and whatever shares a
//! float value with it ([`net::Net::spread`]), goes to the rest; and so on until every
//! group is accepted. There is thus one judge of what runs as integers: the compiler.
//!
//! QuantizeLinear and DequantizeLinear that no region takes run in the engine as well, as
//! plans with nothing between them ([`Cut::borders`]).

mod groups;
pub(crate) mod macs;
mod net;
mod part;
mod rest;
#[cfg(test)]
mod tests;

pub use rest::plan_of;

use crate::error::{CompileError, Refusal};
use crate::graph::{Graph, Node, ValueId};
use crate::report::Port;
use crate::simplify::simplify;
use crate::{Options, compile_part, import, matching};
use net::Net;
use part::{Part, Role};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb;

/// The operator of the nodes that stand for regions, in the domain `sanderling`.
pub const OPERATOR: &str = "SanderlingRegion";

/// Operators that compute nothing: a region has more than these.
const MOVEMENTS: &[&str] = &[
    "DepthToSpace",
    "DequantizeLinear",
    "Dropout",
    "Expand",
    "Flatten",
    "Identity",
    "Pad",
    "QuantizeLinear",
    "Reshape",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// A model that was cut.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The file in which each region is one node of the operator [`OPERATOR`] that carries
    /// its plan (see [`plan_of`]).
    pub model: pb::ModelProto,
    /// What lies where.
    pub report: CutReport,
}

/// What runs where.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CutReport {
    /// The integer regions, in the order of their first nodes.
    pub regions: Vec<RegionReport>,
    /// Nodes that are not in a region, constants apart.
    pub rest: Vec<RestNode>,
    /// Plans that only quantize, dequantize or move.
    pub borders: usize,
    /// Multiply-accumulate operations per inference, regions and rest.
    pub macs: u64,
    /// Those of the regions.
    pub region_macs: u64,
}

/// One integer region.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegionReport {
    /// `region0` and so on.
    pub name: String,
    /// Its ONNX nodes.
    pub nodes: Vec<String>,
    /// Multiply-accumulate operations per inference.
    pub macs: u64,
    /// Their share of the whole model's, 0 to 1; 0 where the model has none.
    pub share: f64,
    /// Steps of its plan.
    pub steps: usize,
    /// Bytes of its plan.
    pub flash_bytes: usize,
    /// Bytes of its arena.
    pub arena_bytes: usize,
    /// What goes in.
    pub inputs: Vec<Port>,
    /// What comes out.
    pub outputs: Vec<Port>,
}

/// A node that the engine does not run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RestNode {
    /// Its name.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// Multiply-accumulate operations per inference; 0 for recurrent operators, which are
    /// not counted.
    pub macs: u64,
    /// Why not.
    pub why: String,
}

/// Cuts an ONNX file. Each region's plan is packed and gets golden vectors as `options` say.
///
/// # Errors
///
/// [`CompileError::NoRegion`] where no part of the model runs as integers; other errors as
/// those of [`crate::compile`] about files that cannot be read.
pub fn cut(onnx: &[u8], options: &Options) -> Result<Cut, CompileError> {
    let import::EveryNode {
        mut model,
        graph,
        undeclared,
    } = import::import_every_node(onnx)?;
    let Some(file) = model.graph.as_mut() else {
        return Err(CompileError::NotOnnx("it has no graph".into()));
    };
    let net = Net::new(&graph, file);
    let mut found = Found::new(&net);
    found.leave_out(&undeclared);
    found.search();
    let source: [u8; 32] = Sha256::digest(onnx).into();
    let (mut nodes, mut taken, mut regions) = (Vec::new(), HashSet::new(), Vec::new());
    let mut borders = 0;
    for group in &found.groups {
        let part = found.part(group);
        let real = (group.iter()).any(|&node| !only_moves(&graph.nodes[node].operator));
        let name = if real {
            format!("region{}", regions.len())
        } else {
            borders += 1;
            format!("border{}", borders - 1)
        };
        let compiled = compile_part(part.graph.clone(), source, options)?;
        if real {
            let report = compiled.report;
            let nodes = || (part.nodes.iter()).filter(|&&node| !net.constant[node]);
            regions.push(RegionReport {
                name: name.clone(),
                nodes: nodes().map(|&n| graph.nodes[n].name.clone()).collect(),
                macs: nodes().map(|&n| macs::macs(&graph, &graph.nodes[n])).sum(),
                share: 0.0,
                steps: report.steps.len(),
                flash_bytes: report.flash_bytes,
                arena_bytes: report.arena_bytes,
                inputs: report.inputs,
                outputs: report.outputs,
            });
        }
        nodes.push(rest::region_node(&name, &part.graph, compiled.plan));
        taken.extend(group);
    }
    if regions.is_empty() {
        let quantizes = |node: &Node| node.operator == "QuantizeLinear";
        let float = !graph.nodes.iter().any(quantizes);
        return Err(CompileError::NoRegion(if float {
            Vec::new()
        } else {
            found.first
        }));
    }
    let rest = found.rest();
    rest::replace(file, &net, &taken, nodes);
    Ok(Cut {
        model,
        report: report(regions, rest, borders),
    })
}

fn report(mut regions: Vec<RegionReport>, rest: Vec<RestNode>, borders: usize) -> CutReport {
    let region_macs: u64 = regions.iter().map(|region| region.macs).sum();
    let macs = region_macs + rest.iter().map(|node| node.macs).sum::<u64>();
    for region in &mut regions {
        region.share = region.macs as f64 / macs.max(1) as f64;
    }
    CutReport {
        regions,
        rest,
        borders,
        macs,
        region_macs,
    }
}

fn only_moves(operator: &str) -> bool {
    MOVEMENTS.contains(&operator)
}

/// The search for regions.
struct Found<'n> {
    net: &'n Net<'n>,
    /// By node: why it is not in a region.
    refused: Vec<Option<String>>,
    /// What the compiler itself refused.
    first: Vec<Refusal>,
    /// Accepted groups.
    groups: Vec<Vec<usize>>,
}

impl<'n> Found<'n> {
    fn new(net: &'n Net<'n>) -> Self {
        Found {
            net,
            refused: vec![None; net.graph.nodes.len()],
            first: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Takes from the candidates what says something that the engine does not understand.
    fn leave_out(&mut self, undeclared: &[import::Undeclared]) {
        let graph = self.net.graph;
        let by_output: HashMap<&str, &Refusal> = (undeclared.iter())
            .map(|node| (node.output.as_str(), &node.refusal))
            .collect();
        for (node, refused) in graph.nodes.iter().zip(&mut self.refused) {
            let output = node
                .outputs
                .first()
                .map(|&id| graph.value(id).name.as_str());
            if let Some(refusal) = output.and_then(|name| by_output.get(name)) {
                *refused = Some(refusal.why.clone());
                self.first.push((*refusal).clone());
            }
        }
    }

    /// Every round takes at least one node from the candidates, or is the last.
    fn search(&mut self) {
        let mut accepted: HashSet<Vec<usize>> = HashSet::new();
        loop {
            self.net.spread(&mut self.refused);
            let candidate: Vec<bool> = (self.refused.iter().zip(&self.net.constant))
                .map(|(refused, constant)| refused.is_none() && !constant)
                .collect();
            self.groups = groups::groups(self.net, &candidate);
            let mut last = true;
            for group in self.groups.clone() {
                if accepted.contains(&group) {
                    continue;
                }
                let part = self.part(&group);
                match self.judge(&part) {
                    Ok(()) => {
                        accepted.insert(group);
                    }
                    Err(error) => {
                        last = false;
                        self.refuse(&part, &error);
                    }
                }
            }
            if last {
                return;
            }
        }
    }

    /// The group with the nodes that it copies.
    fn part(&self, group: &[usize]) -> Part {
        part::part(self.net, group, &|node| {
            let free = self.net.is(node, "DequantizeLinear");
            match (self.net.constant[node], &self.refused[node]) {
                (true, _) => Role::Copied,
                (false, Some(_)) => Role::Rest,
                (false, None) if free => Role::Copied,
                (false, None) => Role::Grouped,
            }
        })
    }

    /// Whether the compiler takes the part.
    fn judge(&self, part: &Part) -> Result<(), CompileError> {
        let quantizes = |&node: &usize| {
            !self.net.constant[node]
                && (self.net.is(node, "QuantizeLinear") || self.net.is(node, "DequantizeLinear"))
        };
        if !part.nodes.iter().any(quantizes) {
            let refusal = |node: &Node| {
                Refusal::new(&node.name, &node.operator, "nothing around it is quantized")
            };
            let refusals = part.graph.nodes.iter().map(refusal).collect();
            return Err(CompileError::Unplaced(refusals));
        }
        let mut graph: Graph = part.graph.clone();
        simplify(&mut graph);
        matching::match_part(&graph)?.check_limits()
    }

    /// Takes from the candidates what `error` names; all of the part where that is nobody.
    fn refuse(&mut self, part: &Part, error: &CompileError) {
        let before = self.count();
        for refusal in error.refusals() {
            let mut named: Vec<usize> = (part.nodes.iter().copied())
                .filter(|&node| self.names(refusal, node))
                .collect();
            if !named.is_empty() && !self.first.contains(refusal) {
                self.first.push(refusal.clone());
            }
            // What is wrong with a constant concerns those that read it.
            while let Some(node) = named.pop() {
                if self.net.constant[node] {
                    let outputs = &self.net.graph.nodes[node].outputs;
                    named.extend((part.nodes.iter().copied()).filter(|&reader| {
                        (self.net.reads[reader].iter()).any(|value| outputs.contains(value))
                    }));
                } else {
                    self.refused[node].get_or_insert_with(|| refusal.why.clone());
                }
            }
        }
        if self.count() == before {
            for &node in part.nodes.iter().filter(|&&n| !self.net.constant[n]) {
                self.refused[node].get_or_insert_with(|| error.to_string());
                let node = &self.net.graph.nodes[node];
                self.first
                    .push(Refusal::new(&node.name, &node.operator, error.to_string()));
            }
        }
    }

    /// How many nodes are in no region.
    fn count(&self) -> usize {
        self.refused.iter().flatten().count()
    }

    /// Whether a refusal is about this node: by its name, or by a value at the part's border.
    fn names(&self, refusal: &Refusal, node: usize) -> bool {
        let graph = self.net.graph;
        let called = |&id: &ValueId| graph.value(id).name == refusal.node;
        match refusal.operator.as_str() {
            "output" => graph.nodes[node].outputs.iter().any(called),
            "input" => self.net.reads[node].iter().any(called),
            _ => graph.nodes[node].name == refusal.node,
        }
    }

    /// What is in no region.
    fn rest(&self) -> Vec<RestNode> {
        let graph = self.net.graph;
        (graph.nodes.iter().zip(&self.refused))
            .filter_map(|(node, why)| {
                Some(RestNode {
                    node: node.name.clone(),
                    operator: node.operator.clone(),
                    macs: macs::macs(graph, node),
                    why: why.clone()?,
                })
            })
            .collect()
    }
}
