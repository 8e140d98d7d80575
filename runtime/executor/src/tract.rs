//! An ONNX file in tract.
//!
//! tract computes a quantized graph in float, one DequantizeLinear and QuantizeLinear
//! around each operator. Its optimizer is kept away from such graphs: it folds
//! `DequantizeLinear → Softmax → QuantizeLinear` into a table, as if softmax were
//! elementwise.

use crate::guard::without_panic;
use crate::onnx::{Onnx, datum_type, not_a_dtype, refused};
use crate::{AlignedBytes, ModelError, TensorInfo};
use sanderling_compiler::CompileError;
use sanderling_compiler::guard::Budget;
use sanderling_plan::Dtype;
use std::sync::Arc;
use tract_onnx::prelude::{
    DatumType, Framework, InferenceFact, InferenceModelExt, IntoRunnable, TVec, Tensor, TractError,
    TypedModel, TypedRunnableModel,
};
use tract_onnx::tract_core::internal::Op;

const CANNOT_RUN: &str = "cannot run it";

/// A model in tract, with a buffer per input and output.
pub(crate) struct TractModel {
    name: String,
    plan: Arc<TypedRunnableModel>,
    pub(crate) inputs: Vec<TensorInfo>,
    pub(crate) outputs: Vec<TensorInfo>,
    /// By input: whether tract wants 64 bits where the buffer has 32.
    wide: Vec<bool>,
    input_bytes: Vec<AlignedBytes>,
    output_bytes: Vec<AlignedBytes>,
}

impl TractModel {
    /// Loads the file into `framework`, which is tract as it comes or with more operators.
    pub(crate) fn load(
        name: &str,
        onnx: &Onnx<'_>,
        framework: tract_onnx::Onnx,
    ) -> Result<Self, ModelError> {
        without_panic(name, "cannot load it", || {
            Self::load_in_tract(name, onnx, framework)
        })
    }

    fn load_in_tract(
        name: &str,
        onnx: &Onnx<'_>,
        framework: tract_onnx::Onnx,
    ) -> Result<Self, ModelError> {
        let fault = |what| move |error: TractError| tract_error(name, what, &error);
        let sources = onnx.inputs()?;
        // Shapes that the file states for values inside may name the open batch, which is
        // fixed here; all of them follow from the inputs.
        let budget = Budget {
            file: onnx.bytes.len() as u64,
        };
        let framework = framework.with_ignore_value_info(true);
        let mut graph = budget
            .apply(|| framework.model_for_proto_model(&onnx.model))
            .map_err(fault("cannot read it"))?;
        for (index, source) in sources.iter().enumerate() {
            let datum = match source.is_wide {
                true => DatumType::I64,
                false => datum_type(source.dtype),
            };
            let fact = InferenceFact::dt_shape(datum, &source.shape);
            graph
                .set_input_fact(index, fact)
                .map_err(fault("cannot set its inputs"))?;
        }
        let typed = budget.apply(|| graph.into_typed());
        let typed = typed.map_err(fault("cannot type its graph"))?;
        within(name, &typed, budget)?;
        let typed = match onnx.quantized_node() {
            None => typed
                .into_optimized()
                .map_err(fault("cannot optimize it"))?,
            Some(_) => typed,
        };
        let wide = sources.iter().map(|source| source.is_wide).collect();
        let inputs: Vec<TensorInfo> = sources
            .into_iter()
            .map(|s| float_info(s.name, s.dtype, s.shape))
            .collect();
        let mut outputs = Vec::new();
        for (index, output) in onnx.outputs().into_iter().enumerate() {
            let fact = typed
                .output_fact(index)
                .map_err(fault("cannot find its outputs"))?;
            let tensor_fault = |why| ModelError::Tensor {
                name: name.to_owned(),
                tensor: output.clone(),
                why,
            };
            let datum = match fact.datum_type.unquantized() {
                DatumType::I64 => DatumType::I32,
                other => other,
            };
            let dtype = Dtype::ALL
                .into_iter()
                .find(|&d| datum_type(d) == datum)
                .ok_or_else(|| tensor_fault(not_a_dtype(&format!("{:?}", fact.datum_type))))?;
            let shape = fact
                .shape
                .as_concrete()
                .ok_or_else(|| tensor_fault(format!("has the unknown shape {:?}", fact.shape)))?;
            outputs.push(float_info(output, dtype, shape.to_vec()));
        }
        let buffers = |infos: &[TensorInfo]| {
            infos
                .iter()
                .map(|info| AlignedBytes::zeroed(info.bytes()))
                .collect()
        };
        Ok(TractModel {
            name: name.to_owned(),
            plan: typed
                .into_runnable()
                .map_err(fault("cannot order its steps"))?,
            wide,
            input_bytes: buffers(&inputs),
            output_bytes: buffers(&outputs),
            inputs,
            outputs,
        })
    }

    /// Every operator of the type `T` that the model runs.
    pub(crate) fn operators<T: Op>(&self) -> impl Iterator<Item = &T> {
        (self.plan.model().nodes().iter()).filter_map(|node| node.op_as::<T>())
    }

    pub(crate) fn input_mut(&mut self, index: usize) -> Option<&mut [u8]> {
        self.input_bytes.get_mut(index).map(AsMut::as_mut)
    }

    pub(crate) fn output(&self, index: usize) -> Option<&[u8]> {
        self.output_bytes.get(index).map(AsRef::as_ref)
    }

    pub(crate) fn run(&mut self) -> Result<(), ModelError> {
        let name = self.name.clone();
        without_panic(&name, CANNOT_RUN, || self.run_in_tract())
    }

    fn run_in_tract(&mut self) -> Result<(), ModelError> {
        let fault = |error: TractError| tract_error(&self.name, CANNOT_RUN, &error);
        let mut feed = TVec::new();
        let inputs = self.inputs.iter().zip(&self.input_bytes);
        for ((info, bytes), &wide) in inputs.zip(&self.wide) {
            let mut tensor = Tensor::zero_dt(datum_type(info.dtype), &info.shape).map_err(fault)?;
            tensor.as_bytes_mut().copy_from_slice(bytes.as_ref());
            if wide {
                tensor = tensor
                    .cast_to_dt(DatumType::I64)
                    .map_err(fault)?
                    .into_owned();
            }
            feed.push(tensor.into());
        }
        let answers = self.plan.run(feed).map_err(fault)?;
        for (buffer, answer) in self.output_bytes.iter_mut().zip(&answers) {
            let narrow = match answer.datum_type() {
                DatumType::I64 => Some(answer.cast_to_dt(DatumType::I32).map_err(fault)?),
                _ => None,
            };
            let answer: &Tensor = narrow.as_deref().unwrap_or(answer);
            let (buffer, bytes) = (buffer.as_mut(), answer.as_bytes());
            if buffer.len() != bytes.len() {
                let why = "an output changed its shape".to_owned();
                return Err(ModelError::Tract {
                    name: self.name.clone(),
                    what: CANNOT_RUN,
                    why,
                });
            }
            buffer.copy_from_slice(bytes);
        }
        Ok(())
    }
}

/// No tensor of the graph takes more than a file of this size may ask for.
fn within(name: &str, graph: &TypedModel, budget: Budget) -> Result<(), ModelError> {
    for node in graph.nodes() {
        for output in &node.outputs {
            let bytes = output.fact.mem_size().to_i64().unwrap_or(0);
            if !(0..=budget.tensor() as i64).contains(&bytes) {
                let shape = output.fact.shape.iter().map(|dim| dim.to_string());
                return Err(refused(name)(CompileError::Oversized {
                    what: format!(
                        "`{}` of [{}]",
                        node.name,
                        shape.collect::<Vec<_>>().join(", ")
                    ),
                    limit: budget.tensor(),
                    unit: "bytes",
                    file: budget.file,
                }));
            }
        }
    }
    Ok(())
}

fn float_info(name: String, dtype: Dtype, shape: Vec<usize>) -> TensorInfo {
    TensorInfo {
        name,
        dtype,
        shape,
        scale: 0.0,
        zero_point: 0,
    }
}

/// tract's chain of causes in one line, the cause last.
fn tract_error(name: &str, what: &'static str, error: &TractError) -> ModelError {
    let causes: Vec<String> = error
        .chain()
        .map(|cause| {
            cause
                .to_string()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    ModelError::Tract {
        name: name.to_owned(),
        what,
        why: causes.join(": "),
    }
}
