//! Writes a program down as a plan.

use crate::memory::MemoryPlan;
use crate::program::{Affine, Operation, Program, TensorId};
use crate::tables::pointed;
use crate::winograd;
use sanderling_plan::step::{Conv, FullyConnected, Lookup, ResizeNearest, Softmax, WinogradConv};
use sanderling_plan::writer::{StepRecord, TensorRecord, Writer};
use sanderling_plan::{Operator, Place, Shape, Target, packing, tensor};

/// The bytes of every input, and of every output that the reference gave for them.
pub type GoldenVector = (Vec<Vec<u8>>, Vec<Vec<u8>>);

/// The plan of `program` with its arena laid out as `memory` says.
///
/// Constants are packed for `target`, which `memory` was planned for.
/// Tensors that no step, input or output names are left out, so ids in
/// the plan differ from those in the program.
///
/// # Panics
///
/// Where a tensor has more than six dimensions or 2³¹ - 1 elements, or `memory` was not
/// planned for `program`. The front end refuses such models with an error.
pub fn emit(
    program: &Program,
    memory: &MemoryPlan,
    target: Target,
    source_sha256: [u8; 32],
    golden: &[GoldenVector],
) -> Vec<u8> {
    let mut writer = Writer::new(target, source_sha256);
    let ids = write_tensors(program, memory, &mut writer);
    let id = |of: TensorId| ids[of.0].expect("every tensor that is named was written");
    for (index, step) in program.steps.iter().enumerate() {
        let operator = operator(&step.operation, target, &mut writer);
        let inputs: Vec<tensor::TensorId> = step.inputs.iter().map(|&of| id(of)).collect();
        writer.step(&StepRecord {
            name: &step.name,
            operator,
            inputs: &inputs,
            output: id(step.output),
            scratch_offset: memory.scratch_offsets[index] as u32,
            scratch_bytes: memory.scratch_bytes[index] as u32,
        });
    }
    for stream in &program.streams {
        let rows: Vec<u16> = stream.rows.iter().map(|&rows| rows as u16).collect();
        writer.stream(stream.steps.start, &rows);
    }
    for (inputs, outputs) in golden {
        writer.golden(inputs.iter().chain(outputs).map(Vec::as_slice));
    }
    let inputs: Vec<tensor::TensorId> = program.inputs.iter().map(|&of| id(of)).collect();
    let outputs: Vec<tensor::TensorId> = program.outputs.iter().map(|&of| id(of)).collect();
    let peak = memory.peak_tensor.map_or(tensor::TensorId(0), id);
    let macs = program.steps.iter().map(|step| step.macs).sum();
    writer.finish(&inputs, &outputs, memory.arena_bytes as u32, peak, macs)
}

/// Writes the tensors that are named anywhere and says which id each got.
fn write_tensors(
    program: &Program,
    memory: &MemoryPlan,
    writer: &mut Writer,
) -> Vec<Option<tensor::TensorId>> {
    let mut named = vec![false; program.tensors.len()];
    for id in program
        .inputs
        .iter()
        .chain(&program.outputs)
        .chain(&memory.peak_tensor)
    {
        named[id.0] = true;
    }
    for step in &program.steps {
        for id in step.inputs.iter().chain([&step.output]) {
            named[id.0] = true;
        }
    }
    let mut write = |tensor: &crate::program::Tensor| {
        let (place, offset) = match &program.buffers[tensor.buffer.0].constant {
            Some(bytes) => (Place::Constants, writer.constant(bytes)),
            None => {
                let offset = memory
                    .offset(tensor.buffer)
                    .expect("a tensor in use has a place");
                (Place::Arena, offset as u32)
            }
        };
        let dims: Vec<u32> = tensor.shape.iter().map(|&dim| dim as u32).collect();
        writer.tensor(&TensorRecord {
            name: &tensor.name,
            dtype: tensor.dtype,
            shape: Shape::new(&dims).expect("the front end bounds every shape"),
            place,
            offset,
            scale: tensor.scale,
            zero_point: tensor.zero_point,
        })
    };
    program
        .tensors
        .iter()
        .zip(named)
        .map(|(tensor, named)| named.then(|| write(tensor)))
        .collect()
}

/// Writes the constants of `operation` and fills their offsets in.
fn operator(operation: &Operation, target: Target, writer: &mut Writer) -> Operator {
    match operation {
        Operation::Conv {
            parameters,
            depthwise,
            affine,
        } => {
            let groups = match depthwise {
                true => 0,
                false => parameters.groups as usize,
            };
            let [weights, bias, multipliers] = write_affine(affine, groups, target, writer);
            let parameters = Conv {
                weights,
                bias,
                multipliers,
                ..*parameters
            };
            if *depthwise {
                Operator::DepthwiseConv(parameters)
            } else {
                Operator::Conv(parameters)
            }
        }
        Operation::Winograd { parameters, affine } => {
            let inputs = affine.weights.len() / (9 * affine.bias.len()).max(1);
            let zero_point = parameters.weight_zero_point;
            let weights = packing::winograd::pack(&affine.weights, inputs, zero_point);
            let weights: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
            let bias: Vec<u8> = affine.bias.iter().flat_map(|b| b.to_le_bytes()).collect();
            Operator::WinogradConv(WinogradConv {
                weights: writer.constant(&weights),
                bias: writer.constant(&bias),
                multipliers: write_f32(&affine.multipliers, writer),
                ..winograd::parameters(parameters)
            })
        }
        Operation::FullyConnected { parameters, affine } => {
            let [weights, bias, multipliers] = write_affine(affine, 1, target, writer);
            Operator::FullyConnected(FullyConnected {
                weights,
                bias,
                multipliers,
                ..*parameters
            })
        }
        Operation::Lookup { table } => Operator::Lookup(Lookup {
            table: writer.constant(table),
        }),
        Operation::Softmax { parameters, table } => Operator::Softmax(Softmax {
            table: write_f32(table, writer),
            ..*parameters
        }),
        Operation::ResizeNearest { rows, columns } => Operator::ResizeNearest(ResizeNearest {
            rows: write_u16(rows, writer),
            columns: write_u16(columns, writer),
        }),
        Operation::Tabled { operator, tables } => {
            let offsets: Vec<u32> = tables
                .iter()
                .map(|table| writer.constant(&table.bytes()))
                .collect();
            pointed(*operator, &offsets)
        }
        Operation::Plain(operator) => *operator,
    }
}

/// Offsets of weights, biases and multipliers of so many groups; 0 for depthwise weights,
/// which stay as they are.
fn write_affine(affine: &Affine, groups: usize, target: Target, writer: &mut Writer) -> [u32; 3] {
    let group = affine.weights.len().checked_div(groups);
    let k = affine.weights.len() / affine.bias.len().max(1);
    let weights: Vec<i8> = match group {
        Some(group) => (affine.weights.chunks(group.max(1)))
            .flat_map(|weights| target.dense().pack(weights, k))
            .collect(),
        None => target.pack_depthwise(&affine.weights, affine.bias.len()),
    };
    let folded = match group {
        Some(_) => target.dense().fold_bias(&affine.weights, k, &affine.bias),
        None => affine.bias.clone(),
    };
    let weights: Vec<u8> = weights.into_iter().map(|w| w as u8).collect();
    let bias: Vec<u8> = folded.iter().flat_map(|b| b.to_le_bytes()).collect();
    [
        writer.constant(&weights),
        writer.constant(&bias),
        write_f32(&affine.multipliers, writer),
    ]
}

fn write_f32(values: &[f32], writer: &mut Writer) -> u32 {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    writer.constant(&bytes)
}

fn write_u16(values: &[u16], writer: &mut Writer) -> u32 {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    writer.constant(&bytes)
}
