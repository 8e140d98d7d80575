//! Whether the graph of an ONNX file holds together, and what of it is needed.
//!
//! tract takes much of this for granted, and so does what follows the import: every name is
//! defined once, what is read is defined, nothing waits for itself, and a tensor has as many
//! elements as its dimensions say. What no output needs is dropped, an input that nothing
//! reads included.

use crate::error::CompileError;
use crate::guard::{Budget, tensor_bytes};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb;
use tract_onnx::pb::type_proto::Value as TypeValue;

/// Largest extent of one axis: more cannot be counted by what a plan or a robot has.
const LONGEST_AXIS: i64 = i32::MAX as i64;

/// Checks the graph and drops what no output needs. Answers the names of the inputs that
/// were dropped.
///
/// # Errors
///
/// [`CompileError::Graph`] with what does not hold together, [`CompileError::Oversized`]
/// where the file asks for more memory than one of its size may.
pub fn prepare(model: &mut pb::ModelProto, budget: Budget) -> Result<Vec<String>, CompileError> {
    let Some(graph) = model.graph.as_mut() else {
        return Err(CompileError::NotOnnx("it has no graph".into()));
    };
    check(graph, &HashSet::new())?;
    inputs(graph, budget)?;
    plain_dimensions(graph, true);
    fold_shapes(graph);
    let unread = drop_unneeded(graph);
    name_apart(graph);
    Ok(unread)
}

/// Gives every node a name of its own, for a file may give one to many, or none. The first
/// that has a name keeps it.
fn name_apart(graph: &mut pb::GraphProto) {
    let mut taken: HashSet<String> = (graph.input.iter().map(|input| &input.name))
        .chain(graph.initializer.iter().map(|tensor| &tensor.name))
        .cloned()
        .collect();
    let mut again: HashMap<String, usize> = HashMap::new();
    for node in &mut graph.node {
        let stem = super::keep::node_name(node);
        node.name = stem.clone();
        while !taken.insert(node.name.clone()) {
            let number = again.entry(stem.clone()).or_insert(1);
            *number += 1;
            node.name = format!("{stem}#{number}");
        }
    }
}

fn fault<T>(what: impl Into<String>) -> Result<T, CompileError> {
    Err(CompileError::Graph(what.into()))
}

/// Names are defined once and before they are needed, here and in inner graphs, which see
/// the names in `outer`.
fn check(graph: &pb::GraphProto, outer: &HashSet<&str>) -> Result<(), CompileError> {
    if graph.output.is_empty() {
        return fault("a graph has no outputs");
    }
    if !graph.sparse_initializer.is_empty() {
        return fault("it has sparse initializers, which are not supported; store them densely");
    }
    let mut defined: HashSet<&str> = HashSet::new();
    for input in &graph.input {
        if !named(&input.name, "an input")? || !defined.insert(&input.name) {
            return fault(format!("two inputs are named `{}`", input.name));
        }
    }
    let mut constants: HashSet<&str> = HashSet::new();
    for tensor in &graph.initializer {
        if !named(&tensor.name, "an initializer")? || !constants.insert(&tensor.name) {
            return fault(format!("two initializers are named `{}`", tensor.name));
        }
        elements(tensor)?;
    }
    // A constant may stand among the inputs as well.
    defined.extend(constants);
    for node in &graph.node {
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            if !defined.insert(output) {
                return fault(format!(
                    "`{output}` is defined twice, the second time by {}",
                    title(node)
                ));
            }
        }
    }
    let mut visible: HashSet<&str> = outer.clone();
    visible.extend(&defined);
    for node in &graph.node {
        if node.op_type.is_empty() {
            return fault(format!("{} has no operator", title(node)));
        }
        let missing = node.input.iter().find(|name| {
            let name = name.as_str();
            !name.is_empty() && !visible.contains(name)
        });
        if let Some(name) = missing {
            return fault(format!(
                "{} reads `{name}`, which nothing computes",
                title(node)
            ));
        }
        attributes(node)?;
        for inner in inner_graphs(node) {
            check(inner, &visible)?;
        }
    }
    let mut outputs: HashSet<&str> = HashSet::new();
    for output in &graph.output {
        if !named(&output.name, "an output")? || !outputs.insert(&output.name) {
            return fault(format!("two outputs are named `{}`", output.name));
        }
        if !visible.contains(output.name.as_str()) {
            return fault(format!("no node computes its output `{}`", output.name));
        }
    }
    acyclic(graph)
}

fn named(name: &str, what: &str) -> Result<bool, CompileError> {
    match name {
        "" => fault(format!("{what} has no name")),
        _ => Ok(true),
    }
}

/// A node as messages name it.
fn title(node: &pb::NodeProto) -> String {
    format!("`{}` ({})", super::keep::node_name(node), node.op_type)
}

fn attributes(node: &pb::NodeProto) -> Result<(), CompileError> {
    let mut seen: HashSet<&str> = HashSet::new();
    for attribute in &node.attribute {
        if !seen.insert(&attribute.name) {
            return fault(format!(
                "{} has the attribute `{}` twice",
                title(node),
                attribute.name
            ));
        }
        for tensor in attribute.t.iter().chain(&attribute.tensors) {
            elements(tensor)?;
        }
    }
    Ok(())
}

/// A tensor has as many elements as its dimensions say.
fn elements(tensor: &pb::TensorProto) -> Result<(), CompileError> {
    use pb::tensor_proto::DataType;
    let name = &tensor.name;
    if let Some(location) = super::external::location(tensor) {
        return fault(format!(
            "the data of `{name}` lie in the file `{location}`, which is read only beside a model \
             that is opened by its path"
        ));
    }
    let count = match element_count(tensor) {
        Ok(count) => count,
        Err(why) => return fault(format!("`{name}` {why}")),
    };
    if super::foreign::foreign(tensor.data_type).is_some() {
        // Who reads it is refused by name.
        return Ok(());
    }
    let Ok(kind) = DataType::try_from(tensor.data_type) else {
        return fault(format!(
            "`{name}` has the unknown element type {}",
            tensor.data_type
        ));
    };
    if kind == DataType::String {
        return expect(name, tensor.string_data.len() as u64, count, "elements");
    }
    if !tensor.raw_data.is_empty() {
        return match element_bytes(tensor) {
            Ok(Some(bytes)) => expect(name, tensor.raw_data.len() as u64, bytes, "bytes"),
            _ => Ok(()),
        };
    }
    let given = match kind {
        DataType::Float => tensor.float_data.len(),
        DataType::Double => tensor.double_data.len(),
        DataType::Int64 => tensor.int64_data.len(),
        DataType::Uint32 | DataType::Uint64 => tensor.uint64_data.len(),
        DataType::Bool
        | DataType::Int8
        | DataType::Uint8
        | DataType::Int16
        | DataType::Uint16
        | DataType::Int32
        | DataType::Float16
        | DataType::Bfloat16 => tensor.int32_data.len(),
        // Types that no operator here takes.
        _ => return Ok(()),
    };
    expect(name, given as u64, count, "elements")
}

/// The product of a tensor's dimensions.
fn element_count(tensor: &pb::TensorProto) -> Result<u64, String> {
    let mut dims = tensor.dims.iter();
    if let Some(dim) = dims.find(|&&dim| !(0..=LONGEST_AXIS).contains(&dim)) {
        return Err(format!("has a dimension of {dim}"));
    }
    // An extent of 0 must not hide the overflow of the others.
    let extents = tensor.dims.iter().map(|&dim| dim.max(1) as u64);
    match tensor_bytes(extents, 8) {
        Some(_) if tensor.dims.contains(&0) => Ok(0),
        Some(bytes) => Ok(bytes / 8),
        None => Err("has more elements than can be counted".to_owned()),
    }
}

/// Bytes of a tensor by its dimensions and type; `None` for a type without a fixed size.
pub(super) fn element_bytes(tensor: &pb::TensorProto) -> Result<Option<u64>, String> {
    use pb::tensor_proto::DataType;
    let count = element_count(tensor)?;
    Ok(match DataType::try_from(tensor.data_type) {
        Ok(DataType::Bool | DataType::Int8 | DataType::Uint8) => Some(count),
        Ok(
            DataType::Float8e4m3fn
            | DataType::Float8e4m3fnuz
            | DataType::Float8e5m2
            | DataType::Float8e5m2fnuz,
        ) => Some(count),
        Ok(DataType::Int16 | DataType::Uint16 | DataType::Float16 | DataType::Bfloat16) => {
            Some(count * 2)
        }
        Ok(DataType::Float | DataType::Int32 | DataType::Uint32) => Some(count * 4),
        Ok(DataType::Double | DataType::Int64 | DataType::Uint64) => Some(count * 8),
        Ok(DataType::Int4 | DataType::Uint4) => Some(count.div_ceil(2)),
        _ => None,
    })
}

fn expect(name: &str, given: u64, wanted: u64, of: &str) -> Result<(), CompileError> {
    match given == wanted {
        true => Ok(()),
        false => fault(format!(
            "`{name}` has {given} {of}, and its dimensions say {wanted}"
        )),
    }
}

/// No node waits for itself.
fn acyclic(graph: &pb::GraphProto) -> Result<(), CompileError> {
    let producer = producers(graph);
    let mut waits = vec![0usize; graph.node.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.node.len()];
    for (index, node) in graph.node.iter().enumerate() {
        for from in reads(node).iter().filter_map(|name| producer.get(name)) {
            waits[index] += 1;
            readers[*from].push(index);
        }
    }
    let mut ready: Vec<usize> = (0..waits.len()).filter(|&node| waits[node] == 0).collect();
    while let Some(node) = ready.pop() {
        for &reader in &readers[node] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.push(reader);
            }
        }
    }
    match waits.iter().position(|&waits| waits > 0) {
        Some(node) => fault(format!(
            "{} waits for its own output",
            title(&graph.node[node])
        )),
        None => Ok(()),
    }
}

/// Which node computes a name.
fn producers(graph: &pb::GraphProto) -> HashMap<&str, usize> {
    (graph.node.iter().enumerate())
        .flat_map(|(index, node)| node.output.iter().map(move |name| (name.as_str(), index)))
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

fn inner_graphs(node: &pb::NodeProto) -> impl Iterator<Item = &pb::GraphProto> {
    (node.attribute.iter()).flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

/// Every name that a node reads of the graph it stands in, be it in an inner graph.
fn reads(node: &pb::NodeProto) -> Vec<&str> {
    let mut names: Vec<&str> = node.input.iter().map(String::as_str).collect();
    for graph in inner_graphs(node) {
        let own: HashSet<&str> = (graph.input.iter().map(|input| &input.name))
            .chain(graph.initializer.iter().map(|tensor| &tensor.name))
            .chain(graph.node.iter().flat_map(|node| &node.output))
            .map(String::as_str)
            .collect();
        let outputs = graph.output.iter().map(|output| output.name.as_str());
        let inner = graph.node.iter().flat_map(reads).chain(outputs);
        names.extend(inner.filter(|name| !own.contains(name)));
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Inputs that are no constants have a size that the file may ask for.
fn inputs(graph: &pb::GraphProto, budget: Budget) -> Result<(), CompileError> {
    use pb::tensor_shape_proto::dimension::Value as Dimension;
    let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    for input in (graph.input.iter()).filter(|input| !constants.contains(input.name.as_str())) {
        let tensor = match input.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
            Some(TypeValue::TensorType(tensor)) => tensor,
            None => return fault(format!("its input `{}` has no type", input.name)),
        };
        let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
        let dims: Vec<u64> = dims
            .map(|dim| match dim.value {
                Some(Dimension::DimValue(value)) => value.max(1) as u64,
                _ => 1,
            })
            .collect();
        // Eight bytes for the widest element.
        let bytes = tensor_bytes(dims.iter().copied(), 8);
        if bytes.is_none_or(|bytes| bytes > budget.tensor()) {
            return Err(CompileError::Oversized {
                what: format!("its input `{}` of {dims:?}", input.name),
                limit: budget.tensor(),
                unit: "bytes",
                file: budget.file,
            });
        }
    }
    Ok(())
}

/// Names of open dimensions are names from here on: tract reads them as formulas, however
/// deep, and none of them is needed, as the batch is 1.
fn plain_dimensions(graph: &mut pb::GraphProto, outermost: bool) {
    use pb::tensor_shape_proto::dimension::Value as Dimension;
    let is_name = |text: &str| {
        let mut letters = text.chars();
        letters.next().is_some_and(char::is_alphabetic)
            && letters.all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    let borders = graph.input.iter_mut().chain(&mut graph.output);
    for border in borders.chain(&mut graph.value_info) {
        let kind = border.r#type.as_mut().and_then(|kind| kind.value.as_mut());
        let Some(TypeValue::TensorType(tensor)) = kind else {
            continue;
        };
        for (axis, dim) in tensor.shape.iter_mut().flat_map(|s| &mut s.dim).enumerate() {
            // Which name an input has beside its batch is said where it is refused.
            let told = outermost && axis > 0;
            if let Some(Dimension::DimParam(text)) = &dim.value
                && !is_name(text)
                && !told
            {
                dim.value = outermost.then_some(Dimension::DimValue(1));
            }
        }
    }
    let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
    for inner in attributes.flat_map(|a| a.g.iter_mut().chain(&mut a.graphs)) {
        plain_dimensions(inner, false);
    }
}

/// Shape and Size of an input whose dimensions the file states are constants: then a mask
/// that is read for its shape alone is read by nothing.
fn fold_shapes(graph: &mut pb::GraphProto) {
    let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let shapes: HashMap<String, Vec<i64>> = (graph.input.iter())
        .filter(|input| !constants.contains(input.name.as_str()))
        .filter_map(|input| Some((input.name.clone(), closed(input)?)))
        .collect();
    let mut folded = Vec::new();
    graph.node.retain(|node| {
        let standard = matches!(node.domain.as_str(), "" | "ai.onnx");
        let shape = node.input.first().and_then(|name| shapes.get(name));
        let (Some(shape), [output], true) = (shape, node.output.as_slice(), standard) else {
            return true;
        };
        let (dims, values) = match node.op_type.as_str() {
            "Shape" => {
                let part = shape_part(node, shape);
                (vec![part.len() as i64], part)
            }
            "Size" => (Vec::new(), vec![shape.iter().product()]),
            _ => return true,
        };
        folded.push(pb::TensorProto {
            name: output.clone(),
            dims,
            data_type: pb::tensor_proto::DataType::Int64.into(),
            int64_data: values,
            ..Default::default()
        });
        false
    });
    graph.initializer.extend(folded);
}

/// The dimensions of an input; an open batch is 1.
fn closed(input: &pb::ValueInfoProto) -> Option<Vec<i64>> {
    use pb::tensor_shape_proto::dimension::Value as Dimension;
    let TypeValue::TensorType(tensor) = input.r#type.as_ref()?.value.as_ref()?;
    (tensor.shape.as_ref()?.dim.iter().enumerate())
        .map(|(axis, dim)| match dim.value {
            Some(Dimension::DimValue(value)) if value > 0 => Some(value),
            _ if axis == 0 => Some(1),
            _ => None,
        })
        .collect()
}

/// The dimensions from `start` to `end`, counted from the back where negative.
fn shape_part(node: &pb::NodeProto, shape: &[i64]) -> Vec<i64> {
    let rank = shape.len() as i64;
    let bound = |name: &str, default: i64| {
        let given = node.attribute.iter().find(|a| a.name == name);
        let at = given.map_or(default, |attribute| attribute.i);
        let at = if at < 0 { at.saturating_add(rank) } else { at };
        at.clamp(0, rank) as usize
    };
    let (start, end) = (bound("start", 0), bound("end", rank));
    shape.get(start..end).unwrap_or_default().to_vec()
}

/// Drops nodes, constants, and inputs that no output needs; answers those inputs.
fn drop_unneeded(graph: &mut pb::GraphProto) -> Vec<String> {
    let producer = producers(graph);
    let mut needed: HashSet<String> = HashSet::new();
    let mut kept = vec![false; graph.node.len()];
    let mut open: Vec<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    while let Some(name) = open.pop() {
        if !needed.insert(name.to_owned()) {
            continue;
        }
        if let Some(&node) = producer.get(name)
            && !std::mem::replace(&mut kept[node], true)
        {
            open.extend(reads(&graph.node[node]));
        }
    }
    let mut kept = kept.into_iter();
    graph.node.retain(|_| kept.next().unwrap_or(true));
    // A constant that stands among the inputs as well is none of them.
    let constants: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    graph.input.retain(|input| !constants.contains(&input.name));
    graph
        .initializer
        .retain(|tensor| needed.contains(&tensor.name));
    let is_read = |input: &pb::ValueInfoProto| needed.contains(&input.name);
    let unread = graph.input.iter().filter(|input| !is_read(input));
    let unread = unread.map(|input| input.name.clone()).collect();
    graph.input.retain(is_read);
    unread
}
