//! Convolutions that run row by row keep their bits and need a smaller arena.

use crate::make::Maker;
use crate::run::assert_engine_gives;
use sanderling_compiler::memory::plan_memory;
use sanderling_compiler::program::Program;
use sanderling_compiler::streaming::fit;
use sanderling_plan::{Dtype, Target};

const SEEDS: u64 = 300;

/// Convolutions in a row, now and then with something else between.
fn network(seed: u64) -> Program {
    let mut maker = Maker::new(seed);
    let c = &mut maker.chance;
    let shape = [1, 3 + c.size(12), 2 + c.size(9), c.size(8)];
    let mut x = maker.input(Dtype::I8, &shape);
    for _ in 0..2 + maker.chance.size(8) {
        x = match maker.chance.size(12) {
            1 => maker.max_pool(x),
            2 => {
                let y = maker.lookup(x, Dtype::I8);
                maker.add(x, y)
            }
            3..=6 => maker.conv(x, true),
            _ => maker.conv(x, false),
        };
    }
    maker.program.outputs.push(x);
    maker.program
}

#[test]
fn a_stream_keeps_the_bits() {
    let (mut streamed, mut bytes) = (0, [0; 2]);
    for seed in 0..SEEDS {
        let program = network(seed);
        let (small, memory) = fit(&program, Target::Generic, 0);
        let before = plan_memory(&program, Target::Generic).arena_bytes;
        assert!(memory.arena_bytes <= before, "seed {seed}");
        streamed += u64::from(!small.streams.is_empty());
        bytes[0] += before;
        bytes[1] += memory.arena_bytes;
        assert_engine_gives(&program, &small, seed);
    }
    println!("{streamed} of {SEEDS} networks stream: {bytes:?} bytes of arena");
    assert!(streamed > SEEDS / 10, "only {streamed} of {SEEDS} stream");
}

#[test]
fn a_network_that_fits_is_left_as_it_is() {
    for seed in 0..20 {
        let program = network(seed);
        let plain = plan_memory(&program, Target::Generic).arena_bytes;
        let (same, memory) = fit(&program, Target::Generic, plain);
        assert!(same.streams.is_empty(), "seed {seed}");
        assert_eq!(memory.arena_bytes, plain, "seed {seed}");
    }
}
