//! What emission writes is what the program says.

use crate::make::Maker;
use crate::network::network;
use crate::run::Aligned;
use sanderling_compiler::emit::{GoldenVector, emit};
use sanderling_compiler::memory::plan_memory;
use sanderling_compiler::program::{Operation, Program};
use sanderling_compiler::reference;
use sanderling_plan::golden::Part;
use sanderling_plan::{Dtype, Operator, Place, Plan, Target};

/// A convolution with its weights, a table, and a constant that is added.
fn small() -> Program {
    let mut maker = Maker::new(1);
    let x = maker.input(Dtype::I8, &[1, 4, 4, 3]);
    let y = maker.conv(x, false);
    let shape = maker.shape(y);
    let values = vec![5i8; shape.iter().product()];
    let k = maker.program.add_constant("k", shape, &values, 0.25, 1);
    let z = maker.add(y, k);
    let z = maker.lookup(z, Dtype::U8);
    maker.program.outputs.push(z);
    maker.program
}

fn emitted(program: &Program, golden: &[GoldenVector]) -> Aligned {
    emitted_for(Target::CortexM4, program, golden)
}

fn emitted_for(target: Target, program: &Program, golden: &[GoldenVector]) -> Aligned {
    let memory = plan_memory(program, target);
    Aligned::of(&emit(program, &memory, target, [9; 32], golden))
}

#[test]
fn a_plan_carries_what_the_program_says() {
    let program = small();
    let memory = plan_memory(&program, Target::CortexM4);
    let bytes = emitted(&program, &[]);
    let plan = Plan::new(bytes.bytes()).expect("a plan");
    assert_eq!(plan.target(), Target::CortexM4);
    assert_eq!(plan.source_sha256(), [9; 32]);
    assert_eq!(plan.arena_bytes(), memory.arena_bytes);
    assert_eq!(plan.macs(), program.steps[0].macs);
    assert_eq!(plan.step_count(), program.steps.len());
    assert_eq!(plan.golden_count(), 0);
    for (step, expected) in plan.steps().zip(&program.steps) {
        assert_eq!(plan.step_name(&step), expected.name);
        for (&id, of) in step.inputs().iter().zip(&expected.inputs) {
            let (tensor, expected) = (plan.tensor(id).expect("a tensor"), program.tensor(*of));
            assert_eq!(plan.tensor_name(&tensor), expected.name);
            assert_eq!(
                (tensor.dtype, tensor.scale),
                (expected.dtype, expected.scale)
            );
            assert_eq!(tensor.zero_point, expected.zero_point);
            let dims: Vec<usize> = tensor.shape.dims().iter().map(|&d| d as usize).collect();
            assert_eq!(dims, expected.shape);
        }
    }
}

#[test]
fn constants_lie_where_the_parameters_say() {
    let program = small();
    // The generic packing leaves weights and biases as the program has them.
    let bytes = emitted_for(Target::Generic, &program, &[]);
    let plan = Plan::new(bytes.bytes()).expect("a plan");
    let at = |offset: u32, len: usize| &plan.constants()[offset as usize..offset as usize + len];
    let steps: Vec<_> = plan.steps().collect();
    let Operation::Conv { affine, .. } = &program.steps[0].operation else {
        panic!()
    };
    let Operator::Conv(conv) = steps[0].operator else {
        panic!()
    };
    let weights: Vec<u8> = affine.weights.iter().map(|&w| w as u8).collect();
    assert_eq!(at(conv.weights, weights.len()), weights);
    let bias: Vec<u8> = affine.bias.iter().flat_map(|b| b.to_le_bytes()).collect();
    assert_eq!(at(conv.bias, bias.len()), bias);
    let multipliers: Vec<u8> = affine
        .multipliers
        .iter()
        .flat_map(|m| m.to_le_bytes())
        .collect();
    assert_eq!(at(conv.multipliers, multipliers.len()), multipliers);
    let constant = plan.tensor(steps[1].inputs()[1]).expect("a tensor");
    assert_eq!(constant.place, Place::Constants);
    assert!(
        at(constant.offset, constant.bytes as usize)
            .iter()
            .all(|&b| b == 5)
    );
    let (Operation::Lookup { table }, Operator::Lookup(lookup)) =
        (&program.steps[2].operation, steps[2].operator)
    else {
        panic!()
    };
    assert_eq!(at(lookup.table, 256), table);
}

#[test]
fn golden_vectors_come_back_as_they_went_in() {
    let program = network(5);
    let golden: Vec<_> = reference::golden_inputs(&program, 3, 2)
        .into_iter()
        .map(|inputs| (inputs.clone(), reference::run(&program, &inputs)))
        .collect();
    let bytes = emitted(&program, &golden);
    let plan = Plan::new(bytes.bytes()).expect("a plan");
    assert_eq!(plan.golden_count(), 3);
    for (vector, (inputs, outputs)) in plan.golden().zip(&golden) {
        for part in vector.parts(plan.io_tensors()) {
            match part {
                Part::Input(i, bytes) => assert_eq!(bytes, inputs[i]),
                Part::Output(i, bytes) => assert_eq!(bytes, outputs[i]),
            }
        }
    }
}

#[test]
fn a_tensor_that_nobody_names_is_left_out() {
    let mut program = small();
    let named = program.tensors.len();
    program.add_tensor("unused", Dtype::I8, vec![1000], 0.0, 0);
    let bytes = emitted(&program, &[]);
    let plan = Plan::new(bytes.bytes()).expect("a plan");
    assert_eq!(plan.tensor_count(), named);
}

#[test]
fn the_peak_tensor_is_named() {
    for seed in 0..50 {
        let program = network(seed);
        let peak = plan_memory(&program, Target::CortexM4)
            .peak_tensor
            .expect("a tensor");
        let bytes = emitted(&program, &[]);
        let plan = Plan::new(bytes.bytes()).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let id = plan.peak_tensor().expect("a peak");
        let tensor = plan.tensor(id).expect("a tensor");
        assert_eq!(
            plan.tensor_name(&tensor),
            program.tensor(peak).name,
            "seed {seed}"
        );
    }
}
