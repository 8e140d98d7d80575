//! ONNX to [`Graph`], through tract: the only user of tract's graph.
//!
//! tract parses the file, folds constants, and works out shapes and types. Its own
//! translation would lose what the engine needs: a QDQ graph becomes float, weights
//! lose their integers, `DequantizeLinear → Softmax → QuantizeLinear` is miscompiled by
//! decluttering. So every operator that matters is registered anew (see [`keep`]) such
//! that it stays one node that remembers its ONNX form, and the typed graph is walked
//! as it is, never decluttered.

mod fold;
mod foreign;
mod inline;
mod keep;
mod normalize;
mod types;

use crate::error::{CompileError, Refusal};
use crate::graph::{Attribute, Constant, Data, Element, Graph, Node, Value, ValueId};
use keep::KeptNode;
use std::collections::HashMap;
use std::sync::Arc;
use tract_onnx::pb;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::OutletId;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::source::TypedSource;
pub use types::explicit as explicit_types;

/// Reads an ONNX file.
///
/// # Errors
///
/// When the bytes are no ONNX file, its shapes are open or contradict each other, or
/// it has operators that neither the engine nor constant folding takes; all of those
/// are listed at once.
pub fn import(onnx: &[u8]) -> Result<Graph, CompileError> {
    typed(&prepared(onnx)?, &keep::framework())
}

/// Reads an ONNX file of which the engine is to run parts only: every node that does not
/// fold to a constant is in the graph, whatever its operator. The file comes along as the
/// graph has it, in QDQ form and with a batch of 1.
///
/// # Errors
///
/// As [`import`], but for operators that tract knows.
pub(crate) fn import_every_node(onnx: &[u8]) -> Result<(pb::ModelProto, Graph), CompileError> {
    let proto = prepared(onnx)?;
    let graph = typed(&proto, &keep::framework_of_every_operator())?;
    Ok((proto, graph))
}

/// The file with QLinear nodes as QDQ, a closed batch, and no operator that nobody knows.
fn prepared(onnx: &[u8]) -> Result<pb::ModelProto, CompileError> {
    let mut proto = tract_onnx::onnx()
        .proto_model_for_read(&mut &*onnx)
        .map_err(|error| CompileError::NotOnnx(chain(&error)))?;
    inline::functions(&mut proto)?;
    let graph = proto
        .graph
        .as_mut()
        .filter(|graph| !graph.output.is_empty())
        .ok_or_else(|| CompileError::NotOnnx("it has no graph with outputs".into()))?;
    defined_outputs(graph)?;
    fold::fold(graph);
    normalize::qoperators_to_qdq(graph)?;
    types::explicit(graph)?;
    close_batch(graph)?;
    let unread = foreign::unreadable(graph);
    if !unread.is_empty() {
        return Err(CompileError::Nobodys(unread));
    }
    let unknown = keep::unknown_operators(graph);
    if unknown.is_empty() {
        Ok(proto)
    } else {
        Err(CompileError::Unplaced(unknown))
    }
}

/// The graph as `framework` keeps it.
fn typed(proto: &pb::ModelProto, framework: &tract_onnx::Onnx) -> Result<Graph, CompileError> {
    let opset = proto
        .opset_import
        .iter()
        .find(|set| set.domain.is_empty() || set.domain == "ai.onnx")
        .map_or(0, |set| set.version);
    let names: Vec<String> = proto
        .graph
        .iter()
        .flat_map(|graph| graph.output.iter().map(|output| output.name.clone()))
        .collect();
    let typed = framework
        .model_for_proto_model(proto)
        .and_then(|mut model| {
            inputs_that_are_outputs(&mut model, proto)?;
            model.into_typed()
        })
        .map_err(|error| CompileError::Shapes(chain(&error)))?;
    walk(&typed, opset, names)
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

/// tract takes for granted that every output of the graph is computed somewhere.
fn defined_outputs(graph: &pb::GraphProto) -> Result<(), CompileError> {
    let defined = |name: &String| {
        graph.node.iter().any(|node| node.output.contains(name))
            || graph.input.iter().any(|input| input.name == *name)
            || graph.initializer.iter().any(|tensor| tensor.name == *name)
    };
    match graph.output.iter().find(|output| !defined(&output.name)) {
        Some(output) => Err(CompileError::NotOnnx(format!(
            "no node computes its output `{}`",
            output.name
        ))),
        None => Ok(()),
    }
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

fn walk(model: &TypedModel, opset: i64, names: Vec<String>) -> Result<Graph, CompileError> {
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
        let constant = node.op_as::<Const>().map(|op| op.val());
        let kept = node.op_as::<KeptNode>();
        for (slot, output) in node.outputs.iter().enumerate() {
            let shape = output
                .fact
                .shape
                .as_concrete()
                .ok_or_else(|| {
                    CompileError::Shapes(format!("the shape of `{}` stays open", node.name))
                })?
                .to_vec();
            let outlet = OutletId::new(index, slot);
            let name = kept.and_then(|k| k.output_name(slot)).unwrap_or(&node.name);
            let id = ValueId(graph.values.len());
            graph.values.push(Value {
                name: name.to_owned(),
                element: element(output.fact.datum_type),
                shape,
                constant: constant.and_then(read_constant).map(Arc::new),
            });
            ids.insert(outlet, id);
        }
        if let Some(kept) = kept {
            let inputs = node.inputs.iter().map(|outlet| ids[outlet]);
            graph.nodes.push(Node {
                name: node.name.clone(),
                operator: kept.operator().to_owned(),
                attributes: kept.attributes().iter().filter_map(attribute).collect(),
                inputs: kept.place_inputs(inputs),
                outputs: (0..node.outputs.len())
                    .map(|o| ids[&OutletId::new(index, o)])
                    .collect(),
            });
        } else if constant.is_none() && node.op_as::<TypedSource>().is_none() {
            let why = "it is not one of the engine's operators, and it does not fold to a constant";
            leftover.push(Refusal::new(&node.name, node.op.name(), why));
        }
    }
    if !leftover.is_empty() {
        return Err(CompileError::Unplaced(leftover));
    }
    graph.inputs = model.inputs.iter().map(|outlet| ids[outlet]).collect();
    let outputs = model.outputs.iter().map(|outlet| ids[outlet]);
    graph.outputs = names.into_iter().zip(outputs).collect();
    Ok(graph)
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
