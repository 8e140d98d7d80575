//! Operators that stay as ONNX states them: tract infers their shapes with its own
//! rules and computes what does not depend on an input, and nothing else of it is used.

use super::attributes::{has_known_domain, title};
use super::guarded::{Guarded, window_fits};
use super::normalize::QOPERATORS;
use crate::error::Refusal;
use std::sync::LazyLock;
use tract_onnx::model::{Onnx, ParsingContext};
use tract_onnx::pb;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_hir::infer::*;
use tract_onnx::tract_hir::internal::{Expansion, expand};

/// Operators that the matching stage takes. tract's rules infer their shapes.
pub const KEPT: &[&str] = &[
    "Abs",
    "Add",
    "ArgMax",
    "ArgMin",
    "Atan",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Cos",
    "DepthToSpace",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "FastGelu",
    "Flatten",
    "Floor",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "QuantizeLinear",
    "QuickGelu",
    "Reciprocal",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
    "Transpose",
    "Unsqueeze",
];

/// tract as it comes.
pub(super) static STOCK: LazyLock<Onnx> = LazyLock::new(tract_onnx::onnx);

/// tract with all of its operators registered anew.
pub fn framework() -> Onnx {
    let mut framework = tract_onnx::onnx().with_ignore_output_types(true);
    for (operator, builder) in &mut framework.op_register.0 {
        // A constant is what it is.
        if operator.as_str() != "Constant" {
            *builder = keep;
        }
    }
    // Those that tract does not know have no shapes either.
    framework.op_register.insert("QuantizeLinear", keep);
    framework.op_register.insert("DequantizeLinear", keep);
    framework
}

/// Operators that are neither kept nor tract's, in the graph and in its inner graphs.
pub fn unknown_operators(graph: &pb::GraphProto) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut graphs = vec![graph];
    while let Some(graph) = graphs.pop() {
        for node in &graph.node {
            if let Some(why) = unknown(node) {
                refusals.push(Refusal::new(node_name(node), title(node), why));
            }
            let attributes = node.attribute.iter();
            graphs.extend(attributes.flat_map(|a| a.g.iter().chain(&a.graphs)));
        }
    }
    refusals
}

fn unknown(node: &pb::NodeProto) -> Option<String> {
    let operator = node.op_type.as_str();
    let known = KEPT.contains(&operator)
        || QOPERATORS.contains(&operator)
        || STOCK.op_register.0.contains_key(operator);
    if has_known_domain(node) {
        return (!known).then(|| "neither the engine nor tract knows this operator".to_owned());
    }
    Some(match node.domain.as_str() {
        "" | "ai.onnx" => {
            "ONNX has no such operator; it is one of com.microsoft, and the node must say so".into()
        }
        domain => format!("neither the engine nor tract knows this operator of `{domain}`"),
    })
}

/// A node's name, or that of its first output where it has none.
pub fn node_name(node: &pb::NodeProto) -> String {
    if node.name.is_empty() {
        node.output.first().cloned().unwrap_or_default()
    } else {
        node.name.clone()
    }
}

fn keep(
    context: &ParsingContext<'_>,
    node: &pb::NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    window_fits(node)?;
    let (inner, closures) = match node.op_type.as_str() {
        // tract refuses dtypes and blocks it cannot run; the engine's own checks come later.
        "QuantizeLinear" | "DequantizeLinear" => (
            expand(BorderShape {
                quantize: node.op_type == "QuantizeLinear",
            }),
            vec![],
        ),
        operator => match STOCK.op_register.0.get(operator) {
            Some(stock) => stock(context, node)?,
            None => bail!("tract has no rules for {operator}"),
        },
    };
    Ok((
        Box::new(Kept {
            inner: Guarded::new(inner, node),
            proto: Arc::new(node.clone()),
        }),
        closures,
    ))
}

/// A node as ONNX states it, with tract's rules for its shapes.
#[derive(Clone, Debug)]
pub struct Kept {
    inner: Guarded,
    proto: Arc<pb::NodeProto>,
}

impl Kept {
    /// Its operator.
    pub fn operator(&self) -> &str {
        &self.proto.op_type
    }

    /// Its attributes.
    pub fn attributes(&self) -> &[pb::AttributeProto] {
        &self.proto.attribute
    }

    /// The ONNX name of output `slot`.
    pub fn output_name(&self, slot: usize) -> Option<&str> {
        self.proto
            .output
            .iter()
            .filter(|name| !name.is_empty())
            .nth(slot)
            .map(String::as_str)
    }

    /// Puts the inputs, of which tract keeps only those that are there, in ONNX's places.
    pub fn place_inputs<T>(&self, given: impl Iterator<Item = T>) -> Vec<Option<T>> {
        let mut given = given;
        self.proto
            .input
            .iter()
            .map(|name| if name.is_empty() { None } else { given.next() })
            .collect()
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.proto, &other.proto)
    }
}

impl Eq for Kept {}

impl Op for Kept {
    fn name(&self) -> StaticName {
        self.inner.name()
    }

    not_a_typed_op!();
}

impl EvalOp for Kept {
    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        match self.proto.op_type.as_str() {
            // Folding these would turn integer weights into float ones.
            "QuantizeLinear" | "DequantizeLinear" => Ok(None),
            _ => self.inner.eval_out_of_plan(inputs),
        }
    }
}

impl InferenceOp for Kept {
    fn infer_facts(
        &mut self,
        inputs: TVec<&InferenceFact>,
        outputs: TVec<&InferenceFact>,
        observed: TVec<&InferenceFact>,
    ) -> TractResult<(
        TVec<InferenceFact>,
        TVec<InferenceFact>,
        TVec<InferenceFact>,
    )> {
        self.inner.infer_facts(inputs, outputs, observed)
    }

    fn infer(
        &mut self,
        inputs: TVec<&InferenceFact>,
        outputs: TVec<&InferenceFact>,
        observed: TVec<&InferenceFact>,
    ) -> TractResult<(
        TVec<InferenceFact>,
        TVec<InferenceFact>,
        TVec<InferenceFact>,
    )> {
        match self.proto.op_type.as_str() {
            "QuantizeLinear" | "DequantizeLinear" => self.infer_facts(inputs, outputs, observed),
            _ => self.inner.infer(inputs, outputs, observed),
        }
    }

    fn observe_outlets(
        &self,
        model: &InferenceModel,
        node: &InferenceNode,
    ) -> TractResult<Vec<OutletId>> {
        self.inner.observe_outlets(model, node)
    }

    fn nboutputs(&self) -> TractResult<usize> {
        self.inner.nboutputs()
    }

    fn as_op(&self) -> &dyn Op {
        self
    }

    fn as_op_mut(&mut self) -> &mut dyn Op {
        self
    }
}

/// Shape rules of QuantizeLinear and DequantizeLinear for every dtype that ONNX allows.
#[derive(Clone, Debug)]
struct BorderShape {
    quantize: bool,
}

impl Expansion for BorderShape {
    fn name(&self) -> StaticName {
        if self.quantize {
            "QuantizeLinear".into()
        } else {
            "DequantizeLinear".into()
        }
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        solver.equals(&inputs[0].shape, &outputs[0].shape)?;
        if !self.quantize {
            solver.equals(&outputs[0].datum_type, f32::datum_type())
        } else if inputs.len() > 2 {
            solver.equals(&outputs[0].datum_type, &inputs[2].datum_type)
        } else {
            solver.equals(&outputs[0].datum_type, u8::datum_type())
        }
    }

    fn wire(
        &self,
        _prefix: &str,
        _model: &mut TypedModel,
        _inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        bail!("{} stays as it is", Expansion::name(self))
    }
}
