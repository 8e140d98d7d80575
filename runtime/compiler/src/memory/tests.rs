//! What the packer and the merging of lifetimes promise, on blocks and small programs.

use super::bound::Live;
use super::lifetime::Block;
use super::place::{self, Placement};
use super::{Lifetime, MemoryPlan, plan_memory};
use crate::program::{Operation, Program, Step, TensorId};
use crate::random::SplitMix64;
use sanderling_plan::step::{Copy, Fill};
use sanderling_plan::{Dtype, Operator, Target};

fn block(bytes: usize, first: usize, last: usize) -> Block {
    Block {
        bytes,
        lifetime: Lifetime { first, last },
    }
}

fn bound(blocks: &[Block]) -> usize {
    Live::of(blocks, &[]).most()
}

fn place(blocks: &[Block]) -> Placement {
    place::place(blocks, &[], bound(blocks))
}

fn random_blocks(random: &mut SplitMix64, count: usize, points: usize, units: usize) -> Vec<Block> {
    (0..count)
        .map(|_| {
            let first = random.below(points);
            let last = first + random.below((points - first).min(6));
            block(16 * (1 + random.below(units)), first, last)
        })
        .collect()
}

fn assert_no_overlap(blocks: &[Block], placement: &Placement, seed: u64) {
    for a in 0..blocks.len() {
        let (start, end) = (placement.offsets[a], placement.offsets[a] + blocks[a].bytes);
        assert!(
            start % 16 == 0 && end <= placement.bytes,
            "seed {seed}: block {a}"
        );
        for b in 0..a {
            let apart =
                end <= placement.offsets[b] || placement.offsets[b] + blocks[b].bytes <= start;
            let meet = blocks[a].lifetime.meets(&blocks[b].lifetime);
            assert!(apart || !meet, "seed {seed}: blocks {a} and {b} overlap");
        }
    }
}

/// The best that lowest fit reaches over every order, which is the optimum.
fn optimum(blocks: &[Block]) -> usize {
    fn extend(blocks: &[Block], placed: &mut Vec<(usize, usize)>, best: &mut usize) {
        if placed.len() == blocks.len() {
            let end = placed
                .iter()
                .map(|&(block, offset)| offset + blocks[block].bytes)
                .max();
            *best = (*best).min(end.unwrap_or(0));
            return;
        }
        for next in 0..blocks.len() {
            if placed.iter().any(|&(block, _)| block == next) {
                continue;
            }
            let mut taken: Vec<(usize, usize)> = placed
                .iter()
                .filter(|&&(block, _)| blocks[block].lifetime.meets(&blocks[next].lifetime))
                .map(|&(block, offset)| (offset, offset + blocks[block].bytes))
                .collect();
            taken.sort_unstable();
            let mut offset = 0;
            for (start, end) in taken {
                if offset + blocks[next].bytes <= start {
                    break;
                }
                offset = offset.max(end);
            }
            if offset + blocks[next].bytes < *best {
                placed.push((next, offset));
                extend(blocks, placed, best);
                placed.pop();
            }
        }
    }
    // Every later placement must beat `best`, so one past a reachable value is tried too.
    let mut best = blocks.iter().map(|block| block.bytes).sum::<usize>() + 1;
    extend(blocks, &mut Vec::new(), &mut best);
    best
}

#[test]
fn blocks_in_use_together_never_overlap() {
    for seed in 0..200 {
        let mut random = SplitMix64::new(seed);
        let count = random.below(40);
        let blocks = random_blocks(&mut random, count, 20, 50);
        let placement = place(&blocks);
        assert_no_overlap(&blocks, &placement, seed);
        assert!(placement.bytes >= bound(&blocks), "seed {seed}");
    }
}

#[test]
fn small_sets_of_blocks_are_packed_optimally() {
    for seed in 0..300 {
        let mut random = SplitMix64::new(seed);
        let blocks = random_blocks(&mut random, 7, 7, 9);
        assert_eq!(
            place(&blocks).bytes,
            optimum(&blocks),
            "seed {seed}: {blocks:?}"
        );
    }
}

#[test]
fn the_same_blocks_are_always_placed_the_same_way() {
    let blocks = random_blocks(&mut SplitMix64::new(11), 60, 25, 40);
    assert_eq!(place(&blocks).offsets, place(&blocks).offsets);
}

#[test]
fn large_random_sets_come_close_to_the_bound() {
    // Random lifetimes are harder than networks; what is held here is that the search
    // does not get worse unnoticed.
    let mut worst = 0.0f64;
    for seed in 0..10 {
        let blocks = random_blocks(&mut SplitMix64::new(seed), 120, 60, 64);
        let placement = place(&blocks);
        assert_no_overlap(&blocks, &placement, seed);
        let ratio = placement.bytes as f64 / bound(&blocks) as f64;
        println!("seed {seed}: {ratio:.4} of the bound");
        worst = worst.max(ratio);
    }
    assert!(worst < 1.08, "{worst}");
}

#[test]
fn the_bound_is_the_most_bytes_in_use_at_one_point() {
    let blocks = [block(32, 0, 2), block(16, 2, 2), block(64, 3, 4)];
    assert_eq!(
        [0, 2, 3, 5].map(|point| Live::of(&blocks, &[]).at(point)),
        [32, 48, 64, 0]
    );
    assert_eq!(bound(&blocks), 64);
    assert_eq!(bound(&[]), 0);
}

/// A program in the making, with operations that stand for their class only.
#[derive(Default)]
struct Sketch(Program);

impl Sketch {
    fn tensor(&mut self, bytes: usize) -> TensorId {
        self.0.add_tensor("t", Dtype::I8, vec![bytes], 0.0, 0)
    }

    fn input(&mut self, bytes: usize) -> TensorId {
        let id = self.tensor(bytes);
        self.0.inputs.push(id);
        id
    }

    fn step(
        &mut self,
        operation: Operation,
        inputs: &[TensorId],
        output: TensorId,
        scratch: usize,
    ) {
        self.0.steps.push(Step {
            name: String::new(),
            operation,
            inputs: inputs.to_vec(),
            output,
            scratch_bytes: scratch,
            macs: 0,
        });
    }

    /// A step whose output must be apart from its inputs.
    fn apart(&mut self, inputs: &[TensorId], bytes: usize, scratch: usize) -> TensorId {
        let output = self.tensor(bytes);
        self.step(copy(), inputs, output, scratch);
        output
    }

    /// A step that may work in place.
    fn elementwise(&mut self, inputs: &[TensorId]) -> TensorId {
        let output = self.tensor(self.0.tensor(inputs[0]).bytes());
        self.step(Operation::Lookup { table: [0; 256] }, inputs, output, 0);
        output
    }

    fn plan(&self) -> MemoryPlan {
        plan_memory(&self.0, Target::Generic)
    }
}

fn copy() -> Operation {
    Operation::Plain(Operator::Copy(Copy {
        shape: [1; 6],
        from_strides: [0; 6],
        to_strides: [0; 6],
        from: 0,
        to: 0,
    }))
}

#[test]
fn a_chain_needs_its_largest_two_neighbours_and_their_scratch() {
    let mut sketch = Sketch::default();
    let mut last = sketch.input(100);
    for (bytes, scratch) in [(640, 0), (320, 64), (500, 16), (10, 0)] {
        last = sketch.apart(&[last], bytes, scratch);
    }
    sketch.0.outputs.push(last);
    let plan = sketch.plan();
    assert_eq!(plan.arena_bytes, 640 + 320 + 64);
    assert_eq!(plan.lower_bound, plan.arena_bytes);
    assert_eq!(plan.peak_step, 1);
    let peak = plan.peak_tensor.map(|id| sketch.0.tensor(id).bytes());
    assert_eq!(peak, Some(640));
}

#[test]
fn an_in_place_chain_needs_one_buffer() {
    let mut sketch = Sketch::default();
    let mut last = sketch.input(100);
    for _ in 0..5 {
        last = sketch.elementwise(&[last]);
    }
    sketch.0.outputs.push(last);
    let plan = sketch.plan();
    assert_eq!(plan.arena_bytes, 112);
    assert_eq!(plan.in_place, vec![Some(0); 5]);
    assert!(plan.offsets.iter().all(|&offset| offset == Some(0)));
}

#[test]
fn an_input_that_is_still_read_is_not_taken() {
    let mut sketch = Sketch::default();
    let x = sketch.input(64);
    let y = sketch.elementwise(&[x]);
    let z = sketch.elementwise(&[y, x]);
    sketch.0.outputs.push(z);
    let plan = sketch.plan();
    assert_eq!(plan.in_place, vec![None, Some(0)]);
    assert_eq!(plan.arena_bytes, 128);
}

#[test]
fn an_output_of_the_model_is_not_overwritten() {
    let mut sketch = Sketch::default();
    let x = sketch.input(64);
    let y = sketch.elementwise(&[x]);
    let z = sketch.elementwise(&[y]);
    sketch.0.outputs.extend([y, z]);
    let plan = sketch.plan();
    assert_eq!(plan.in_place, vec![Some(0), None]);
    assert_eq!(plan.arena_bytes, 128);
}

#[test]
fn a_constant_is_not_overwritten() {
    let mut sketch = Sketch::default();
    let x = sketch.input(64);
    let k = sketch.0.add_constant("k", vec![64], &[1; 64], 1.0, 0);
    let y = sketch.elementwise(&[k, x]);
    sketch.0.outputs.push(y);
    let plan = sketch.plan();
    assert_eq!(plan.in_place, vec![Some(1)]);
    assert_eq!(plan.offset(sketch.0.tensor(k).buffer), None);
    assert_eq!(plan.arena_bytes, 64);
}

#[test]
fn a_tensor_that_several_steps_write_is_kept_apart_from_first_write_to_last_read() {
    let mut sketch = Sketch::default();
    let x = sketch.input(64);
    let y = sketch.elementwise(&[x]);
    let joined = sketch.tensor(128);
    let fill = Operation::Plain(Operator::Fill(Fill { value: 0 }));
    sketch.step(fill, &[], joined, 0);
    sketch.step(copy(), &[y], joined, 0);
    let between = sketch.apart(&[y], 32, 0);
    sketch.step(copy(), &[between], joined, 0);
    let z = sketch.elementwise(&[joined]);
    sketch.0.outputs.push(z);
    let plan = sketch.plan();
    let joined = sketch.0.tensor(joined).buffer;
    assert_eq!(
        plan.lifetimes[joined.0],
        Some(Lifetime { first: 2, last: 6 })
    );
    assert_eq!(plan.arena_bytes, 128 + 64 + 32);
    assert_eq!(
        plan.in_place,
        vec![Some(0), None, None, None, None, Some(0)]
    );
}

#[test]
fn a_tensor_that_was_filled_before_does_not_take_the_input_of_a_later_part() {
    let mut sketch = Sketch::default();
    let x = sketch.input(64);
    let joined = sketch.tensor(64);
    let fill = Operation::Plain(Operator::Fill(Fill { value: 0 }));
    sketch.step(fill, &[], joined, 0);
    let lookup = Operation::Lookup { table: [0; 256] };
    sketch.step(lookup, &[x], joined, 0);
    sketch.0.outputs.push(joined);
    let plan = sketch.plan();
    assert_eq!(plan.in_place, vec![None, None]);
    assert_eq!(plan.arena_bytes, 128);
}

#[test]
fn an_input_that_nothing_reads_has_a_place_of_its_own_among_the_inputs() {
    let mut sketch = Sketch::default();
    let x = sketch.input(64);
    let unread = sketch.input(48);
    let y = sketch.apart(&[x], 48, 0);
    sketch.0.outputs.push(y);
    let plan = sketch.plan();
    let at = |id: TensorId| plan.offset(sketch.0.tensor(id).buffer);
    assert_ne!(at(unread), at(x));
    // The output may lie where the unread input was.
    assert_eq!(plan.arena_bytes, 112);
}

#[test]
fn a_model_without_steps_still_has_its_tensors() {
    let mut sketch = Sketch::default();
    let x = sketch.input(20);
    sketch.0.outputs.push(x);
    let plan = sketch.plan();
    assert_eq!((plan.arena_bytes, plan.peak_tensor), (32, Some(x)));
    assert_eq!(
        plan_memory(&Program::default(), Target::Generic).arena_bytes,
        0
    );
}

#[test]
fn random_programs_keep_everything_in_use_apart() {
    for seed in 0..300 {
        let mut random = SplitMix64::new(seed);
        let sketch = random_sketch(&mut random);
        let plan = sketch.plan();
        assert!(plan.arena_bytes >= plan.lower_bound, "seed {seed}");
        assert_eq!(
            plan.live_bytes.iter().max().copied(),
            Some(plan.live_bytes[plan.peak_step])
        );
        assert_apart(&sketch.0, &plan, seed);
    }
}

fn random_sketch(random: &mut SplitMix64) -> Sketch {
    let mut sketch = Sketch::default();
    let mut known: Vec<TensorId> = (0..1 + random.below(3))
        .map(|_| {
            let bytes = 1 + random.below(300);
            sketch.input(bytes)
        })
        .collect();
    for _ in 0..1 + random.below(25) {
        // Recent tensors are read more often, as in networks.
        let back = 1 + random.below(4).min(known.len() - 1);
        let x = known[known.len() - back];
        let far = known[random.below(known.len())];
        let same = sketch.0.tensor(far).bytes() == sketch.0.tensor(x).bytes();
        let output = match random.below(4) {
            0 | 1 if same => sketch.elementwise(&[x, far]),
            0 | 1 => sketch.elementwise(&[x]),
            2 => {
                let joined =
                    sketch.tensor(sketch.0.tensor(x).bytes() + sketch.0.tensor(far).bytes());
                sketch.step(copy(), &[x], joined, 0);
                sketch.step(copy(), &[far], joined, 0);
                joined
            }
            _ => {
                let (bytes, scratch) = (1 + random.below(300), random.below(3) * random.below(90));
                sketch.apart(&[x], bytes, scratch)
            }
        };
        known.push(output);
    }
    let last = known[known.len() - 1];
    let other = known[random.below(known.len())];
    sketch.0.outputs.push(last);
    if other != last {
        sketch.0.outputs.push(other);
    }
    sketch
}

/// Replays the program over a map from arena byte to the buffer that owns it, without
/// knowing about lifetimes: what a step reads must still belong to whom it was written by.
fn assert_apart(program: &Program, plan: &MemoryPlan, seed: u64) {
    let mut owner: Vec<Option<usize>> = vec![None; plan.arena_bytes];
    let range = |id: TensorId| {
        let tensor = program.tensor(id);
        let offset = plan
            .offset(tensor.buffer)
            .unwrap_or_else(|| panic!("seed {seed}: {id:?}"));
        (tensor.buffer.0, offset..offset + tensor.bytes())
    };
    let claim = |owner: &mut [Option<usize>], id: TensorId| {
        let (buffer, bytes) = range(id);
        owner[bytes].fill(Some(buffer));
    };
    let holds = |owner: &[Option<usize>], id: TensorId| {
        let (buffer, bytes) = range(id);
        owner[bytes].iter().all(|&by| by == Some(buffer))
    };
    for &input in &program.inputs {
        claim(&mut owner, input);
    }
    for &input in &program.inputs {
        assert!(holds(&owner, input), "seed {seed}: inputs overlap");
    }
    let mut written: Vec<bool> = vec![false; program.buffers.len()];
    for (index, step) in program.steps.iter().enumerate() {
        let scratch = plan.scratch_offsets[index]..plan.scratch_offsets[index] + step.scratch_bytes;
        owner[scratch].fill(None);
        let output = program.tensor(step.output).buffer.0;
        if std::mem::replace(&mut written[output], true) {
            assert!(
                holds(&owner, step.output),
                "seed {seed}: step {index} lost an earlier part"
            );
        }
        for &input in &step.inputs {
            assert!(
                holds(&owner, input),
                "seed {seed}: step {index} reads what is gone"
            );
        }
        claim(&mut owner, step.output);
        for &input in &step.inputs {
            let shares = range(input).1 == range(step.output).1;
            let in_place = step.operation.works_in_place() && shares;
            assert!(
                in_place || holds(&owner, input),
                "seed {seed}: step {index} overwrites"
            );
        }
    }
    for &output in &program.outputs {
        assert!(holds(&owner, output), "seed {seed}: an output is gone");
    }
}
