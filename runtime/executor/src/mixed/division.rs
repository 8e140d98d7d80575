//! Division that stays division.
//!
//! tract's optimizer multiplies by the reciprocal instead, which is off by the last bit for
//! many operands. That is as good as any float arithmetic, but in front of a QuantizeLinear
//! it can turn a tie the other way: the integers of a region would differ from ONNX Runtime's
//! because of how a frame was normalized. So here `Div` is an operator of its own.

use std::sync::LazyLock;
use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_hir::infer::*;

static STOCK: LazyLock<Onnx> = LazyLock::new(tract_onnx::onnx);

/// ONNX's name of the operator.
pub(super) const OPERATOR: &str = "Div";

/// Reads a Div node: shapes and types by tract's rules.
pub(super) fn read(
    context: &ParsingContext<'_>,
    node: &pb::NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let stock = STOCK.op_register.0.get(OPERATOR);
    let (inner, closures) = stock.context("tract has no Div")?(context, node)?;
    Ok((Box::new(Untyped { inner }), closures))
}

/// Before tract has its types.
#[derive(Clone, Debug)]
struct Untyped {
    inner: Box<dyn InferenceOp>,
}

impl PartialEq for Untyped {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

impl Eq for Untyped {}

impl Op for Untyped {
    fn name(&self) -> StaticName {
        OPERATOR.into()
    }

    not_a_typed_op!();
}

impl EvalOp for Untyped {
    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        self.inner.eval_out_of_plan(inputs)
    }
}

impl InferenceOp for Untyped {
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

    fn as_op(&self) -> &dyn Op {
        self
    }

    fn as_op_mut(&mut self) -> &mut dyn Op {
        self
    }

    fn to_typed(
        &self,
        source: &InferenceModel,
        node: &InferenceNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        let inputs: TVec<OutletId> = node.inputs.iter().map(|outlet| mapping[outlet]).collect();
        let float = (inputs.iter())
            .map(|&input| Ok(target.outlet_fact(input)?.datum_type == f32::datum_type()))
            .collect::<TractResult<Vec<bool>>>()?;
        if float != [true, true] {
            return self.inner.to_typed(source, node, target, mapping);
        }
        let output = node.outputs.first().context("it has no output")?;
        let fact = TypedFact::try_from(&output.fact)?;
        target.wire_node(&node.name, Division { fact }, &inputs)
    }
}

/// `a / b` of two `f32` tensors that broadcast to the shape of `fact`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Division {
    fact: TypedFact,
}

impl Op for Division {
    fn name(&self) -> StaticName {
        OPERATOR.into()
    }

    op_as_typed_op!();
}

impl EvalOp for Division {
    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        let [a, b] = &*inputs else {
            bail!("Div has {} inputs", inputs.len());
        };
        let quotient = &a.to_plain_array_view::<f32>()? / &b.to_plain_array_view::<f32>()?;
        Ok(Some(tvec![Tensor::from(quotient).into_tvalue()]))
    }

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        self.eval_out_of_plan(inputs)?.context("it has no value")
    }
}

impl TypedOp for Division {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![self.fact.clone()])
    }

    as_op!();
}
