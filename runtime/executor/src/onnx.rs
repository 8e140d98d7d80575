//! What an ONNX file is before anybody runs it: its inputs, its outputs, and whether it
//! is quantized.

use crate::ModelError;
use crate::guard::without_panic;
use sanderling_compiler::import::explicit_types;
use sanderling_compiler::{CompileError, Options, import};
use sanderling_plan::{Dtype, Target};
use tract_onnx::pb;
use tract_onnx::prelude::Framework;
use tract_onnx::tract_hir::internal::DatumType;

/// An ONNX file starts with the tag of its field `ir_version`.
const FIRST_BYTE: u8 = 0x08;

/// A parsed ONNX file.
pub(crate) struct Onnx<'a> {
    pub(crate) name: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) model: pb::ModelProto,
    /// Inputs that nothing reads, which are not in the model.
    pub(crate) unread: Vec<String>,
}

/// An input that a frame is written to.
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// Whether the file says `int64`, which is fed in 32 bits.
    pub(crate) is_wide: bool,
}

impl<'a> Onnx<'a> {
    /// Parses `bytes`; `name` is for messages.
    pub(crate) fn parse(name: &'a str, bytes: &'a [u8]) -> Result<Self, ModelError> {
        let not_a_model = || ModelError::NotAModel {
            name: name.to_owned(),
        };
        let mut model = tract_onnx::onnx()
            .proto_model_for_read(&mut &bytes[..])
            .map_err(|_| match bytes.first() {
                Some(&FIRST_BYTE) => ModelError::DamagedOnnx {
                    name: name.to_owned(),
                },
                _ => not_a_model(),
            })?;
        // Protobuf takes many bytes that mean nothing, an empty file among them.
        let graph = match &model.graph {
            Some(graph) if !graph.node.is_empty() && !graph.output.is_empty() => graph,
            _ => return Err(not_a_model()),
        };
        let missing = graph.output.iter().find(|o| !is_computed(graph, &o.name));
        if let Some(output) = missing {
            return Err(ModelError::Tensor {
                name: name.to_owned(),
                tensor: output.name.clone(),
                why: "is an output that no node computes; export the model again".to_owned(),
            });
        }
        let unread = import::prepare(&mut model, bytes.len()).map_err(refused(name))?;
        // What tract does not read, it would compute otherwise.
        if let Some(graph) = &mut model.graph {
            explicit_types(graph).map_err(refused(name))?;
        }
        Ok(Onnx {
            name,
            bytes,
            model,
            unread,
        })
    }

    /// That tract has all of the operators, or which it has not.
    pub(crate) fn known_to_tract(&self) -> Result<(), ModelError> {
        let unknown = import::unknown_operators(&self.model);
        if unknown.is_empty() {
            return Ok(());
        }
        let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
        Err(ModelError::Tract {
            name: self.name.to_owned(),
            what: "cannot read it",
            why: unknown.join("; "),
        })
    }

    /// The graph.
    pub(crate) fn graph(&self) -> impl Iterator<Item = &pb::GraphProto> {
        self.model.graph.iter()
    }

    /// The first node that quantizes, as `name (operator)`; `None` in a float graph.
    pub(crate) fn quantized_node(&self) -> Option<String> {
        let node = self
            .graph()
            .flat_map(|g| &g.node)
            .find(|n| quantizes(&n.op_type))?;
        let name = if node.name.is_empty() {
            node.output.first()
        } else {
            Some(&node.name)
        };
        Some(format!(
            "{} ({})",
            name.map_or("", String::as_str),
            node.op_type
        ))
    }

    /// Inputs that are not weights, with a symbolic batch taken as 1.
    pub(crate) fn inputs(&self) -> Result<Vec<Input>, ModelError> {
        let is_weight = |name: &str| {
            self.graph()
                .flat_map(|g| &g.initializer)
                .any(|w| w.name == name)
        };
        self.graph()
            .flat_map(|g| &g.input)
            .filter(|input| !is_weight(&input.name))
            .map(|input| self.input(input))
            .collect()
    }

    /// Names of the outputs.
    pub(crate) fn outputs(&self) -> Vec<String> {
        self.graph()
            .flat_map(|g| &g.output)
            .map(|output| output.name.clone())
            .collect()
    }

    /// Compiles for `target` with one golden vector.
    pub(crate) fn compile(&self, target: Target) -> Result<Vec<u8>, ModelError> {
        let options = Options {
            target,
            golden: 1,
            ..Options::default()
        };
        // The compiler reads the file by way of tract.
        without_panic(self.name, "cannot read it", || {
            sanderling_compiler::compile(self.bytes, &options)
                .map(|compiled| compiled.plan)
                .map_err(refused(self.name))
        })
    }

    fn input(&self, input: &pb::ValueInfoProto) -> Result<Input, ModelError> {
        use pb::tensor_shape_proto::dimension::Value;
        let fault = |why: String| ModelError::Tensor {
            name: self.name.to_owned(),
            tensor: input.name.clone(),
            why,
        };
        let Some(pb::type_proto::Value::TensorType(tensor)) =
            input.r#type.as_ref().and_then(|t| t.value.as_ref())
        else {
            return Err(fault(
                "has no tensor type; only tensors can be fed".to_owned(),
            ));
        };
        let elem = pb::tensor_proto::DataType::try_from(tensor.elem_type)
            .map_err(|_| fault("has an unknown element type".to_owned()))?;
        let dtype = match elem {
            pb::tensor_proto::DataType::Int8 => Dtype::I8,
            pb::tensor_proto::DataType::Uint8 => Dtype::U8,
            pb::tensor_proto::DataType::Int16 => Dtype::I16,
            // Indices: a robot's have 32 bits.
            pb::tensor_proto::DataType::Int32 | pb::tensor_proto::DataType::Int64 => Dtype::I32,
            pb::tensor_proto::DataType::Float => Dtype::F32,
            other => return Err(fault(not_a_dtype(&format!("{other:?}").to_lowercase()))),
        };
        let Some(shape) = &tensor.shape else {
            return Err(fault(
                "has no shape; export the model with fixed shapes".to_owned(),
            ));
        };
        let mut dims = Vec::new();
        for (axis, dim) in shape.dim.iter().enumerate() {
            dims.push(match &dim.value {
                Some(Value::DimValue(n)) if *n > 0 => usize::try_from(*n)
                    .map_err(|_| fault(format!("has a dimension of {n}, which is too large")))?,
                // Robots answer frame by frame: the batch is 1.
                _ if axis == 0 => 1,
                Some(Value::DimParam(symbol)) => {
                    return Err(fault(format!(
                        "has the symbolic dimension `{symbol}` at axis {axis}; \
                         export the model with every axis but the first fixed"
                    )));
                }
                _ => {
                    return Err(fault(format!(
                        "has an unknown dimension at axis {axis}; \
                         export the model with every axis but the first fixed"
                    )));
                }
            });
        }
        Ok(Input {
            name: input.name.clone(),
            dtype,
            shape: dims,
            is_wide: elem == pb::tensor_proto::DataType::Int64,
        })
    }
}

/// The compiler's error about the file `name`.
pub(crate) fn refused(name: &str) -> impl Fn(CompileError) -> ModelError {
    move |error| ModelError::Refused {
        name: name.to_owned(),
        source: Box::new(error),
    }
}

/// Whether something in the graph gives the value called `name`.
fn is_computed(graph: &pb::GraphProto, name: &str) -> bool {
    graph.node.iter().flat_map(|n| &n.output).any(|o| o == name)
        || graph.input.iter().any(|i| i.name == name)
        || graph.initializer.iter().any(|w| w.name == name)
}

/// The same dtype in tract's words.
pub(crate) fn datum_type(dtype: Dtype) -> DatumType {
    match dtype {
        Dtype::I8 => DatumType::I8,
        Dtype::U8 => DatumType::U8,
        Dtype::I16 => DatumType::I16,
        Dtype::I32 => DatumType::I32,
        Dtype::F32 => DatumType::F32,
    }
}

/// Why a tensor of type `name` can be neither fed nor read.
pub(crate) fn not_a_dtype(name: &str) -> String {
    let known: Vec<&str> = Dtype::ALL.iter().map(|d| d.name()).collect();
    format!(
        "is {name}; inputs and outputs are {}: cast it in the model",
        known.join(", ")
    )
}

fn quantizes(operator: &str) -> bool {
    operator.starts_with("QLinear")
        || matches!(
            operator,
            "QuantizeLinear"
                | "DequantizeLinear"
                | "DynamicQuantizeLinear"
                | "ConvInteger"
                | "MatMulInteger"
                | "QGemm"
        )
}
