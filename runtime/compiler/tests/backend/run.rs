//! Runs a program in the engine and compares with the reference.

use sanderling_compiler::memory::plan_memory;
use sanderling_compiler::program::{Operation, Program, Step, TensorId};
use sanderling_compiler::{emit, reference};
use sanderling_engine::Engine;
use sanderling_plan::{Dtype, Operator, Plan, Target};

/// Bytes that start at a multiple of 16, as plans and arenas want.
pub struct Aligned {
    words: Vec<u128>,
    len: usize,
}

impl Aligned {
    pub fn of(bytes: &[u8]) -> Self {
        let mut aligned = Aligned {
            words: vec![0; bytes.len().div_ceil(16)],
            len: bytes.len(),
        };
        aligned.bytes_mut().copy_from_slice(bytes);
        aligned
    }

    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.len]
    }
}

/// Bytes on either side of the arena that nobody may touch.
const GUARD: usize = 64;
const PATTERN: u8 = 0xa5;

/// Asserts that the engine gives the reference's bits for a few inputs, in an arena that
/// held something else before and is guarded on both sides.
pub fn assert_engine_agrees(program: &Program, seed: u64) {
    assert_engine_gives(program, program, seed);
}

/// The same where the engine runs `changed`, which must answer as `program` does.
pub fn assert_engine_gives(program: &Program, changed: &Program, seed: u64) {
    for target in sanderling_engine::targets() {
        assert_target_gives(program, changed, target, seed);
    }
}

/// The same for one target.
pub fn assert_target_gives(program: &Program, changed: &Program, target: Target, seed: u64) {
    let memory = plan_memory(changed, target);
    let mut inputs = reference::golden_inputs(program, 2, seed);
    inputs.push(strange_inputs(program));
    inputs.push(inputs_on_ties(program));
    let vectors: Vec<_> = inputs
        .into_iter()
        .map(|inputs| {
            let outputs = reference::run(program, &inputs);
            (inputs, outputs)
        })
        .collect();
    let bytes = Aligned::of(&emit::emit(changed, &memory, target, [7; 32], &vectors));
    let plan = Plan::new(bytes.bytes()).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    let arena_bytes = plan.arena_bytes();
    let mut memory = Aligned::of(&vec![PATTERN; arena_bytes + 2 * GUARD]);
    let arena = &mut memory.bytes_mut()[GUARD..GUARD + arena_bytes];
    let mut engine = Engine::new(plan, arena).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    // Twice, so that what one run leaves behind meets every input.
    for (number, (inputs, outputs)) in vectors.iter().chain(&vectors).enumerate() {
        for (i, input) in inputs.iter().enumerate() {
            let at = engine
                .input_mut(i)
                .unwrap_or_else(|| panic!("seed {seed}: input {i}"));
            at.copy_from_slice(input);
        }
        engine.run().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        for (i, expected) in outputs.iter().enumerate() {
            let got = engine.output(i);
            let got = got.unwrap_or_else(|| panic!("seed {seed}: output {i}"));
            let differs = got
                .iter()
                .zip(expected)
                .position(|(got, expected)| got != expected);
            assert!(
                differs.is_none() && got.len() == expected.len(),
                "seed {seed}, run {number}, output {i}, byte {differs:?}: expected {:?}, got {:?}\n{}",
                differs.map(|at| expected[at]),
                differs.map(|at| got[at]),
                steps(program),
            );
        }
    }
    engine
        .self_test()
        .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    let bytes = memory.bytes();
    let (before, after) = (&bytes[..GUARD], &bytes[GUARD + arena_bytes..]);
    assert!(
        before.iter().chain(after).all(|&b| b == PATTERN),
        "seed {seed}: outside the arena"
    );
}

/// Extremes of every dtype, for `f32` also those that are no numbers.
fn strange_inputs(program: &Program) -> Vec<Vec<u8>> {
    const REALS: [f32; 10] = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
        -0.0,
        f32::MIN_POSITIVE,
        1e-42,
        0.05,
        -0.25,
    ];
    let strange = |dtype: Dtype, len: usize| -> Vec<u8> {
        let extremes = [0x80u8, 0x7f, 0x80, 0x80, 0x00, 0xff];
        match dtype {
            Dtype::F32 => (0..len / 4)
                .flat_map(|i| REALS[i % REALS.len()].to_le_bytes())
                .collect(),
            _ => (0..len).map(|i| extremes[i % extremes.len()]).collect(),
        }
    };
    program
        .inputs
        .iter()
        .map(|&id| strange(program.tensor(id).dtype, program.tensor(id).bytes()))
        .collect()
}

/// Real inputs half-way between two steps of the first quantization, as near as `f32`
/// comes; other inputs count up.
fn inputs_on_ties(program: &Program) -> Vec<Vec<u8>> {
    let scale = program.steps.iter().find_map(|step| match step.operation {
        Operation::Plain(Operator::Quantize(quantize)) => Some(quantize.scale),
        _ => None,
    });
    let half_steps = |i: usize| (i % 600) as f32 - 300.0;
    let ties = |dtype: Dtype, len: usize| -> Vec<u8> {
        match (dtype, scale) {
            (Dtype::F32, Some(scale)) => (0..len / 4)
                .flat_map(|i| (half_steps(i) * 0.5 * scale).to_le_bytes())
                .collect(),
            _ => (0..len).map(|i| i as u8).collect(),
        }
    };
    program
        .inputs
        .iter()
        .map(|&id| ties(program.tensor(id).dtype, program.tensor(id).bytes()))
        .collect()
}

/// What a program computes, without its constants.
fn steps(program: &Program) -> String {
    let line = |step: &Step| {
        let shape = |&id: &TensorId| program.tensor(id).shape.clone();
        let inputs: Vec<_> = step.inputs.iter().map(shape).collect();
        let what = match &step.operation {
            Operation::Conv {
                parameters,
                depthwise,
                ..
            } => {
                format!("{parameters:?}, depthwise: {depthwise}")
            }
            Operation::Winograd { parameters, .. } => format!("Winograd {parameters:?}"),
            Operation::FullyConnected { parameters, .. } => format!("{parameters:?}"),
            Operation::Softmax { parameters, .. } => format!("{parameters:?}"),
            Operation::Lookup { .. } => "Lookup".to_owned(),
            Operation::ResizeNearest { rows, columns } => format!("Resize {rows:?} {columns:?}"),
            Operation::Tabled { operator, .. } | Operation::Plain(operator) => {
                format!("{operator:?}")
            }
        };
        format!(
            "{}: {inputs:?} -> {:?}: {what}",
            step.name,
            shape(&step.output)
        )
    };
    program
        .steps
        .iter()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}
