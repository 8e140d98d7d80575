//! A model as steps over buffers, before anything has its place.
//!
//! The matching stage builds a [`Program`]; the memory planner gives its buffers their
//! offsets; emission writes it down as a plan. A [`Tensor`] is a typed view of a whole
//! [`Buffer`]: reshapes are two tensors over one buffer.

use crate::error::{CompileError, Refusal};
use crate::tables::Table;
use sanderling_plan::packing::winograd;
use sanderling_plan::step as plan;
use sanderling_plan::tensor::MAX_RANK;
use sanderling_plan::{Dtype, Operator, Target};

/// Index of a buffer in [`Program::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

/// Index of a tensor in [`Program::tensors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// Bytes that tensors view.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Length in bytes.
    pub bytes: usize,
    /// The content, for buffers that are constants; others live in the arena.
    pub constant: Option<Vec<u8>>,
}

/// A typed view of a whole buffer.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// The ONNX value it stands for.
    pub name: String,
    /// Element type as stored.
    pub dtype: Dtype,
    /// Dimensions in stored order, at most six.
    pub shape: Vec<usize>,
    /// The bytes it views.
    pub buffer: BufferId,
    /// Real value of one step; 0 where it is not quantized.
    pub scale: f32,
    /// Stored value that stands for real 0.
    pub zero_point: i32,
}

impl Tensor {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Length in bytes.
    pub fn bytes(&self) -> usize {
        self.elements() * self.dtype.bytes()
    }
}

/// What a step computes: the plan's operator with its constants still at hand. Offsets
/// of constants inside the parameters are 0 until emission.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Convolution; weights are `[out][kh][kw][in / groups]`, or `[kh][kw][out]`.
    Conv {
        /// Geometry, zero points, clamp.
        parameters: plan::Conv,
        /// Whether weights are `[kh][kw][out]` and the step is a depthwise one.
        depthwise: bool,
        /// Weights and what follows their products.
        affine: Affine,
    },
    /// Convolution by Winograd's algorithm; one group of 3×3 kernels, stride 1. Weights are
    /// `[out][kh][kw][in]`, emission transforms them.
    Winograd {
        /// Padding, zero points, clamp.
        parameters: plan::Conv,
        /// Weights and what follows their products.
        affine: Affine,
    },
    /// Matrix product with constant weights `[out][k]`.
    FullyConnected {
        /// Zero points, clamp.
        parameters: plan::FullyConnected,
        /// Weights and what follows their products.
        affine: Affine,
    },
    /// A 256-entry table.
    Lookup {
        /// `table[x as u8]`.
        table: [u8; 256],
    },
    /// Softmax over the last axis.
    Softmax {
        /// Scale and zero point of the output.
        parameters: plan::Softmax,
        /// Scaled exponentials.
        table: Vec<f32>,
    },
    /// Nearest-neighbour resize.
    ResizeNearest {
        /// Which input row, by output row.
        rows: Vec<u16>,
        /// Which input column, by output column.
        columns: Vec<u16>,
    },
    /// An operator with constant tables, in the order of the fields that say where they lie.
    Tabled {
        /// Its parameters.
        operator: Operator,
        /// Its constants.
        tables: Vec<Table>,
    },
    /// An operator without constants: add, mul, pools, reduce, copy, fill, borders.
    Plain(Operator),
}

/// Weights, biases and multipliers of a convolution or matrix product.
#[derive(Clone, Debug)]
pub struct Affine {
    /// Row-major; emission packs them for a target.
    pub weights: Vec<i8>,
    /// Zero points folded in, one for each output channel.
    pub bias: Vec<i32>,
    /// Input scale · weight scale / output scale, one for each output channel.
    pub multipliers: Vec<f32>,
}

impl Operation {
    /// Bytes of its constants.
    pub fn constant_bytes(&self) -> usize {
        let affine = |a: &Affine| a.weights.len() + 4 * (a.bias.len() + a.multipliers.len());
        match self {
            Self::Conv { affine: a, .. } | Self::FullyConnected { affine: a, .. } => affine(a),
            Self::Winograd { affine: a, .. } => {
                let inputs = a.weights.len() / (9 * a.bias.len()).max(1);
                let transformed = winograd::weight_bytes(a.bias.len(), inputs);
                transformed.map_or(usize::MAX, |bytes| bytes + 8 * a.bias.len())
            }
            Self::Lookup { table } => table.len(),
            Self::Softmax { table, .. } => 4 * table.len(),
            Self::ResizeNearest { rows, columns } => 2 * (rows.len() + columns.len()),
            Self::Tabled { tables, .. } => tables.iter().map(Table::len).sum(),
            Self::Plain(_) => 0,
        }
    }

    /// Whether every real parameter is a finite number.
    pub fn is_finite(&self) -> bool {
        let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
        match self {
            Self::Conv { affine, .. }
            | Self::Winograd { affine, .. }
            | Self::FullyConnected { affine, .. } => finite(&affine.multipliers),
            Self::Softmax { parameters, table } => {
                parameters.inverse_scale.is_finite() && finite(table)
            }
            Self::Tabled { operator, tables } => {
                let scales = match operator {
                    Operator::ResizeLinear(p) => vec![p.scale_x, p.scale_y],
                    Operator::LayerNorm(p) => vec![p.scale_x, p.scale_y, p.epsilon],
                    Operator::RealConv(p) => vec![p.scale_z, p.low, p.high, p.scale_y],
                    Operator::RealProduct(p) => vec![p.low, p.high, p.scale_y],
                    _ => vec![],
                };
                finite(&scales) && tables.iter().all(Table::is_finite)
            }
            Self::Plain(operator) => match operator {
                Operator::Add(p) => finite(&[p.ratio_a, p.ratio_b, p.fixed]),
                Operator::Mul(p) => finite(&[p.ratio, p.offset]),
                Operator::ReduceMean(p) => p.multiplier.is_finite(),
                Operator::MatMul(p) => p.multiplier.is_finite(),
                Operator::WidePair(p) => finite(&[p.scale_a, p.scale_b, p.scale_y]),
                Operator::WideRequantize(p) => finite(&[p.scale_x, p.scale_y]),
                Operator::SoftmaxReal(p) => p.scale.is_finite(),
                Operator::RealPair(p) => finite(&[p.scale_a, p.scale_b, p.low, p.high, p.scale_y]),
                Operator::RealMean(p) => finite(&[p.scale_x, p.divisor, p.scale_y]),
                Operator::RealMap(p) => finite(&[p.alpha, p.beta, p.scale_y]),
                _ => true,
            },
            Self::Lookup { .. } | Self::ResizeNearest { .. } => true,
        }
    }

    /// Whether the output may take the bytes of an input that dies here.
    pub fn works_in_place(&self) -> bool {
        match self {
            Self::Lookup { .. } | Self::Softmax { .. } => true,
            Self::Plain(operator) => operator.works_in_place(),
            _ => false,
        }
    }
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// The ONNX node it comes from.
    pub name: String,
    /// What it computes.
    pub operation: Operation,
    /// What it reads, at most three.
    pub inputs: Vec<TensorId>,
    /// What it writes. Several steps may write parts of one tensor (concat, pad).
    pub output: TensorId,
    /// Bytes of scratch it needs in the arena whatever the target; kernels of
    /// convolutions and matrix products need more: [`Program::scratch_bytes`].
    pub scratch_bytes: usize,
    /// Multiply-accumulate operations.
    pub macs: u64,
}

/// Convolutions that run row by row, see [`sanderling_plan::step::stream`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Steps in a row.
    pub steps: std::ops::Range<usize>,
    /// Rows that are kept of what each but the last of them writes.
    pub rows: Vec<usize>,
}

/// The whole model.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// All tensors.
    pub tensors: Vec<Tensor>,
    /// Steps in the order they run.
    pub steps: Vec<Step>,
    /// Which of the steps run row by row together.
    pub streams: Vec<Stream>,
    /// The model's inputs, in the order of the ONNX file.
    pub inputs: Vec<TensorId>,
    /// The model's outputs, in the order of the ONNX file.
    pub outputs: Vec<TensorId>,
}

impl Program {
    /// The tensor called `id`.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }

    /// The stream that step number `index` belongs to.
    pub fn stream_of(&self, index: usize) -> Option<&Stream> {
        self.streams
            .iter()
            .find(|stream| stream.steps.contains(&index))
    }

    /// Bytes of scratch that `step` needs, packed for `target`; `overlaps` where its output
    /// takes bytes of its input.
    pub fn scratch_bytes(&self, step: &Step, target: Target, overlaps: bool) -> usize {
        let input = step
            .inputs
            .first()
            .map(|&id| self.tensor(id).shape.as_slice());
        let bytes = match (&step.operation, input) {
            (
                Operation::Conv {
                    parameters,
                    depthwise,
                    ..
                },
                Some(&[n, h, w, c]),
            ) => parameters
                .scratch(target, [n, h, w, c].map(|n| n as u32), *depthwise, overlaps)
                .and_then(|scratch| scratch.bytes()),
            (Operation::Winograd { parameters, .. }, Some(&[n, h, w, c])) => {
                let width = self
                    .tensor(step.output)
                    .shape
                    .get(2)
                    .map_or(0, |&w| w as u32);
                crate::winograd::parameters(parameters)
                    .scratch([n, h, w, c].map(|n| n as u32), width, overlaps)
                    .and_then(|scratch| scratch.bytes())
            }
            (Operation::FullyConnected { parameters, .. }, Some(&[.., k])) => {
                parameters.scratch_bytes(target, k)
            }
            _ => Some(step.scratch_bytes),
        };
        // What does not fit any memory fits no arena either.
        bytes.unwrap_or(usize::MAX / 4)
    }

    /// Adds a tensor over a buffer of its own.
    pub fn add_tensor(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: Vec<usize>,
        scale: f32,
        zero_point: i32,
    ) -> TensorId {
        let bytes = shape.iter().product::<usize>() * dtype.bytes();
        let buffer = BufferId(self.buffers.len());
        self.buffers.push(Buffer {
            bytes,
            constant: None,
        });
        self.push(Tensor {
            name: name.to_owned(),
            dtype,
            shape,
            buffer,
            scale,
            zero_point,
        })
    }

    /// Adds a constant `i8` tensor.
    pub fn add_constant(
        &mut self,
        name: &str,
        shape: Vec<usize>,
        values: &[i8],
        scale: f32,
        zero_point: i32,
    ) -> TensorId {
        let id = self.add_tensor(name, Dtype::I8, shape, scale, zero_point);
        let buffer = self.tensors[id.0].buffer;
        self.buffers[buffer.0].constant = Some(values.iter().map(|&v| v as u8).collect());
        id
    }

    /// Whether a tensor is a constant.
    pub fn is_constant(&self, id: TensorId) -> bool {
        self.buffers[self.tensor(id).buffer.0].constant.is_some()
    }

    /// Adds a constant `f32` tensor.
    pub fn add_real_constant(&mut self, name: &str, shape: Vec<usize>, values: &[f32]) -> TensorId {
        let id = self.add_tensor(name, Dtype::F32, shape, 0.0, 0);
        let buffer = self.tensors[id.0].buffer;
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.buffers[buffer.0].constant = Some(bytes);
        id
    }

    /// Adds another view of the buffer that `of` views, with as many elements.
    pub fn add_view(&mut self, of: TensorId, shape: Vec<usize>) -> TensorId {
        let tensor = self.tensor(of).clone();
        debug_assert_eq!(tensor.elements(), shape.iter().product::<usize>());
        if tensor.shape == shape {
            return of;
        }
        self.push(Tensor { shape, ..tensor })
    }

    /// Adds another tensor that is the same as `of`, for a second name.
    pub fn add_alias(&mut self, of: TensorId) -> TensorId {
        let tensor = self.tensor(of).clone();
        self.push(tensor)
    }

    /// Drops the steps whose results nothing reads.
    pub fn prune(&mut self) {
        let mut read: std::collections::HashSet<BufferId> = self
            .outputs
            .iter()
            .map(|&id| self.tensor(id).buffer)
            .collect();
        let mut keep = vec![false; self.steps.len()];
        for (i, step) in self.steps.iter().enumerate().rev() {
            if read.contains(&self.tensor(step.output).buffer) {
                keep[i] = true;
                read.extend(step.inputs.iter().map(|&id| self.tensor(id).buffer));
            }
        }
        let mut keep = keep.into_iter();
        self.steps.retain(|_| keep.next().unwrap_or(true));
    }

    /// Whether everything has a place in a plan's fields: at most 65,535 tensors and
    /// steps, six dimensions, and 2³¹ - 1 bytes in any tensor and in all constants.
    ///
    /// # Errors
    ///
    /// [`CompileError::TooLarge`], naming what is too large.
    pub fn check_limits(&self) -> Result<(), CompileError> {
        let largest = i32::MAX as usize;
        let too_large = |what: String| Err(CompileError::TooLarge(what));
        for tensor in &self.tensors {
            let bytes = tensor
                .shape
                .iter()
                .try_fold(tensor.dtype.bytes(), |n, &extent| n.checked_mul(extent))
                .filter(|&bytes| (1..=largest).contains(&bytes));
            if tensor.shape.len() > MAX_RANK || bytes.is_none() {
                return too_large(format!(
                    "tensor `{}` has shape {:?}",
                    tensor.name, tensor.shape
                ));
            }
        }
        if self.tensors.len() > usize::from(u16::MAX) || self.steps.len() > usize::from(u16::MAX) {
            let (tensors, steps) = (self.tensors.len(), self.steps.len());
            return too_large(format!(
                "{tensors} tensors and {steps} steps; 65,535 are possible"
            ));
        }
        let not_finite: Vec<Refusal> = self
            .steps
            .iter()
            .filter(|step| !step.operation.is_finite())
            .map(|step| {
                let why = "its scales are so far apart that their ratio is not a finite number";
                Refusal::new(&step.name, "scales", why)
            })
            .collect();
        if !not_finite.is_empty() {
            return Err(CompileError::Unplaced(not_finite));
        }
        let constants: usize = self
            .buffers
            .iter()
            .filter(|b| b.constant.is_some())
            .map(|b| b.bytes)
            .sum();
        let weights: usize = self
            .steps
            .iter()
            .map(|step| step.operation.constant_bytes())
            .sum();
        if constants.saturating_add(weights) > largest / 2 {
            return too_large("more than 1 GB of constants".to_owned());
        }
        Ok(())
    }

    fn push(&mut self, tensor: Tensor) -> TensorId {
        let id = TensorId(self.tensors.len());
        self.tensors.push(tensor);
        id
    }
}
