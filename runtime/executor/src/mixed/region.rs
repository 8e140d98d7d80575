//! An integer region as one operator of tract.

use crate::engine::EngineModel;
use crate::onnx::datum_type;
use crate::{ModelError, TensorInfo};
use sanderling_plan::Dtype;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tract_onnx::model::ParsingContext;
use tract_onnx::pb;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_hir::infer::*;
use tract_onnx::tract_hir::internal::{Expansion, expand};

/// A region's plan in an engine with an arena of its own.
#[derive(Debug)]
pub(crate) struct Region {
    /// What goes in.
    pub(crate) inputs: Vec<TensorInfo>,
    /// What comes out.
    pub(crate) outputs: Vec<TensorInfo>,
    engine: Mutex<EngineModel>,
}

impl Region {
    fn load(name: &str, plan: &[u8]) -> Result<Self, ModelError> {
        let model = EngineModel::load(name, plan)?;
        Ok(Region {
            inputs: model.inputs.clone(),
            outputs: model.outputs.clone(),
            engine: Mutex::new(model),
        })
    }

    /// Runs the plan's golden vectors; answers how many there were.
    pub(super) fn self_test(&self, name: &str) -> Result<usize, ModelError> {
        let mut model = self.lock();
        (model.engine.self_test()).map_err(|source| ModelError::SelfTest {
            name: name.to_owned(),
            source,
        })?;
        Ok(model.engine.plan().golden_count())
    }

    /// Inputs are written before every run, so that one that broke off leaves nothing.
    fn lock(&self) -> MutexGuard<'_, EngineModel> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let mut model = self.lock();
        let engine = &mut model.engine;
        ensure!(inputs.len() == self.inputs.len(), "it has other inputs");
        for (index, (input, info)) in inputs.iter().zip(&self.inputs).enumerate() {
            let narrow;
            let bytes = if is_index(info) && input.datum_type() == i64::datum_type() {
                narrow = narrowed(input)?;
                narrow.as_bytes()
            } else {
                input.as_bytes()
            };
            let place = engine.input_mut(index).unwrap_or_default();
            ensure!(place.len() == bytes.len(), "input {index} changed its size");
            place.copy_from_slice(bytes);
        }
        engine.run().map_err(|error| format_err!("{error}"))?;
        let mut outputs = TVec::new();
        for (index, info) in self.outputs.iter().enumerate() {
            let bytes = engine.output(index).unwrap_or_default();
            let mut tensor = Tensor::zero_dt(datum_type(info.dtype), &info.shape)?;
            let place = tensor.as_bytes_mut();
            ensure!(
                place.len() == bytes.len(),
                "output {index} changed its size"
            );
            place.copy_from_slice(bytes);
            outputs.push(tensor.into_tvalue());
        }
        Ok(outputs)
    }
}

/// Whether ONNX may have 64 bits where the plan has 32.
fn is_index(info: &TensorInfo) -> bool {
    info.dtype == Dtype::I32
}

/// Indices as a plan has them. One that does not fit is none of any tensor, and stays none.
fn narrowed(indices: &Tensor) -> TractResult<Tensor> {
    let wide = indices.to_plain_array_view::<i64>()?;
    let narrow = wide.mapv(|index| index.clamp(i32::MIN.into(), i32::MAX.into()) as i32);
    Ok(Tensor::from(narrow))
}

/// Reads a region's node: its plan is checked here, as every plan is.
pub(super) fn read(
    _: &ParsingContext<'_>,
    node: &pb::NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let plan = sanderling_compiler::regions::plan_of(node).context("it has no plan")?;
    let region = Region::load(&node.name, plan).map_err(|error| format_err!("{error}"))?;
    let region = Arc::new(region);
    Ok((expand(RegionOp { region }), vec![]))
}

/// The operator, before and after tract has its types.
#[derive(Clone, Debug)]
pub(super) struct RegionOp {
    region: Arc<Region>,
}

impl RegionOp {
    pub(super) fn region(&self) -> Arc<Region> {
        self.region.clone()
    }
}

impl Expansion for RegionOp {
    fn name(&self) -> StaticName {
        sanderling_compiler::regions::OPERATOR.into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.region.outputs.len())
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        let region = &self.region;
        for (info, proxy) in region.outputs.iter().zip(outputs) {
            solver.equals(&proxy.datum_type, datum_type(info.dtype))?;
        }
        let sides = [(&region.inputs, inputs), (&region.outputs, outputs)];
        for (infos, proxies) in sides {
            ensure!(infos.len() == proxies.len(), "its node has other values");
            for (info, proxy) in infos.iter().zip(proxies) {
                let shape: TVec<TDim> = info.shape.iter().map(|&n| n.to_dim()).collect();
                solver.equals(&proxy.shape, shape)?;
                if !is_index(info) {
                    solver.equals(&proxy.datum_type, datum_type(info.dtype))?;
                }
            }
        }
        Ok(())
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }

    fn runs_out_of_plan(&self) -> bool {
        false
    }
}

impl PartialEq for RegionOp {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.region, &other.region)
    }
}

impl Eq for RegionOp {}

impl Op for RegionOp {
    fn name(&self) -> StaticName {
        sanderling_compiler::regions::OPERATOR.into()
    }

    op_as_typed_op!();
}

impl EvalOp for RegionOp {
    not_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        self.region.run(&inputs)
    }
}

impl TypedOp for RegionOp {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let fact = |info: &TensorInfo| datum_type(info.dtype).fact(&info.shape);
        Ok(self.region.outputs.iter().map(fact).collect())
    }

    as_op!();
}
