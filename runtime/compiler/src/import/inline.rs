//! Model-local functions, and an `If` whose condition is constant, written out in place.
//!
//! Both stand for nodes that the graph could have had itself, and ONNX Runtime has them inlined
//! before any of its optimizations looks at the graph. Names inside get the name of the node's
//! first output before them, so that two calls do not meet.

use super::keep::node_name;
use crate::error::{CompileError, Refusal};
use std::collections::HashMap;
use tract_onnx::pb::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto};

/// Nodes that inlining may make: a file of a few hundred bytes can call functions that call
/// functions, so that each doubles the graph.
const MOST_NODES: usize = 100_000;

/// Replaces every call of a function that the model defines by the function's nodes.
///
/// # Errors
///
/// When a function calls itself, means another operator set than the model, or has a default
/// for an attribute that a call leaves out; and when the graph grows beyond [`MOST_NODES`].
pub fn functions(model: &mut ModelProto) -> Result<(), CompileError> {
    let functions = std::mem::take(&mut model.functions);
    if functions.is_empty() {
        return Ok(());
    }
    let mut inliner = Inliner {
        functions: (functions.iter())
            .map(|function| (key(function.domain(), function.name()), function))
            .collect(),
        opset: default_opset(&model.opset_import),
        open: Vec::new(),
        left: MOST_NODES,
        refusals: Vec::new(),
    };
    if let Some(graph) = &mut model.graph {
        graph.node = inliner.nodes(std::mem::take(&mut graph.node))?;
    }
    let refusals = inliner.refusals;
    for import in functions.iter().flat_map(|function| &function.opset_import) {
        let known = |set: &&tract_onnx::pb::OperatorSetIdProto| set.domain == import.domain;
        if !model.opset_import.iter().any(|set| known(&set)) {
            model.opset_import.push(import.clone());
        }
    }
    if refusals.is_empty() {
        Ok(())
    } else {
        Err(CompileError::Unplaced(refusals))
    }
}

/// The nodes of the branch that an `If` with the constant `condition` takes, and the
/// branch's initializers; `None` where the node has no such branch.
pub fn branch(node: &NodeProto, condition: bool) -> Option<GraphProto> {
    let name = if condition {
        "then_branch"
    } else {
        "else_branch"
    };
    let attribute = node.attribute.iter().find(|a| a.name == name)?;
    let mut graph = attribute.g.clone()?;
    if graph.output.len() < node.output.len() || !graph.sparse_initializer.is_empty() {
        return None;
    }
    let mut names = Names::new(node);
    for tensor in &mut graph.initializer {
        tensor.name = names.inner(&tensor.name);
    }
    let results: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    let made: Vec<String> = graph.node.iter().flat_map(|n| n.output.clone()).collect();
    let identities = names.results(&results, &node.output, &made);
    names.define(&graph.node);
    for inner in &mut graph.node {
        names.rename(inner);
    }
    graph
        .node
        .extend(identities.into_iter().map(|mut identity| {
            identity.input[0] = names.outer(&identity.input[0]);
            identity
        }));
    Some(graph)
}

fn key(domain: &str, name: &str) -> (String, String) {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    (domain.to_owned(), name.to_owned())
}

fn default_opset(imports: &[tract_onnx::pb::OperatorSetIdProto]) -> Option<i64> {
    let default = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    (imports.iter())
        .find(|set| default(&set.domain))
        .map(|set| set.version)
}

struct Inliner<'a> {
    functions: HashMap<(String, String), &'a FunctionProto>,
    /// The model's default operator set.
    opset: Option<i64>,
    /// The functions that are being inlined, outermost first.
    open: Vec<(String, String)>,
    /// Nodes that may still be made.
    left: usize,
    refusals: Vec<Refusal>,
}

impl Inliner<'_> {
    fn nodes(&mut self, nodes: Vec<NodeProto>) -> Result<Vec<NodeProto>, CompileError> {
        let mut written = Vec::with_capacity(nodes.len());
        for mut node in nodes {
            let key = key(&node.domain, &node.op_type);
            let Some(&function) = self.functions.get(&key) else {
                for graph in graphs(&mut node) {
                    graph.node = self.nodes(std::mem::take(&mut graph.node))?;
                }
                written.push(node);
                continue;
            };
            if self.open.contains(&key) {
                let why = format!("its function `{}` calls itself", key.1);
                return Err(CompileError::NotOnnx(why));
            }
            match self.call(&node, function) {
                Ok(body) => {
                    self.left = self.left.checked_sub(body.len()).ok_or_else(|| {
                        CompileError::TooLarge(format!(
                            "its functions come to more than {MOST_NODES} nodes"
                        ))
                    })?;
                    self.open.push(key);
                    written.extend(self.nodes(body)?);
                    self.open.pop();
                }
                Err(why) => {
                    let refusal = Refusal::new(node_name(&node), &node.op_type, why);
                    self.refusals.push(refusal);
                }
            }
        }
        Ok(written)
    }

    /// The nodes of one call.
    fn call(&self, node: &NodeProto, function: &FunctionProto) -> Result<Vec<NodeProto>, String> {
        let opset = default_opset(&function.opset_import);
        if opset.is_some() && opset != self.opset {
            return Err(format!(
                "its function is written for operator set {}, the model for {}; export the model \
                 with one operator set",
                opset.unwrap_or(0),
                self.opset.unwrap_or(0)
            ));
        }
        if node.input.len() > function.input.len() || node.output.len() > function.output.len() {
            return Err("it has more inputs or outputs than its function".into());
        }
        let mut names = Names::new(node);
        for (i, formal) in function.input.iter().enumerate() {
            let actual = node.input.get(i).cloned().unwrap_or_default();
            names.map.insert(formal.clone(), actual);
        }
        let made: Vec<String> = function
            .node
            .iter()
            .flat_map(|n| n.output.clone())
            .collect();
        let identities = names.results(&function.output, &node.output, &made);
        names.define(&function.node);
        let mut body = Vec::with_capacity(function.node.len() + identities.len());
        for inner in &function.node {
            let mut inner = inner.clone();
            self.attributes(&mut inner, node, function)?;
            names.rename(&mut inner);
            body.push(inner);
        }
        body.extend(identities.into_iter().map(|mut identity| {
            identity.input[0] = names.outer(&identity.input[0]);
            identity
        }));
        Ok(body)
    }

    /// Gives the attributes that refer to the function's own what the call says.
    fn attributes(
        &self,
        inner: &mut NodeProto,
        call: &NodeProto,
        function: &FunctionProto,
    ) -> Result<(), String> {
        let mut given: Vec<AttributeProto> = Vec::with_capacity(inner.attribute.len());
        for attribute in std::mem::take(&mut inner.attribute) {
            let refers = &attribute.ref_attr_name;
            if refers.is_empty() {
                given.push(attribute);
                continue;
            }
            match call.attribute.iter().find(|a| a.name == *refers) {
                Some(value) => given.push(AttributeProto {
                    name: attribute.name,
                    ..value.clone()
                }),
                None if function.attribute.contains(refers) => {}
                None => {
                    return Err(format!(
                        "it leaves the attribute `{refers}` to its function's default, which is not \
                         read; write the value at the call"
                    ));
                }
            }
        }
        inner.attribute = given;
        for graph in graphs(inner) {
            for node in &mut graph.node {
                self.attributes(node, call, function)?;
            }
        }
        Ok(())
    }
}

/// What the names inside a body are outside.
struct Names {
    prefix: String,
    map: HashMap<String, String>,
}

impl Names {
    fn new(node: &NodeProto) -> Self {
        let first = node.output.iter().find(|name| !name.is_empty());
        Names {
            prefix: first.cloned().unwrap_or_else(|| node_name(node)),
            map: HashMap::new(),
        }
    }

    /// A new name for something that the body defines.
    fn inner(&mut self, name: &str) -> String {
        if name.is_empty() {
            return String::new();
        }
        let prefix = &self.prefix;
        let outside = self.map.entry(name.to_owned());
        outside
            .or_insert_with(|| format!("{prefix}/{name}"))
            .clone()
    }

    /// Names what the nodes compute; a file need not have them in order.
    fn define(&mut self, nodes: &[NodeProto]) {
        for name in nodes.iter().flat_map(|node| &node.output) {
            self.inner(name);
        }
    }

    /// What a name that is read stands for.
    fn outer(&self, name: &str) -> String {
        self.map
            .get(name)
            .cloned()
            .unwrap_or_else(|| name.to_owned())
    }

    /// Gives the results of the body the names that they have outside. One that no node of the
    /// body `made`, or that goes out twice, goes through an Identity, whose input is still to
    /// be renamed.
    fn results(
        &mut self,
        inside: &[String],
        outside: &[String],
        made: &[String],
    ) -> Vec<NodeProto> {
        let mut identities = Vec::new();
        for (inside, outside) in inside.iter().zip(outside) {
            if outside.is_empty() {
                continue;
            }
            if made.contains(inside) && !self.map.contains_key(inside) {
                self.map.insert(inside.clone(), outside.clone());
                continue;
            }
            identities.push(NodeProto {
                name: outside.clone(),
                op_type: "Identity".into(),
                input: vec![inside.clone()],
                output: vec![outside.clone()],
                ..NodeProto::default()
            });
        }
        identities
    }

    /// Renames what a node reads and defines, in its subgraphs too.
    fn rename(&mut self, node: &mut NodeProto) {
        let own = node_name(node);
        for name in &mut node.input {
            *name = self.outer(name);
        }
        for name in &mut node.output {
            *name = self.inner(name);
        }
        node.name = format!("{}/{own}", self.prefix);
        for graph in graphs(node) {
            for input in &mut graph.input {
                input.name = self.inner(&input.name);
            }
            for tensor in &mut graph.initializer {
                tensor.name = self.inner(&tensor.name);
            }
            self.define(&graph.node);
            for inner in &mut graph.node {
                self.rename(inner);
            }
            for output in &mut graph.output {
                output.name = self.outer(&output.name);
            }
        }
    }
}

/// The graphs among a node's attributes.
fn graphs(node: &mut NodeProto) -> impl Iterator<Item = &mut GraphProto> {
    let attributes = node.attribute.iter_mut();
    attributes.flat_map(|a| a.g.iter_mut().chain(&mut a.graphs))
}
