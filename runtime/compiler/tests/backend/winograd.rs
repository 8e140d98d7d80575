//! Convolutions by Winograd's algorithm keep their bits and stay within the flash that
//! they were given.

use crate::make::Maker;
use crate::run::{Aligned, assert_target_gives};
use sanderling_compiler::memory::plan_memory;
use sanderling_compiler::program::{Operation, Program, TensorId};
use sanderling_compiler::winograd::{choose, more_flash};
use sanderling_compiler::{emit, reference};
use sanderling_plan::step::Conv;
use sanderling_plan::{Dtype, Plan, Target};

const SEEDS: u64 = 200;
const TARGET: Target = Target::CortexM4;

impl Maker {
    /// A convolution with one group, a 3×3 window, and stride 1.
    fn conv_3x3(&mut self, x: TensorId) -> TensorId {
        let [n, h, w, channels] = self.nhwc(x);
        let c = &mut self.chance;
        // Padding before; outputs, of which the last may read nothing but padding.
        let mut along = |size: usize| {
            let pad = c.size(3) - 1;
            (pad, (size + pad + c.size(3)).saturating_sub(3).max(1))
        };
        let ((top, out_h), (left, out_w)) = (along(h), along(w));
        let (outputs, terms) = (c.size(20), 9 * channels);
        let (low, high) = c.clamp();
        let parameters = Conv {
            kernel_h: 3,
            kernel_w: 3,
            stride_h: 1,
            stride_w: 1,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: top as u32,
            pad_left: left as u32,
            groups: 1,
            weights: 0,
            bias: 0,
            multipliers: 0,
            input_zero_point: c.zero_point(),
            zero_point: c.zero_point(),
            low,
            high,
            weight_zero_point: self.weight_zero_point(),
        };
        let operation = Operation::Conv {
            parameters,
            depthwise: false,
            affine: self.affine(terms * outputs, outputs, terms),
        };
        let output = self.tensor(Dtype::I8, &[n, out_h, out_w, outputs]);
        let macs = n * out_h * out_w * outputs * terms;
        self.step(operation, &[x], output, 0, macs)
    }
}

/// Convolutions in a row, most of them with a window that the algorithm takes.
fn network(seed: u64) -> Program {
    let mut maker = Maker::new(seed);
    let c = &mut maker.chance;
    let shape = [c.size(2), 3 + c.size(9), 2 + c.size(9), c.size(20)];
    let mut x = maker.input(Dtype::I8, &shape);
    for _ in 0..1 + maker.chance.size(4) {
        x = match maker.chance.size(8) {
            1 => maker.conv(x, true),
            2 => maker.conv(x, false),
            _ => maker.conv_3x3(x),
        };
    }
    maker.program.outputs.push(x);
    maker.program
}

fn by_tiles(program: &Program) -> usize {
    let winograd = |operation: &Operation| matches!(operation, Operation::Winograd { .. });
    (program.steps.iter())
        .filter(|step| winograd(&step.operation))
        .count()
}

/// In the engine where it has Cortex-M4's loops or their twin, else as far as the plan's
/// reader goes.
#[test]
fn the_bits_stay() {
    let mut steps = 0;
    for seed in 0..SEEDS {
        let program = network(seed);
        let changed = choose(&program, TARGET, usize::MAX, None);
        steps += by_tiles(&changed);
        if sanderling_engine::targets().any(|target| target == TARGET) {
            assert_target_gives(&program, &changed, TARGET, seed);
            continue;
        }
        let memory = plan_memory(&changed, TARGET);
        let bytes = Aligned::of(&emit::emit(&changed, &memory, TARGET, [7; 32], &[]));
        Plan::new(bytes.bytes()).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let inputs = reference::golden_inputs(&program, 1, seed).remove(0);
        assert_eq!(
            reference::run(&program, &inputs),
            reference::run(&changed, &inputs),
            "seed {seed}"
        );
    }
    println!("{steps} convolutions in {SEEDS} networks");
    assert!(steps as u64 > SEEDS / 2, "only {steps} convolutions");
}

#[test]
fn flash_and_arena_are_limits() {
    for seed in 0..SEEDS {
        let program = network(seed);
        let (all, none) = (
            choose(&program, TARGET, usize::MAX, None),
            choose(&program, TARGET, 0, None),
        );
        assert_eq!(by_tiles(&none), 0, "seed {seed}");
        let most = more_flash(&all, TARGET);
        let some = choose(&program, TARGET, most / 2, None);
        assert!(more_flash(&some, TARGET) <= most / 2, "seed {seed}");
        let arena = plan_memory(&program, TARGET).arena_bytes;
        let small = choose(&program, TARGET, usize::MAX, Some(arena));
        assert!(
            plan_memory(&small, TARGET).arena_bytes <= arena,
            "seed {seed}"
        );
    }
}

#[test]
fn other_targets_stay_direct() {
    for target in [Target::Generic, Target::CortexM55, Target::X86_64] {
        let changed = choose(&network(1), target, usize::MAX, None);
        assert_eq!(by_tiles(&changed), 0, "{target}");
    }
}
