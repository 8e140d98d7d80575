//! ONNX to [`Graph`], through tract: the only user of tract's graph.
//!
//! What the file says is checked first (see [`structure`], [`attributes`]), so that no name
//! or number in it is taken for granted later. tract then works out shapes and types and
//! folds constants. Its own translation would lose what the engine needs: a QDQ graph becomes
//! float, weights lose their integers, `DequantizeLinear → Softmax → QuantizeLinear` is
//! miscompiled by decluttering. So every operator is registered anew (see [`keep`]) such that
//! it stays one node that remembers its ONNX form, and the graph is walked as soon as its
//! shapes are known, before any translation.

mod attributes;
mod external;
mod fold;
mod foreign;
mod guarded;
mod inline;
mod keep;
mod normalize;
mod structure;
mod types;

pub use attributes::declared;
pub use external::{ReadError, read_model};
pub use guarded::guarded_tract;
pub(crate) use normalize::SIMPLE;
/// An ONNX file's own types.
pub use tract_onnx::pb;

use crate::error::{CompileError, Refusal};
use crate::graph::{Attribute, Constant, Data, Element, Graph, Node, Value, ValueId};
use crate::guard::{Budget, tensor_bytes, without_panic};
use crate::regions::macs::macs;
pub(crate) use attributes::Undeclared;
use keep::Kept;
use std::collections::HashMap;
use std::sync::Arc;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{DimLike, OutletId};
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::ops::source::Source;
pub use types::explicit as explicit_types;

/// Reads an ONNX file.
///
/// # Errors
///
/// When the bytes are no ONNX file, its graph does not hold together, its shapes are open or
/// contradict each other, or it has operators that neither the engine nor constant folding
/// takes; all of those are listed at once.
pub fn import(onnx: &[u8]) -> Result<Graph, CompileError> {
    let (mut proto, mut refusals, unread) = prepared(onnx)?;
    if !refusals.is_empty() {
        refusals.dedup_by(|a, b| a.output == b.output);
        let refusals = refusals.into_iter().map(|node| node.refusal);
        return Err(CompileError::Unplaced(refusals.collect()));
    }
    let mut graph = typed(&mut proto, onnx.len(), &|operator| {
        keep::KEPT.contains(&operator)
    })?;
    graph.unread.extend(unread);
    Ok(graph)
}

/// A file of which the engine is to run parts only.
pub(crate) struct EveryNode {
    /// The file as the graph has it, in QDQ form and with a batch of 1.
    pub model: pb::ModelProto,
    /// Every node that does not fold to a constant, whatever its operator.
    pub graph: Graph,
    /// Nodes that the engine must not take.
    pub undeclared: Vec<Undeclared>,
}

/// Reads an ONNX file of which the engine is to run parts only.
///
/// # Errors
///
/// As [`import`], but for operators that tract knows.
pub(crate) fn import_every_node(onnx: &[u8]) -> Result<EveryNode, CompileError> {
    let (mut model, undeclared, unread) = prepared(onnx)?;
    let mut graph = typed(&mut model, onnx.len(), &|_| true)?;
    graph.unread.extend(unread);
    Ok(EveryNode {
        model,
        graph,
        undeclared,
    })
}

/// Checks a parsed file and drops what no output needs; `file` is its size in bytes. Answers
/// the names of the inputs that nothing reads, which are dropped as well.
///
/// # Errors
///
/// As [`import`] where the graph does not hold together or asks for too much.
pub fn prepare(model: &mut pb::ModelProto, file: usize) -> Result<Vec<String>, CompileError> {
    structure::prepare(model, Budget { file: file as u64 })
}

/// Nodes whose operators tract does not know either, or whose domain nobody here knows.
pub fn unknown_operators(model: &pb::ModelProto) -> Vec<Refusal> {
    (model.graph.iter())
        .flat_map(keep::unknown_operators)
        .collect()
}

/// The file with QLinear nodes as QDQ, a closed batch, and no operator that nobody knows; the
/// nodes that say what the engine does not understand; and the inputs that nothing reads.
fn prepared(onnx: &[u8]) -> Result<(pb::ModelProto, Vec<Undeclared>, Vec<String>), CompileError> {
    let mut proto = decode(onnx)?;
    if proto.graph.as_ref().is_none_or(|g| g.output.is_empty()) {
        return Err(CompileError::NotOnnx("it has no graph with outputs".into()));
    }
    inline::functions(&mut proto)?;
    let mut unread = prepare(&mut proto, onnx.len())?;
    if let Some(graph) = proto.graph.as_mut() {
        fold::fold(graph);
        let foreign = foreign::unreadable(graph);
        if !foreign.is_empty() {
            return Err(CompileError::Nobodys(foreign));
        }
    }
    // What only folded nodes have read is read by nothing now.
    unread.extend(prepare(&mut proto, onnx.len())?);
    let undeclared = attributes::check(&proto)?;
    let unknown = unknown_operators(&proto);
    if !unknown.is_empty() {
        return Err(CompileError::Unplaced(unknown));
    }
    // tract cannot stand in for the engine where it does not know the operator.
    let fatal = undeclared.iter().filter(|node| {
        let operator = node.refusal.operator.as_str();
        let name = operator.rsplit("::").next().unwrap_or(operator);
        normalize::QOPERATORS.contains(&name)
    });
    let fatal: Vec<Refusal> = fatal.map(|node| node.refusal.clone()).collect();
    if !fatal.is_empty() {
        return Err(CompileError::Unplaced(fatal));
    }
    if let Some(graph) = proto.graph.as_mut() {
        normalize::qoperators_to_qdq(graph)?;
        types::explicit(graph)?;
        close_batch(graph)?;
    }
    Ok((proto, undeclared, unread))
}

/// The graph, whose nodes are those with an operator that `takes` accepts; others must fold
/// to constants.
fn typed(
    proto: &mut pb::ModelProto,
    file: usize,
    takes: &dyn Fn(&str) -> bool,
) -> Result<Graph, CompileError> {
    let opset = attributes::operator_set(proto);
    let names = proto
        .graph
        .iter()
        .flat_map(|graph| graph.output.iter().map(|output| output.name.clone()));
    let names: Vec<String> = names.collect();
    let budget = Budget { file: file as u64 };
    let shaped = with_constant_nodes(proto, |proto| {
        let analysed = without_panic(|| {
            budget.apply(|| -> TractResult<InferenceModel> {
                let mut model = keep::framework().model_for_proto_model(proto)?;
                inputs_that_are_outputs(&mut model, proto)?;
                model.analyse(false)?;
                Ok(model)
            })
        });
        match analysed {
            Ok(analysed) => analysed.map_err(|error| CompileError::Shapes(chain(&error))),
            Err(panic) => Err(CompileError::Shapes(format!("tract gives up ({panic})"))),
        }
    })?;
    walk(&shaped, opset, names, budget, takes)
}

/// Runs `work` on the file with its constants as nodes: tract compares each constant that
/// it is given as an initializer with all that it has, which takes the square of their number.
fn with_constant_nodes<T>(
    proto: &mut pb::ModelProto,
    work: impl FnOnce(&pb::ModelProto) -> T,
) -> T {
    let constants = match proto.graph.as_mut() {
        Some(graph) => {
            let tensors = std::mem::take(&mut graph.initializer);
            let count = tensors.len();
            let nodes = tensors.into_iter().map(constant_node);
            graph.node.splice(0..0, nodes);
            count
        }
        None => 0,
    };
    let done = work(proto);
    if let Some(graph) = proto.graph.as_mut() {
        let nodes = graph.node.drain(..constants);
        let tensors = nodes.filter_map(|node| node.attribute.into_iter().next()?.t);
        graph.initializer = tensors.collect();
    }
    done
}

fn constant_node(tensor: pb::TensorProto) -> pb::NodeProto {
    pb::NodeProto {
        name: tensor.name.clone(),
        op_type: "Constant".to_owned(),
        output: vec![tensor.name.clone()],
        attribute: vec![pb::AttributeProto {
            name: "value".to_owned(),
            r#type: pb::attribute_proto::AttributeType::Tensor.into(),
            t: Some(tensor),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// The model that bytes say, unchecked.
///
/// # Errors
///
/// [`CompileError::NotOnnx`] where they say none.
pub fn decode(onnx: &[u8]) -> Result<pb::ModelProto, CompileError> {
    prost::Message::decode(onnx).map_err(|error| CompileError::NotOnnx(error.to_string()))
}

/// The bytes of an ONNX file.
pub fn encode(model: &pb::ModelProto) -> Vec<u8> {
    prost::Message::encode_to_vec(model)
}

/// Says again what type an input has that is an output too: tract has forgotten it, as that of
/// every output.
fn inputs_that_are_outputs(model: &mut InferenceModel, proto: &pb::ModelProto) -> TractResult<()> {
    use pb::tensor_shape_proto::dimension::Value as Dimension;
    let graphs = proto.graph.iter();
    for input in graphs.flat_map(|graph| &graph.input) {
        let is_input = |at: &OutletId| model.node(at.node).name == input.name;
        let Some(index) = model.inputs.iter().position(is_input) else {
            continue;
        };
        let kind = input.r#type.as_ref().and_then(|kind| kind.value.as_ref());
        let Some(pb::type_proto::Value::TensorType(tensor)) =
            kind.filter(|_| model.outputs.contains(&model.inputs[index]))
        else {
            continue;
        };
        let datum: DatumType =
            pb::tensor_proto::DataType::try_from(tensor.elem_type)?.try_into()?;
        let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
        let shape: TVec<usize> = dims
            .filter_map(|dim| match dim.value {
                Some(Dimension::DimValue(extent)) => usize::try_from(extent).ok(),
                _ => None,
            })
            .collect();
        model.set_input_fact(index, InferenceFact::dt_shape(datum, shape))?;
    }
    Ok(())
}

/// Every ONNX operator that the compiler looks at, those of the QOperator form included.
pub fn operators() -> impl Iterator<Item = &'static str> {
    keep::KEPT.iter().chain(normalize::QOPERATORS).copied()
}

/// Gives an open first dimension of an input the value 1, and drops the shapes that the
/// file states elsewhere: they follow from the inputs.
fn close_batch(graph: &mut pb::GraphProto) -> Result<(), CompileError> {
    use pb::tensor_shape_proto::dimension::Value as Dimension;
    graph.value_info.clear();
    let constants: Vec<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    for input in &mut graph.input {
        if constants.contains(&input.name.as_str()) {
            continue;
        }
        let Some(pb::type_proto::Value::TensorType(tensor)) =
            input.r#type.as_mut().and_then(|t| t.value.as_mut())
        else {
            continue;
        };
        for (axis, dim) in tensor.shape.iter_mut().flat_map(|s| &mut s.dim).enumerate() {
            let open = match &dim.value {
                Some(Dimension::DimValue(value)) if *value > 0 => continue,
                Some(Dimension::DimParam(name)) => name.clone(),
                _ => "?".to_owned(),
            };
            if axis > 0 {
                return Err(CompileError::OpenDimension {
                    input: input.name.clone(),
                    dimension: open,
                    axis,
                });
            }
            dim.value = Some(Dimension::DimValue(1));
        }
    }
    Ok(())
}

fn walk(
    model: &InferenceModel,
    opset: i64,
    names: Vec<String>,
    budget: Budget,
    takes: &dyn Fn(&str) -> bool,
) -> Result<Graph, CompileError> {
    let mut graph = Graph {
        opset,
        ..Graph::default()
    };
    let mut ids: HashMap<OutletId, ValueId> = HashMap::new();
    let mut leftover = Vec::new();
    let order = model
        .eval_order()
        .map_err(|error| CompileError::Shapes(chain(&error)))?;
    for index in order {
        let node = model.node(index);
        let kept = node.op_as::<Kept>();
        let is_input = node.op_as::<Source>().is_some();
        let outputs = node.outputs.iter();
        let constants: Option<Vec<Arc<Tensor>>> = match is_input {
            true => None,
            false => outputs.map(|o| o.fact.value.concretize()).collect(),
        };
        for (slot, output) in node.outputs.iter().enumerate() {
            let name = kept.and_then(|k| k.output_name(slot)).unwrap_or(&node.name);
            let constant = constants.as_ref().and_then(|all| all.get(slot));
            let id = ValueId(graph.values.len());
            let value = value(name, &output.fact, constant, budget)?;
            graph.values.push(value);
            ids.insert(OutletId::new(index, slot), id);
        }
        let id = |outlet: &OutletId| {
            (ids.get(outlet).copied())
                .ok_or_else(|| CompileError::Shapes(format!("`{}` is out of order", node.name)))
        };
        match kept {
            _ if constants.is_some() || is_input => {}
            Some(kept) if takes(kept.operator()) => {
                let inputs = node.inputs.iter().map(id).collect::<Result<Vec<_>, _>>()?;
                let outputs = (0..node.outputs.len()).map(|o| id(&OutletId::new(index, o)));
                let mut node = Node {
                    name: node.name.clone(),
                    operator: kept.operator().to_owned(),
                    attributes: kept.attributes().iter().filter_map(attribute).collect(),
                    inputs: kept.place_inputs(inputs.into_iter()),
                    outputs: outputs.collect::<Result<_, _>>()?,
                };
                normalize::to_newer_form(&mut node, opset);
                graph.nodes.push(node);
            }
            _ => {
                let why =
                    "it is not one of the engine's operators, and it does not fold to a constant";
                let operator =
                    kept.map_or_else(|| node.op.name().to_string(), |k| k.operator().into());
                leftover.push(Refusal::new(&node.name, operator, why));
            }
        }
    }
    if !leftover.is_empty() {
        return Err(CompileError::Unplaced(leftover));
    }
    let work = graph.nodes.iter().map(|node| work(&graph, node));
    let work = work.fold(0u64, u64::saturating_add);
    if work > budget.macs() {
        return Err(CompileError::Oversized {
            what: format!("an inference of {work} multiply-accumulates"),
            limit: budget.macs(),
            unit: "multiply-accumulates",
            file: budget.file,
        });
    }
    // What only folded nodes have read has no value here.
    for outlet in &model.inputs {
        match ids.get(outlet) {
            Some(&id) => graph.inputs.push(id),
            None => graph.unread.push(model.node(outlet.node).name.clone()),
        }
    }
    for (name, outlet) in names.into_iter().zip(&model.outputs) {
        match ids.get(outlet) {
            Some(&id) => graph.outputs.push((name, id)),
            None => {
                let why = format!("no node computes its output `{name}`");
                return Err(CompileError::Graph(why));
            }
        }
    }
    Ok(graph)
}

/// Multiply-accumulates of a node, the elements that a pool compares or adds included.
fn work(graph: &Graph, node: &Node) -> u64 {
    if !matches!(node.operator.as_str(), "AveragePool" | "MaxPool") {
        return macs(graph, node);
    }
    let window = node.ints("kernel_shape").unwrap_or_default();
    let output = node.outputs.first().map(|&id| &graph.value(id).shape);
    let extents = output.into_iter().flatten().map(|&extent| extent as u64);
    let window = window.iter().map(|&extent| extent.unsigned_abs());
    extents.chain(window).fold(1, u64::saturating_mul)
}

/// A value called `name` as tract has worked it out.
fn value(
    name: &str,
    fact: &InferenceFact,
    constant: Option<&Arc<Tensor>>,
    budget: Budget,
) -> Result<Value, CompileError> {
    let shape = fact.shape.concretize();
    let shape: Option<Vec<usize>> =
        shape.and_then(|dims| dims.iter().map(|dim| dim.to_usize().ok()).collect());
    let (Some(shape), Some(kind)) = (shape, fact.datum_type.concretize()) else {
        return Err(CompileError::Shapes(format!(
            "the shape or the type of `{name}` stays open"
        )));
    };
    let extents = shape.iter().map(|&extent| extent as u64);
    let bytes = tensor_bytes(extents, kind.size_of() as u64);
    if bytes.is_none_or(|bytes| bytes > budget.tensor()) {
        return Err(CompileError::Oversized {
            what: format!("`{name}` of {shape:?}"),
            limit: budget.tensor(),
            unit: "bytes",
            file: budget.file,
        });
    }
    Ok(Value {
        name: name.to_owned(),
        element: element(kind),
        shape,
        constant: constant.and_then(read_constant).map(Arc::new),
    })
}

fn element(datum: DatumType) -> Element {
    match datum {
        DatumType::F32 => Element::F32,
        DatumType::I8 => Element::I8,
        DatumType::U8 => Element::U8,
        DatumType::I16 => Element::I16,
        DatumType::I32 => Element::I32,
        DatumType::I64 | DatumType::TDim => Element::I64,
        DatumType::U16 => Element::Other("uint16"),
        DatumType::U32 => Element::Other("uint32"),
        DatumType::U64 => Element::Other("uint64"),
        DatumType::F16 => Element::Other("float16"),
        DatumType::F64 => Element::Other("double"),
        DatumType::Bool => Element::Other("bool"),
        DatumType::String => Element::Other("string"),
        _ => Element::Other("a type that no operator here takes"),
    }
}

fn read_constant(tensor: &Arc<Tensor>) -> Option<Constant> {
    fn elements<T: Datum + Copy>(tensor: &Tensor) -> Option<Vec<T>> {
        let plain = tensor.cast_to::<T>().ok()?;
        let view = plain.to_plain_array_view::<T>().ok()?;
        Some(view.iter().copied().collect())
    }
    let data = match element(tensor.datum_type()) {
        Element::F32 => Data::F32(elements(tensor)?),
        Element::I8 => Data::I8(elements(tensor)?),
        Element::U8 => Data::U8(elements(tensor)?),
        Element::I16 => Data::I16(elements(tensor)?),
        Element::I32 => Data::I32(elements(tensor)?),
        Element::I64 => Data::I64(elements(tensor)?),
        Element::Other(_) => Data::Unread,
    };
    Some(Constant {
        shape: tensor.shape().to_vec(),
        data,
    })
}

fn attribute(proto: &pb::AttributeProto) -> Option<(String, Attribute)> {
    use pb::attribute_proto::AttributeType as Type;
    let value = match Type::try_from(proto.r#type).ok()? {
        Type::Int => Attribute::Int(proto.i),
        Type::Float => Attribute::Float(proto.f),
        Type::String => Attribute::Text(String::from_utf8_lossy(&proto.s).into_owned()),
        Type::Ints => Attribute::Ints(proto.ints.clone()),
        Type::Floats => Attribute::Floats(proto.floats.clone()),
        _ => return None,
    };
    Some((proto.name.clone(), value))
}

/// tract's error and its causes on one line.
fn chain(error: &TractError) -> String {
    let mut causes: Vec<String> = error.chain().map(|cause| cause.to_string()).collect();
    causes.dedup();
    causes.join(": ").replace('\n', " ")
}
