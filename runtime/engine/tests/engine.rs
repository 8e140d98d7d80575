//! What an engine accepts, and what its self-test says.

#[path = "../../plan/tests/every_operator/mod.rs"]
mod every_operator;

use every_operator::Aligned;
use sanderling_engine::{Engine, EngineError, RunError, SelfTestError, runs, work_bound};
use sanderling_plan::step::Fill;
use sanderling_plan::writer::{StepRecord, TensorRecord, Writer};
use sanderling_plan::{Dtype, Operator, Place, Plan, Shape, Target, header};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::LazyLock;

fn plan() -> Plan<Aligned> {
    Plan::new(Aligned::new(&WITH_ANSWERS)).unwrap()
}

/// The plan of every operator with golden vectors that hold.
static WITH_ANSWERS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    every_operator::plan(|input| {
        let plan = Plan::new(Aligned::new(&every_operator::plan(|_| vec![0; 12]))).unwrap();
        let mut engine = Engine::new(plan, arena(0)).unwrap();
        engine.input_mut(0).unwrap().copy_from_slice(input);
        engine.run().unwrap();
        engine.output(0).unwrap().to_vec()
    })
});

fn arena(pattern: u8) -> Aligned {
    Aligned::new(&[pattern; 4096])
}

#[test]
fn every_operator_in_one_plan_passes_its_golden_vectors() {
    for pattern in [0, 0xff, 0x5a] {
        let mut engine = Engine::new(plan(), arena(pattern)).unwrap();
        assert_eq!(engine.self_test(), Ok(()));
    }
    // The probabilities are not all alike, so that the steps before them mattered.
    let mut engine = Engine::new(plan(), arena(0)).unwrap();
    engine.self_test().unwrap();
    let scores: &[f32] = bytemuck::cast_slice(engine.output(0).unwrap());
    assert!(
        scores.windows(2).any(|pair| pair[0] != pair[1]),
        "{scores:?}"
    );
    assert!(
        (scores.iter().sum::<f32>() - 1.0).abs() < 0.02,
        "{scores:?}"
    );
}

#[test]
fn a_wrong_golden_byte_is_found_and_named() {
    let mut bytes = WITH_ANSWERS.clone();
    // The output stands at the end of the golden section: 12 bytes and 4 of padding.
    let at = header::field::SECTIONS + 8 * header::Section::Golden as usize;
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let last = word(at) + word(at + 4) - 16;
    let right = bytes[last + 6];
    bytes[last + 6] ^= 0x40;
    let mut engine = Engine::new(Plan::new(Aligned::new(&bytes)).unwrap(), arena(0)).unwrap();
    let error = engine.self_test().unwrap_err();
    let expected = SelfTestError::Differs {
        vector: 0,
        output: 0,
        byte: 6,
        expected: right ^ 0x40,
        got: right,
    };
    assert_eq!(error, expected);
    assert!(
        error
            .to_string()
            .starts_with("golden vector 0, output 0, byte 6: expected 0x")
    );
}

#[test]
fn an_arena_that_does_not_fit_is_refused() {
    let need = plan().arena_bytes();
    let small = Aligned::new(&vec![0; need - 1]);
    let error = Engine::new(plan(), small).unwrap_err();
    assert_eq!(
        error,
        EngineError::ArenaTooSmall {
            need,
            have: need - 1
        }
    );
    assert!(error.to_string().contains(&need.to_string()));

    let mut aligned = Aligned::new(&vec![0; need + 16]);
    let odd = &mut aligned.as_mut()[8..];
    assert_eq!(
        Engine::new(plan(), odd).unwrap_err(),
        EngineError::ArenaMisaligned
    );
    assert!(Engine::new(plan(), Aligned::new(&vec![0; need])).is_ok());
}

/// A plan for `target` that fills its output, so that nothing in it is packed.
fn filled(target: Target) -> Vec<u8> {
    let mut writer = Writer::new(target, [7; 32]);
    let [input, output] = ["input", "output"].map(|name| {
        writer.tensor(&TensorRecord {
            name,
            dtype: Dtype::I8,
            shape: Shape::new(&[4]).unwrap(),
            place: Place::Arena,
            offset: if name == "input" { 0 } else { 16 },
            scale: 1.0,
            zero_point: 0,
        })
    });
    writer.step(&StepRecord {
        name: "fill",
        operator: Operator::Fill(Fill { value: 7 }),
        inputs: &[],
        output,
        scratch_offset: 0,
        scratch_bytes: 0,
    });
    writer.finish(&[input], &[output], 32, output, 0)
}

#[test]
fn a_plan_for_another_processor_is_refused() {
    assert!(runs(Target::Generic));
    let mut refused = 0;
    for target in Target::ALL {
        let plan = Plan::new(Aligned::new(&filled(target))).unwrap();
        match Engine::new(plan, arena(0)) {
            Ok(mut engine) => {
                assert!(runs(target));
                engine.run().unwrap();
                assert_eq!(engine.output(0), Some(&[7u8; 4][..]));
            }
            Err(error) => {
                assert_eq!(error, EngineError::Target(target));
                assert!(error.to_string().contains(target.name()));
                refused += 1;
            }
        }
    }
    // Two kinds of Cortex-M, two of aarch64, one of x86-64; this is one processor.
    assert!((3..=4).contains(&refused), "{refused}");
}

#[test]
fn steps_one_by_one_give_what_a_run_gives() {
    let mut whole = Engine::new(plan(), arena(0)).unwrap();
    whole.self_test().unwrap();
    let mut single = Engine::new(plan(), arena(0)).unwrap();
    let input: Vec<u8> = (0..72u8)
        .flat_map(|i| (f32::from(i) * 0.1).to_le_bytes())
        .collect();
    for engine in [&mut whole, &mut single] {
        engine.input_mut(0).unwrap().copy_from_slice(&input);
    }
    whole.run().unwrap();
    let steps = single.plan().step_count();
    for step in 0..steps {
        single.run_step(step).unwrap();
    }
    assert_eq!(whole.output(0), single.output(0));
    assert_eq!(single.run_step(steps), Err(RunError { step: steps }));
    assert!(single.input_mut(1).is_none() && single.output(1).is_none());
}

/// An arena whose length the test changes from outside.
struct Shrinking {
    bytes: Aligned,
    len: Rc<Cell<usize>>,
}

impl AsRef<[u8]> for Shrinking {
    fn as_ref(&self) -> &[u8] {
        &self.bytes.as_ref()[..self.len.get()]
    }
}

impl AsMut<[u8]> for Shrinking {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes.as_mut()[..self.len.get()]
    }
}

#[test]
fn an_arena_that_shrinks_under_the_engine_ends_the_run_with_an_error() {
    let need = plan().arena_bytes();
    let len = Rc::new(Cell::new(need));
    let arena = Shrinking {
        bytes: Aligned::new(&vec![0; need]),
        len: Rc::clone(&len),
    };
    let mut engine = Engine::new(plan(), arena).unwrap();
    engine.run().unwrap();
    // Miri, which interprets, gets few of the lengths.
    for shorter in (0..need - 16).step_by(if cfg!(miri) { 211 } else { 1 }) {
        len.set(shorter);
        let error = engine.run().unwrap_err();
        assert!(error.to_string().contains("load the plan again"));
        assert!(engine.self_test().is_err());
    }
    len.set(need);
    engine.run().unwrap();
}

/// The smallest stack that a Linux thread can have; its own start takes a part of it.
#[test]
fn a_run_needs_little_stack() {
    let thread = std::thread::Builder::new().stack_size(16 * 1024);
    let tested = thread.spawn(|| {
        let mut engine = Engine::new(plan(), arena(0)).unwrap();
        engine.self_test()
    });
    assert_eq!(tested.unwrap().join().unwrap(), Ok(()));
}

#[test]
fn the_bound_on_work_lies_above_the_work() {
    let plan = plan();
    assert!((plan.macs()..10 * plan.macs()).contains(&work_bound(&plan)));
}
