//! Graph to program: finds the integer operator behind each group of DequantizeLinear,
//! operator, QuantizeLinear.
//!
//! Nodes are read in order and each value gets a [`Meaning`]. DequantizeLinear makes a
//! real tensor that is a *function* of a stored one; elementwise maps compose with that
//! function, and movements of data commute with it, so neither costs anything until
//! QuantizeLinear asks for integers again: then a function becomes a table, and an
//! operator with quantized operands becomes a step. What cannot be had in integers is
//! collected as a [`Refusal`], every node of the model at once.

mod activated;
mod arrange;
mod bias;
mod binary;
mod blocks;
mod borders;
mod channelwise;
mod concat;
mod conv;
mod conv_transpose;
mod extreme;
mod gather;
mod gemm;
mod in_float;
mod layer_norm;
mod line;
pub(crate) mod logistic;
mod mat_mul;
mod meaning;
mod movement;
mod operand_order;
mod pad;
mod pool;
mod reals;
mod reduce;
mod resize;
mod resize_linear;
mod softmax;
mod unary;
mod wide;
mod window;

use crate::cause::Cause;
use crate::error::{CompileError, Refusal};
use crate::graph::{Element, Graph, Node, ValueId};
use crate::program::{Operation, Program, Step, TensorId};
use crate::simplify::TWICE;
use meaning::{Mapped, Meaning, Quantization, Stored};
use reals::Finish;
use sanderling_plan::Dtype;
use std::collections::HashMap;

/// Why one node cannot be placed.
type Why = String;

/// Turns a graph into a program.
///
/// # Errors
///
/// [`CompileError::Unplaced`] with every node that has no integer form.
pub fn match_graph(graph: &Graph) -> Result<Program, CompileError> {
    // A model that quantizes nothing is not for this engine.
    run(graph, graph.nodes.iter().any(quantizes))
}

/// The same for a part of a model whose rest runs elsewhere: what is real stays there.
///
/// # Errors
///
/// As [`match_graph`].
pub fn match_part(graph: &Graph) -> Result<Program, CompileError> {
    run(graph, false)
}

fn run(graph: &Graph, floats: bool) -> Result<Program, CompileError> {
    let outputs_of = |(index, node): (usize, &Node)| {
        let outputs = node.outputs.clone().into_iter().enumerate();
        outputs.map(move |(output, value)| (value, (index, output)))
    };
    let mut matcher = Matcher {
        graph,
        program: Program::default(),
        meanings: HashMap::new(),
        refusals: Vec::new(),
        floats,
        fixed: graph.fixed(),
        producers: (graph.nodes.iter().enumerate())
            .flat_map(outputs_of)
            .collect(),
        computed: HashMap::new(),
    };
    matcher.inputs();
    for index in 0..graph.nodes.len() {
        matcher.node(index);
    }
    matcher.outputs();
    if !matcher.refusals.is_empty() {
        return Err(CompileError::Unplaced(matcher.refusals));
    }
    matcher.program.prune();
    Ok(matcher.program)
}

/// Operators that move data without changing it.
const MOVEMENTS: &[&str] = &[
    "DepthToSpace",
    "Dropout",
    "Expand",
    "Flatten",
    "Identity",
    "Pad",
    "Reshape",
    "Resize",
    "Slice",
    "SpaceToDepth",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
    TWICE,
];

/// Bounds that clamp nothing.
const OPEN: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

struct Matcher<'a> {
    graph: &'a Graph,
    program: Program,
    meanings: HashMap<ValueId, Meaning>,
    refusals: Vec<Refusal>,
    /// Whether tensors may be `f32` elsewhere than at the borders.
    floats: bool,
    /// By value: whether it depends on no input of the model.
    fixed: Vec<bool>,
    /// By value: the node that computes it, and as which output.
    producers: HashMap<ValueId, (usize, usize)>,
    /// By value: what it became already, and as what.
    computed: HashMap<ValueId, Vec<(Finish, Stored)>>,
}

impl<'a> Matcher<'a> {
    fn node(&mut self, index: usize) {
        let graph: &'a Graph = self.graph;
        let node = &graph.nodes[index];
        let refused = node
            .inputs
            .iter()
            .flatten()
            .any(|id| matches!(self.meanings.get(id), Some(Meaning::Refused)));
        let outcome = if refused {
            self.after_refusal(node)
        } else {
            self.sizes(node)
                .and_then(|()| match self.place(index, node) {
                    // What has no form of its own may still wait for what follows it.
                    Err(why) => self.real_form(index, node).ok_or(why),
                    placed => placed,
                })
        };
        let placed = outcome.is_ok();
        let meanings = outcome.unwrap_or_else(|why| {
            // Whatever stands in the way of a constant's node, the way round it is this.
            let why = match self.fixed[node.outputs[0].0] && !quantizes(node) && !refused {
                true => Cause::ComputesConstant {
                    operator: node.operator.clone(),
                }
                .into(),
                false => why,
            };
            self.refusals
                .push(Refusal::new(&node.name, &node.operator, why));
            match node.operator.as_str() {
                "QuantizeLinear" => vec![self.stand_in(node)],
                _ => vec![Meaning::Refused],
            }
        });
        for (i, &output) in node.outputs.iter().enumerate() {
            let meaning = meanings.get(i).cloned();
            if meaning.is_none() && placed && !refused && self.is_used(output) {
                let why = format!("its output number {i} is not supported");
                self.refusals
                    .push(Refusal::new(&node.name, &node.operator, why));
            }
            self.meanings
                .insert(output, meaning.unwrap_or(Meaning::Refused));
        }
    }

    /// Whether a node or the model's outputs name a value.
    fn is_used(&self, value: ValueId) -> bool {
        let reads = |node: &Node| node.inputs.contains(&Some(value));
        self.graph.nodes.iter().any(reads)
            || self
                .graph
                .outputs
                .iter()
                .any(|(_, output)| *output == value)
    }

    /// Whether one node reads what `node` computes, and it is no output of the model.
    fn has_one_reader(&self, node: &Node) -> bool {
        let Some(value) = node.outputs.first() else {
            return false;
        };
        let readings = |reader: &Node| {
            let inputs = reader.inputs.iter().flatten();
            inputs.filter(|input| *input == value).count()
        };
        let read: usize = self.graph.nodes.iter().map(readings).sum();
        read == 1 && !self.graph.outputs.iter().any(|(_, output)| output == value)
    }

    /// A node that reads what was refused is refused too, so that the list is whole; from
    /// QuantizeLinear on, integers could go on, and what follows is judged by itself.
    fn after_refusal(&mut self, node: &Node) -> Result<Vec<Meaning>, Why> {
        for (input, what) in [(1, "scale"), (2, "zero point")] {
            let refused = matches!(self.meaning(node, input), Some(Meaning::Refused));
            if quantizes(node) && refused {
                return Err(self.not_constant(node, input, what).into());
            }
        }
        if node.operator == "QuantizeLinear" {
            return Ok(vec![self.stand_in(node)]);
        }
        let refused = |id: &&ValueId| matches!(self.meanings.get(id), Some(Meaning::Refused));
        let value = node.inputs.iter().flatten().find(refused);
        let value = value.map(|&id| self.graph.value(id));
        Err(match value {
            Some(value) if value.element != Element::F32 => Cause::Refused {
                value: value.name.clone(),
            },
            _ => Cause::RefusedFloat,
        }
        .into())
    }

    /// A quantized tensor in the place of one that was refused. The program is never used.
    fn stand_in(&mut self, node: &Node) -> Meaning {
        if self.sizes(node).is_err() {
            return Meaning::Refused;
        }
        let shape = self.output_shape(node);
        let order = (0..shape.len()).collect();
        let element = self.graph.value(node.outputs[0]).element;
        Meaning::Stored(self.new_stored(node, shape, order, element, None))
    }

    /// Every output has elements, and no more than a plan can count.
    fn sizes(&self, node: &Node) -> Result<(), Why> {
        node.outputs
            .iter()
            .map(|&id| &self.graph.value(id).shape)
            .try_for_each(|shape| {
                let elements = shape
                    .iter()
                    .try_fold(1usize, |n, &extent| n.checked_mul(extent));
                match elements {
                    Some(0) => Err(format!("its output {shape:?} is empty")),
                    Some(n) if n <= i32::MAX as usize => Ok(()),
                    _ => Err(format!("its output {shape:?} is too large")),
                }
            })
    }

    fn place(&mut self, index: usize, node: &'a Node) -> Result<Vec<Meaning>, Why> {
        let one = |meaning| Ok(vec![meaning]);
        let moves = |operator: &str| MOVEMENTS.contains(&operator);
        if self.reads_wide(node) && node.operator != "QuantizeLinear" && !moves(&node.operator) {
            self.wide_operands(node)?;
            let (low, high) = self.clamp_of(node)?.unwrap_or(OPEN);
            return one(Meaning::Pending {
                node: index,
                low,
                high,
            });
        }
        match node.operator.as_str() {
            "DequantizeLinear" => one(self.dequantize(node)?),
            "QuantizeLinear" => one(self.quantize(node)?),
            "Conv" | "Gemm" | "MatMul" | "AveragePool" | "GlobalAveragePool" | "ReduceMean"
            | "ReduceSum" | "BatchNormalization" | "ConvTranspose" | "LayerNormalization"
            | "Softmax" | "Concat" => {
                if let Some(moved) = self.concat_of_stored(node)? {
                    return one(moved);
                }
                self.quantized_operands(node)?;
                one(Meaning::Pending {
                    node: index,
                    low: f32::NEG_INFINITY,
                    high: f32::INFINITY,
                })
            }
            "Resize" if self.resizes_reals(node) => {
                self.quantized_operands(node)?;
                one(Meaning::Pending {
                    node: index,
                    low: f32::NEG_INFINITY,
                    high: f32::INFINITY,
                })
            }
            "PRelu" if self.has_slopes(node) => {
                self.operand(node, 0)?;
                one(Meaning::Pending {
                    node: index,
                    low: OPEN.0,
                    high: OPEN.1,
                })
            }
            "Max" | "Min" if self.compares_tensors(node) => {
                for input in 0..node.inputs.len() {
                    self.operand(node, input)?;
                }
                one(Meaning::Pending {
                    node: index,
                    low: f32::NEG_INFINITY,
                    high: f32::INFINITY,
                })
            }
            "Add" | "Mul" | "Sub" | "Div" | "Pow" | "Max" | "Min" => one(self.binary(index, node)?),
            "ReduceMax" | "ReduceMin" | "GlobalMaxPool" => one(self.reduce_extreme(node)?),
            "ArgMax" | "ArgMin" => one(self.arg_max(node)?),
            "Gather" => one(self.gather(node)?),
            "MaxPool" => one(self.max_pool(node)?),
            operator if moves(operator) => self.movement(node),
            "Split" => self.split(node),
            "Cast" => one(self.cast(node)?),
            "Clip" | "Relu" if self.clips_stored(node) => one(self.clip_stored(node)?),
            _ => one(self.unary(node)?),
        }
    }

    /// The steps for a pending node, now that its output's quantization is known.
    fn emit(
        &mut self,
        index: usize,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, (usize, Why)> {
        let graph: &'a Graph = self.graph;
        let node = &graph.nodes[index];
        match node.operator.as_str() {
            _ if self.is_wide(node, to) => self.wide(node, to, clamp),
            "Conv" => self.conv(node, to, clamp),
            "Gemm" | "MatMul" => self.gemm(node, to, clamp),
            "AveragePool" => self.average_pool(node, to, clamp),
            "GlobalAveragePool" | "ReduceMean" | "ReduceSum" => self.reduce_mean(node, to, clamp),
            "ConvTranspose" => self.conv_transpose(node, to, clamp),
            "LayerNormalization" => self.layer_norm(node, to, clamp),
            "Resize" => self.resize_linear(node, to, clamp),
            "Softmax" => self.softmax(node, to),
            "Concat" => self.concat(node, to),
            "BatchNormalization" => self.batch_norm(node, to, clamp),
            "PRelu" => self.prelu(node, to, clamp),
            "Max" | "Min" => self.extreme_of(node, to, clamp),
            "Add" | "Sub" => self.add(node, to, clamp),
            "Mul" => self.mul(node, to, clamp),
            other => Err(format!("{other} has no integer form")),
        }
        .map_err(|why| (index, why))
    }

    // What operators ask about their inputs.

    fn meaning(&self, node: &Node, input: usize) -> Option<&Meaning> {
        self.meanings.get(&node.input(input)?)
    }

    /// The operand behind DequantizeLinear: tensor, scale, and zero point.
    fn operand(&self, node: &Node, input: usize) -> Result<(Stored, Quantization), Why> {
        match self.meaning(node, input) {
            Some(Meaning::Mapped(Mapped {
                stored,
                linear: Some(quantization),
                ..
            })) => Ok((stored.clone(), *quantization)),
            Some(Meaning::Mapped(_)) => Err(format!(
                "input {input} is an activation function's float output; put QuantizeLinear and \
                 DequantizeLinear after that function"
            )),
            Some(
                Meaning::Activated { node: from, .. }
                | Meaning::Pending { node: from, .. }
                | Meaning::Real { node: from, .. },
            ) => {
                let from = self.graph.nodes[*from].name.clone();
                Err(Cause::Float { input, from }.into())
            }
            Some(Meaning::Stored(stored)) => Err(Cause::Stored {
                input,
                element: stored.element,
                before: match stored.element {
                    Element::F32 => "QuantizeLinear and DequantizeLinear",
                    _ => "DequantizeLinear",
                },
            }
            .into()),
            Some(Meaning::Wide(..)) => Err(format!(
                "input {input} is int16, which this operator does not take"
            )),
            Some(Meaning::Weights(_)) => Err(Cause::Constant { input }.into()),
            _ => Err(Cause::Unquantized {
                input,
                element: self.element(node, input),
            }
            .into()),
        }
    }

    /// What an input is that should have been a constant.
    fn not_constant(&self, node: &Node, input: usize, what: &'static str) -> Cause {
        let computing = node
            .input(input)
            .filter(|value| self.fixed[value.0])
            .and_then(|value| self.producers.get(&value));
        match computing {
            Some(&(by, _)) => Cause::Unfolded {
                what,
                by: self.graph.nodes[by].name.clone(),
                operator: self.graph.nodes[by].operator.clone(),
            },
            None => Cause::Computed { what },
        }
    }

    /// The type of an input.
    fn element(&self, node: &Node, input: usize) -> Element {
        let value = node.input(input).map(|id| self.graph.value(id).element);
        value.unwrap_or(Element::Other("missing"))
    }

    /// Every input that carries data is quantized.
    fn quantized_operands(&self, node: &Node) -> Result<(), Why> {
        let data = match node.operator.as_str() {
            "Concat" => node.inputs.len(),
            _ => 1,
        };
        (0..data).try_for_each(|input| match self.meaning(node, input) {
            Some(Meaning::Weights(_)) if matches!(node.operator.as_str(), "Concat" | "MatMul") => {
                Ok(())
            }
            _ => self.operand(node, input).map(|_| ()),
        })
    }

    /// Whether a node interpolates between the real values of a quantized tensor.
    fn resizes_reals(&self, node: &Node) -> bool {
        node.text("mode") == Some("linear")
            && matches!(self.meaning(node, 0), Some(Meaning::Mapped(_)))
    }

    /// The dimensions of output 0.
    fn output_shape(&self, node: &Node) -> Vec<usize> {
        self.graph.value(node.outputs[0]).shape.clone()
    }

    /// A new tensor for what `node` computes, in stored order `order` of `shape`.
    fn new_stored(
        &mut self,
        node: &Node,
        shape: Vec<usize>,
        order: Vec<usize>,
        element: Element,
        quantization: Option<Quantization>,
    ) -> Stored {
        let name = &self.graph.value(node.outputs[0]).name;
        let stored_shape = order.iter().map(|&axis| shape[axis]).collect();
        let dtype = match element {
            Element::I16 => Dtype::I16,
            Element::F32 => Dtype::F32,
            Element::I32 | Element::I64 => Dtype::I32,
            _ => Dtype::I8,
        };
        let (scale, zero_point) = quantization.map_or((0.0, 0), |q| (q.scale, q.zero_point_i8()));
        let tensor = self
            .program
            .add_tensor(name, dtype, stored_shape, scale, zero_point);
        Stored {
            tensor,
            element,
            shape,
            order,
        }
    }

    fn step(&mut self, node: &Node, operation: Operation, inputs: Vec<TensorId>, output: TensorId) {
        self.step_with(node, operation, inputs, output, 0, 0);
    }

    fn step_with(
        &mut self,
        node: &Node,
        operation: Operation,
        inputs: Vec<TensorId>,
        output: TensorId,
        scratch_bytes: usize,
        macs: u64,
    ) {
        let name = node.name.clone();
        self.program.steps.push(Step {
            name,
            operation,
            inputs,
            output,
            scratch_bytes,
            macs,
        });
    }
}

/// Whether a node goes between stored and real numbers.
fn quantizes(node: &Node) -> bool {
    matches!(
        node.operator.as_str(),
        "QuantizeLinear" | "DequantizeLinear"
    )
}

/// The `index`-th axis of a tensor of `rank` dimensions, counted from the end where negative.
fn axis(index: i64, rank: usize) -> Result<usize, Why> {
    let counted = if index < 0 {
        index + rank as i64
    } else {
        index
    };
    usize::try_from(counted)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| format!("axis {index} does not exist in {rank} dimensions"))
}
