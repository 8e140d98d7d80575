//! tract's operators behind a guard: an axis that does not exist, a panic, or a constant that
//! grows out of proportion is an error that names the node.

use super::attributes::unread_by_tract;
use super::keep::{STOCK, node_name};
use crate::guard::{spend, tensor_bytes, without_panic};
use tract_onnx::model::{Onnx, ParsingContext};
use tract_onnx::pb;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::tract_data::TooEarly;
use tract_onnx::tract_hir::infer::*;

type Facts = TVec<InferenceFact>;

/// tract with each of its operators guarded.
pub fn guarded_tract() -> Onnx {
    let mut framework = tract_onnx::onnx();
    for (operator, builder) in &mut framework.op_register.0 {
        // A constant is what it is.
        if operator.as_str() != "Constant" {
            *builder = guard;
        }
    }
    framework
}

fn guard(
    context: &ParsingContext<'_>,
    node: &pb::NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let stock = STOCK.op_register.0.get(&node.op_type);
    let stock = stock.with_context(|| format!("tract has no {}", node.op_type))?;
    if let Some(why) = unread_by_tract(node) {
        bail!("{} ({}): {why}", node_name(node), node.op_type);
    }
    window_fits(node)?;
    let resize_10 = node.op_type == "Resize" && context.onnx_operator_set_version < 11;
    if resize_10 && !mode_is(node, "linear") {
        bail!(
            "{} (Resize): tract rounds otherwise than ONNX Runtime in operator set 10; export it \
             with a newer one",
            node_name(node)
        );
    }
    let (inner, closures) = stock(context, node)?;
    Ok((Box::new(Guarded::new(inner, node)), closures))
}

/// That a window has no more positions than a file of this size may ask for: tract lists them.
///
/// # Errors
///
/// With the window.
pub fn window_fits(node: &pb::NodeProto) -> TractResult<()> {
    let given = node
        .attribute
        .iter()
        .find(|given| given.name == "kernel_shape");
    let Some(window) = given.map(|given| &given.ints) else {
        return Ok(());
    };
    let extents = window.iter().map(|extent| extent.unsigned_abs());
    if tensor_bytes(extents, POSITION).is_some_and(spend) {
        return Ok(());
    }
    bail!(
        "`{}` ({}): its kernel_shape {window:?} is larger than a file of this size may ask for",
        node_name(node),
        node.op_type
    )
}

/// Bytes that tract takes for each position of a window.
const POSITION: u64 = 32;

/// Operators whose output is as long as a number says that they read, which no rule bounds.
const AS_LONG_AS_READ: &[&str] = &[
    "BlackmanWindow",
    "DFT",
    "HammingWindow",
    "HannWindow",
    "MelWeightMatrix",
    "STFT",
];

/// The largest such number.
const LONGEST: i64 = 1 << 20;

fn mode_is(node: &pb::NodeProto, mode: &str) -> bool {
    let given = node.attribute.iter().find(|given| given.name == "mode");
    given.is_some_and(|given| given.s == mode.as_bytes())
}

/// One of tract's operators.
#[derive(Clone, Debug)]
pub struct Guarded {
    inner: Box<dyn InferenceOp>,
    node: Arc<pb::NodeProto>,
}

impl Guarded {
    /// The operator `inner` of `node`.
    pub fn new(inner: Box<dyn InferenceOp>, node: &pb::NodeProto) -> Self {
        // What is read of it is small: neither a weight nor a graph is copied.
        let small = |given: &&pb::AttributeProto| {
            given.t.is_none() && given.g.is_none() && given.graphs.is_empty()
        };
        let attribute = node.attribute.iter().filter(small);
        Guarded {
            inner,
            node: Arc::new(pb::NodeProto {
                name: node_name(node),
                op_type: node.op_type.clone(),
                attribute: attribute.cloned().collect(),
                ..Default::default()
            }),
        }
    }

    fn title(&self) -> String {
        format!("`{}` ({})", self.node.name, self.node.op_type)
    }

    /// Runs `work` with a panic as an error.
    fn safely<T>(&self, work: impl FnOnce() -> TractResult<T>) -> TractResult<T> {
        match without_panic(work) {
            Ok(outcome) => outcome,
            Err(why) => bail!("{}: tract cannot work it out ({why})", self.title()),
        }
    }

    /// Every axis that the node names exists in what it reads.
    fn axes_exist(&self, inputs: &[&InferenceFact]) -> TractResult<()> {
        let rank = inputs
            .first()
            .and_then(|fact| fact.shape.rank().concretize());
        let Some(rank) = rank.filter(|&rank| rank >= 0) else {
            return Ok(());
        };
        // How far the axes of these operators reach beyond the last one.
        let more = match self.node.op_type.as_str() {
            "ArgMax" | "ArgMin" | "Concat" | "Gather" | "GatherElements" | "Hardmax"
            | "LayerNormalization" | "LogSoftmax" | "LpNormalization" | "ReduceL1" | "ReduceL2"
            | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax" | "ReduceMean" | "ReduceMin"
            | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" | "ScatterElements" | "Softmax"
            | "Split" | "Squeeze" | "TopK" => 0,
            "Flatten" | "OneHot" => 1,
            "Transpose" => return self.permutes(rank),
            _ => return Ok(()),
        };
        let named = |name: &str| self.node.attribute.iter().find(|given| given.name == name);
        let mut axes: Vec<i64> = named("axis").iter().map(|given| given.i).collect();
        axes.extend(named("axes").iter().flat_map(|given| &given.ints));
        for axis in axes {
            if !(-rank - more..rank + more).contains(&axis) {
                bail!(
                    "{}: its axis {axis} does not exist in {rank} dimensions",
                    self.title()
                );
            }
        }
        Ok(())
    }

    fn permutes(&self, rank: i64) -> TractResult<()> {
        let Some(given) = self
            .node
            .attribute
            .iter()
            .find(|given| given.name == "perm")
        else {
            return Ok(());
        };
        let mut sorted = given.ints.clone();
        sorted.sort_unstable();
        if sorted.iter().copied().eq(0..rank) {
            return Ok(());
        }
        bail!(
            "{}: its perm {:?} is no permutation of {rank} dimensions",
            self.title(),
            given.ints
        )
    }

    /// The value of every input, where all are known.
    fn known(facts: &Facts) -> Option<TVec<TValue>> {
        let known = facts.iter().map(|fact| {
            let value = fact.value.concretize()?;
            value.is_plain_ram().then(|| value.into_tvalue())
        });
        known.collect()
    }

    /// Bytes of the outputs, as far as they are known.
    fn bytes(facts: &Facts) -> Option<u64> {
        facts.iter().try_fold(0u64, |sum, fact| {
            let shape = match fact.shape.concretize() {
                Some(shape) => shape,
                None => return Some(sum),
            };
            let shape = shape.iter().map(|dim| dim.to_usize().unwrap_or(1) as u64);
            let element = fact
                .datum_type
                .concretize()
                .map_or(8, |kind| kind.size_of());
            sum.checked_add(tensor_bytes(shape, element as u64)?)
        })
    }
}

impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.node, &other.node)
    }
}

impl Eq for Guarded {}

impl Op for Guarded {
    fn name(&self) -> StaticName {
        self.inner.name()
    }

    fn mints_runtime_symbols(&self) -> bool {
        self.inner.mints_runtime_symbols()
    }

    not_a_typed_op!();
}

impl EvalOp for Guarded {
    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        self.safely(|| self.inner.eval_out_of_plan(inputs))
    }

    fn state(&self, context: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
        self.inner.state(context)
    }
}

impl InferenceOp for Guarded {
    fn infer_facts(
        &mut self,
        inputs: TVec<&InferenceFact>,
        outputs: TVec<&InferenceFact>,
        observed: TVec<&InferenceFact>,
    ) -> TractResult<(Facts, Facts, Facts)> {
        self.axes_exist(&inputs)?;
        let mut inner = self.inner.clone();
        let inferred = self.safely(|| inner.infer_facts(inputs, outputs, observed));
        self.inner = inner;
        inferred
    }

    fn infer(
        &mut self,
        inputs: TVec<&InferenceFact>,
        outputs: TVec<&InferenceFact>,
        observed: TVec<&InferenceFact>,
    ) -> TractResult<(Facts, Facts, Facts)> {
        // tract visits a node again whenever something around it has changed.
        let done = outputs.iter().all(|fact| fact.value.is_concrete());
        let (inputs, outputs, observed) = self.infer_facts(inputs, outputs, observed)?;
        let values = match Self::known(&inputs) {
            Some(values) if !values.is_empty() && !done => values,
            _ => return Ok((inputs, outputs, observed)),
        };
        if let Some(why) = unread_by_tract(&self.node) {
            bail!("{}: {why}", self.title());
        }
        if !Self::bytes(&outputs).is_some_and(spend) {
            bail!(
                "{}: the constant that it makes is larger than a file of this size may ask for",
                self.title()
            );
        }
        let long = |value: &TValue| {
            let numbers = value.cast_to::<i64>().ok();
            numbers.is_some_and(|numbers| {
                let view = numbers.to_plain_array_view::<i64>();
                view.is_ok_and(|view| view.iter().any(|number| *number > LONGEST))
            })
        };
        let operator = self.node.op_type.as_str();
        if AS_LONG_AS_READ.contains(&operator) && values.iter().any(long) {
            bail!(
                "{}: more than {LONGEST} values are not supported",
                self.title()
            );
        }
        match self.eval_out_of_plan(values) {
            Ok(Some(values)) => {
                let facts = values
                    .into_iter()
                    .map(|value| value.into_arc_tensor().try_into());
                Ok((inputs, facts.collect::<TractResult<Facts>>()?, observed))
            }
            Ok(None) => Ok((inputs, outputs, observed)),
            Err(error) if error.root_cause().is::<TooEarly>() => Ok((inputs, outputs, observed)),
            Err(error) => Err(error),
        }
    }

    fn observe_outlets(
        &self,
        model: &InferenceModel,
        node: &InferenceNode,
    ) -> TractResult<Vec<OutletId>> {
        self.inner.observe_outlets(model, node)
    }

    fn incorporate(
        &self,
        model: &InferenceModel,
        node: &InferenceNode,
    ) -> TractResult<Option<InferenceModelPatch>> {
        self.inner.incorporate(model, node)
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

    fn to_typed(
        &self,
        source: &InferenceModel,
        node: &InferenceNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        self.safely(|| self.inner.to_typed(source, node, target, mapping))
    }
}
