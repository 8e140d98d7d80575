//! Channels that nothing depends on go, and every bit stays.

use crate::make::Maker;
use crate::run::assert_engine_gives;
use sanderling_compiler::dead_channels::remove;
use sanderling_compiler::program::{Operation, Program};
use sanderling_compiler::reference;
use sanderling_plan::{Dtype, Target};

const SEEDS: u64 = 300;

/// A network of convolutions, tables, and pools in a row, ending in a matrix product.
fn network(seed: u64) -> Program {
    let mut maker = Maker::new(seed);
    let c = &mut maker.chance;
    let shape = [1, 2 + c.size(7), 2 + c.size(7), c.size(6)];
    let mut x = maker.input(Dtype::I8, &shape);
    for _ in 0..2 + maker.chance.size(5) {
        x = match maker.chance.size(8) {
            1 => maker.max_pool(x),
            2 => maker.average_pool(x),
            3 => maker.lookup(x, Dtype::I8),
            4 | 5 => maker.conv(x, true),
            _ => maker.conv(x, false),
        };
    }
    let x = maker.reduce_mean(x);
    let y = maker.fully_connected(x);
    maker.program.outputs.push(y);
    let mut program = maker.program;
    let chance = &mut maker.chance;
    for step in &mut program.steps {
        let Operation::Conv {
            parameters: p,
            depthwise,
            affine,
        } = &mut step.operation
        else {
            continue;
        };
        let outputs = affine.bias.len();
        let each = affine.weights.len() / outputs;
        // Some outputs, and some inputs, have only zero weights.
        let dead: Vec<bool> = (0..outputs).map(|_| chance.once_in(2)).collect();
        for (at, weight) in affine.weights.iter_mut().enumerate() {
            let output = match depthwise {
                true => at % outputs,
                false => at / each,
            };
            if dead[output] {
                *weight = p.weight_zero_point as i8;
            }
        }
        // What a dead channel holds is now and then what the next padding reads.
        if chance.once_in(2) {
            p.low = p.low.max(p.zero_point).min(p.high);
        }
        if chance.once_in(2) {
            p.input_zero_point = -128;
        }
    }
    program
}

#[test]
fn a_network_keeps_its_bits() {
    let (mut smaller, mut macs) = (0, [0u64; 2]);
    for seed in 0..SEEDS {
        let program = network(seed);
        let small = remove(&program, Target::Generic);
        let count = |program: &Program| program.steps.iter().map(|s| s.macs).sum::<u64>();
        assert!(count(&small) <= count(&program), "seed {seed}");
        smaller += u64::from(count(&small) < count(&program));
        macs[0] += count(&program);
        macs[1] += count(&small);
        for inputs in reference::golden_inputs(&program, 3, seed) {
            assert_eq!(
                reference::run(&program, &inputs),
                reference::run(&small, &inputs),
                "seed {seed}"
            );
        }
        assert_engine_gives(&program, &small, seed);
    }
    println!("{smaller} of {SEEDS} networks became smaller: {macs:?} MACs");
    assert!(
        smaller > SEEDS / 5,
        "only {smaller} of {SEEDS} became smaller"
    );
}

#[test]
fn whole_blocks_are_left() {
    for seed in 0..SEEDS {
        let program = network(seed);
        for target in Target::ALL {
            let small = remove(&program, target);
            for inputs in reference::golden_inputs(&program, 1, seed) {
                assert_eq!(
                    reference::run(&program, &inputs),
                    reference::run(&small, &inputs),
                    "seed {seed} for {target}"
                );
            }
        }
    }
}
