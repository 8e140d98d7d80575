//! Inputs for golden vectors.

use crate::program::{BufferId, Operation, Program, Step, Tensor};
use crate::random::SplitMix64;
use sanderling_plan::step::Quantize;
use sanderling_plan::{Dtype, Operator};

/// Steps beyond either end of the quantized range that real inputs reach, so that golden
/// vectors show that saturation works.
const BEYOND: f32 = 8.0;

/// `count` sets of pseudo-random inputs, each the bytes of every input in order; the same
/// for the same arguments everywhere.
///
/// Integers are uniform over their dtype. Real numbers are uniform over the range of the
/// tensor that first quantizes them and a little beyond, or over `-1..1` where nothing
/// quantizes them. Indices lie inside what they index.
pub fn golden_inputs(program: &Program, count: usize, seed: u64) -> Vec<Vec<Vec<u8>>> {
    let mut random = SplitMix64::new(seed);
    let fill = |tensor: &Tensor, random: &mut SplitMix64| -> Vec<u8> {
        match tensor.dtype {
            Dtype::F32 => {
                let (low, high) = real_range(program, tensor.buffer);
                (0..tensor.elements())
                    .flat_map(|_| (low + (high - low) * random.unit()).to_le_bytes())
                    .collect()
            }
            Dtype::I32 => {
                let extent = index_range(program, tensor.buffer);
                (0..tensor.elements())
                    .flat_map(|_| ((random.unit() * extent as f32) as i32).to_le_bytes())
                    .collect()
            }
            _ => (0..tensor.bytes()).map(|_| random.byte()).collect(),
        }
    };
    (0..count)
        .map(|_| {
            program
                .inputs
                .iter()
                .map(|&id| fill(program.tensor(id), &mut random))
                .collect()
        })
        .collect()
}

/// How many indices there are where `buffer` is gathered by.
fn index_range(program: &Program, buffer: BufferId) -> u32 {
    let gathers = |step: &Step| match step.operation {
        Operation::Plain(Operator::Gather(p)) => {
            let indices = step.inputs.get(1)?;
            (program.tensor(*indices).buffer == buffer).then_some(p.extent)
        }
        _ => None,
    };
    program.steps.iter().find_map(gathers).unwrap_or(1)
}

/// The real numbers that the first quantization of `buffer`, or of a copy of it, tells apart.
fn real_range(program: &Program, buffer: BufferId) -> (f32, f32) {
    let mut copies = vec![buffer];
    for step in &program.steps {
        let reads = step
            .inputs
            .iter()
            .any(|&id| copies.contains(&program.tensor(id).buffer));
        match step.operation {
            Operation::Plain(Operator::Quantize(Quantize { scale, zero_point })) if reads => {
                let real = |step: f32| (step - zero_point as f32) * scale;
                return (real(-128.0 - BEYOND), real(127.0 + BEYOND));
            }
            Operation::Plain(Operator::Copy(_)) if reads => {
                copies.push(program.tensor(step.output).buffer);
            }
            _ => {}
        }
    }
    (-1.0, 1.0)
}
