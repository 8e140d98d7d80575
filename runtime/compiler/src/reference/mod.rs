//! The compiler's own interpreter: says what the engine must answer.
//!
//! It shares nothing with the engine. Every buffer has bytes of its own, so a mistake of
//! the memory planner cannot hide here, and every operator is written in the most obvious
//! way from the formula beside its parameters in `sanderling_plan::step`: sums in `i64`
//! that are wrapped to `i32` at the end, real numbers in `f32` in the stated order.

mod affine;
mod elementwise;
mod golden;
mod movement;
mod reals;
mod tabled;
mod wide;
mod window;

pub use golden::golden_inputs;

use crate::program::{Operation, Program, Step, Tensor, TensorId};
use sanderling_plan::Operator;

/// Runs `program` on one set of inputs, each the little-endian bytes of the input of that
/// number, and gives the bytes of every output.
///
/// # Panics
///
/// Where the program contradicts itself (shapes, lengths of weights, input bytes). The
/// checked view of its plan refuses such a program, so check that first.
pub fn run(program: &Program, inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut buffers: Vec<Vec<u8>> = program
        .buffers
        .iter()
        .map(|buffer| {
            buffer
                .constant
                .clone()
                .unwrap_or_else(|| vec![0; buffer.bytes])
        })
        .collect();
    assert_eq!(
        program.inputs.len(),
        inputs.len(),
        "one byte string for each input"
    );
    for (&id, bytes) in program.inputs.iter().zip(inputs) {
        let buffer = program.tensor(id).buffer;
        assert_eq!(
            buffers[buffer.0].len(),
            bytes.len(),
            "bytes of `{}`",
            program.tensor(id).name
        );
        buffers[buffer.0].clone_from(bytes);
    }
    for step in &program.steps {
        let operands: Vec<Operand<'_>> = step
            .inputs
            .iter()
            .map(|&id| Operand::of(program, &buffers, id))
            .collect();
        let mut output = Operand::of(program, &buffers, step.output);
        execute(step, &operands, &mut output);
        buffers[program.tensor(step.output).buffer.0] = output.bytes;
    }
    let read = |&id: &TensorId| buffers[program.tensor(id).buffer.0].clone();
    program.outputs.iter().map(read).collect()
}

fn execute(step: &Step, inputs: &[Operand<'_>], y: &mut Operand<'_>) {
    match (&step.operation, inputs) {
        (
            Operation::Conv {
                parameters,
                depthwise,
                affine,
            },
            [x],
        ) => {
            affine::conv(parameters, *depthwise, affine, x, y);
        }
        (Operation::Winograd { parameters, affine }, [x]) => {
            affine::conv(parameters, false, affine, x, y);
        }
        (Operation::FullyConnected { parameters, affine }, [x]) => {
            affine::fully_connected(parameters, affine, x, y);
        }
        (Operation::Lookup { table }, [x]) => elementwise::lookup(table, x, y),
        (Operation::Softmax { parameters, table }, [x]) => {
            elementwise::softmax(parameters, table, x, y);
        }
        (Operation::ResizeNearest { rows, columns }, [x]) => {
            movement::resize_nearest(rows, columns, x, y);
        }
        (Operation::Tabled { operator, tables }, [x, more @ ..]) => {
            tabled::run(operator, tables, (x, more.first()), y);
        }
        (Operation::Plain(operator), inputs) => plain(step, operator, inputs, y),
        _ => panic!("step `{}` has {} inputs", step.name, inputs.len()),
    }
}

fn plain(step: &Step, operator: &Operator, inputs: &[Operand<'_>], y: &mut Operand<'_>) {
    match (operator, inputs) {
        (Operator::Add(p), [a, b]) => elementwise::add(p, a, b, y),
        (Operator::Mul(p), [a, b]) => elementwise::mul(p, a, b, y),
        (Operator::Quantize(p), [x]) => elementwise::quantize(p, x, y),
        (Operator::Dequantize(p), [x]) => elementwise::dequantize(p, x, y),
        (Operator::MaxPool(p), [x]) => window::max_pool(p, x, y),
        (Operator::AveragePool(p), [x]) => window::average_pool(p, x, y),
        (Operator::ReduceMean(p), [x]) => window::reduce_mean(p, x, y),
        (Operator::Copy(p), [x]) => movement::copy(p, x, y),
        (Operator::Fill(p), []) => movement::fill(p, y),
        (Operator::ArgMax(p), [x]) => movement::arg_max(p, x, y),
        (Operator::Gather(p), [x, indices]) => movement::gather(p, x, indices, y),
        (Operator::MatMul(p), [a, b]) => affine::mat_mul(p, a, b, y),
        (Operator::WidePair(p), [a, b]) => wide::pair(p, a, b, y),
        (Operator::WideRequantize(p), [x]) => wide::requantize(p, x, y),
        (Operator::SoftmaxReal(p), [x]) => elementwise::softmax_real(p, x, y),
        (Operator::RealPair(p), [a, b]) => reals::pair(p, a, b, y),
        (Operator::RealMean(p), [x]) => reals::mean(p, x, y),
        (Operator::RealMap(p), [x]) => reals::map(p, x, y),
        _ => panic!(
            "step `{}`: `{}` with {} inputs is no step of a program",
            step.name,
            operator.name(),
            inputs.len()
        ),
    }
}

/// A tensor and a copy of its bytes.
struct Operand<'a> {
    tensor: &'a Tensor,
    bytes: Vec<u8>,
}

impl<'a> Operand<'a> {
    fn of(program: &'a Program, buffers: &[Vec<u8>], id: TensorId) -> Self {
        let tensor = program.tensor(id);
        let bytes = buffers[tensor.buffer.0].clone();
        assert_eq!(
            bytes.len(),
            tensor.bytes(),
            "`{}` views its whole buffer",
            tensor.name
        );
        Operand { tensor, bytes }
    }

    fn len(&self) -> usize {
        self.tensor.elements()
    }

    fn i8(&self, at: usize) -> i32 {
        i32::from(self.bytes[at] as i8)
    }

    fn f32(&self, at: usize) -> f32 {
        let b = &self.bytes[4 * at..4 * at + 4];
        f32::from_le_bytes([b[0], b[1], b[2], b[3]])
    }

    /// A value of 8 or 16 bits.
    fn narrow(&self, at: usize) -> i32 {
        match self.tensor.dtype.bytes() {
            2 => i32::from(i16::from_le_bytes([
                self.bytes[2 * at],
                self.bytes[2 * at + 1],
            ])),
            _ => self.i8(at),
        }
    }

    fn set_narrow(&mut self, at: usize, value: i32) {
        match self.tensor.dtype.bytes() {
            2 => self.bytes[2 * at..2 * at + 2].copy_from_slice(&(value as i16).to_le_bytes()),
            _ => self.set_i8(at, value as i8),
        }
    }

    fn i32(&self, at: usize) -> i32 {
        self.f32(at).to_bits() as i32
    }

    fn set_i32(&mut self, at: usize, value: i32) {
        self.bytes[4 * at..4 * at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn set_i8(&mut self, at: usize, value: i8) {
        self.bytes[at] = value as u8;
    }

    fn set_f32(&mut self, at: usize, value: f32) {
        self.bytes[4 * at..4 * at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Batch, height, width, channels.
    fn nhwc(&self) -> [usize; 4] {
        match self.tensor.shape[..] {
            [n, h, w, c] => [n, h, w, c],
            _ => panic!("`{}` is not a batch of images", self.tensor.name),
        }
    }
}

/// `clamp(round_ties_even(f32(acc) · multiplier) + zero_point, low, high)`, `acc` wrapped
/// to `i32`.
fn requantize(acc: i64, multiplier: f32, zero_point: i32, low: i32, high: i32) -> i8 {
    let rounded = (acc as i32 as f32 * multiplier).round_ties_even();
    clamp(rounded, zero_point, low, high)
}

/// `clamp(rounded + zero_point, low, high)`; the sum is exact, because in `f64` any
/// `f32` that can end inside the range is. A mean over nothing is 0/0 and counts as lower
/// than every number.
fn clamp(rounded: f32, zero_point: i32, low: i32, high: i32) -> i8 {
    let value = f64::from(rounded) + f64::from(zero_point);
    if value.is_nan() {
        return low as i8;
    }
    value.clamp(f64::from(low), f64::from(high)) as i8
}
