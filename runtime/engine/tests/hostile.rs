//! Whatever `Plan::new` accepts, the engine runs without a panic and inside its arena.

#[path = "../../plan/tests/every_operator/mod.rs"]
mod every_operator;

use every_operator::Aligned;
use proptest::prelude::*;
use sanderling_engine::{Engine, work_bound};
use sanderling_plan::{Plan, header, step};

/// Arena bytes and elementary operations past which a mutated plan is not run.
const MOST_ARENA: usize = 1 << 16;
const MOST_WORK: u64 = 1 << 20;

/// Bytes from one to the next that is changed; Miri, which interprets, gets few.
const STRIDE: usize = if cfg!(miri) { 601 } else { 1 };

/// Runs what is accepted; says whether it was.
fn run(bytes: &[u8]) -> bool {
    let Ok(plan) = Plan::new(Aligned::new(bytes)) else {
        return false;
    };
    let need = plan.arena_bytes();
    if need > MOST_ARENA || work_bound(&plan) > MOST_WORK {
        return true;
    }
    let arena = Aligned::new(&vec![0x77; need + 64]);
    let Ok(mut engine) = Engine::new(plan, arena) else {
        return true;
    };
    engine.run().expect("a plan that was accepted runs");
    // It may differ from golden vectors that belong to another plan, and must say so.
    let _ = engine.self_test();
    let (_, arena) = engine.into_parts();
    let guard = &arena.as_ref()[need..];
    assert!(
        guard.iter().all(|&byte| byte == 0x77),
        "wrote behind the arena"
    );
    true
}

fn good() -> Vec<u8> {
    every_operator::plan(|_| vec![0; 12])
}

/// Where the section of that number starts and how long it is.
fn section(plan: &[u8], section: header::Section) -> (usize, usize) {
    let at = header::field::SECTIONS + 8 * section as usize;
    let word = |at: usize| u32::from_le_bytes(plan[at..at + 4].try_into().unwrap()) as usize;
    (word(at), word(at + 4))
}

#[test]
fn every_flipped_bit_of_header_tensors_and_steps_runs_or_is_refused() {
    for bytes in [good(), every_operator::winograd::plan()] {
        flip_every_bit(bytes);
    }
}

fn flip_every_bit(mut bytes: Vec<u8>) {
    let (described, _) = section(&bytes, header::Section::Constants);
    let mut accepted = 0;
    for at in (0..described).step_by(STRIDE) {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            accepted += usize::from(run(&bytes));
            bytes[at] ^= 1 << bit;
        }
    }
    // Names, scales, and digests may be anything; sizes may not.
    assert!(
        (500 / STRIDE..described * 8).contains(&accepted),
        "{accepted} of {}",
        described * 8
    );
}

#[test]
fn every_byte_of_constants_runs() {
    let mut bytes = good();
    let (start, len) = section(&bytes, header::Section::Constants);
    for at in (start..start + len).step_by(STRIDE) {
        let before = bytes[at];
        for byte in [0, 0x7f, 0x80, 0xff] {
            bytes[at] = byte;
            run(&bytes);
        }
        bytes[at] = before;
    }
}

/// Words that are small, extreme, or anything.
fn word() -> impl Strategy<Value = u32> {
    let near_max = (0u32..16).prop_map(|n| u32::MAX - n);
    let powers = (0u32..31).prop_map(|n| 1 << n);
    let floats = any::<f32>().prop_map(f32::to_bits);
    prop_oneof![6 => 0u32..20, 1 => any::<u32>(), 1 => near_max, 1 => powers, 1 => floats]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 5 } else { 4000 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_words_of_one_step_run_or_are_refused(
        which in 0usize..15,
        changes in prop::collection::vec((0..step::BYTES / 4, word()), 1..5),
    ) {
        let mut bytes = good();
        let start = section(&bytes, header::Section::Steps).0 + which * step::BYTES;
        for (index, word) in changes {
            let at = start + 4 * index;
            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        run(&bytes);
    }

    #[test]
    fn changed_words_of_a_step_by_tiles_run_or_are_refused(
        which in 0usize..2,
        changes in prop::collection::vec((0..step::BYTES / 4, word()), 1..5),
    ) {
        let mut bytes = every_operator::winograd::plan();
        let start = section(&bytes, header::Section::Steps).0 + which * step::BYTES;
        for (index, word) in changes {
            let at = start + 4 * index;
            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        run(&bytes);
    }

    #[test]
    fn changed_bytes_anywhere_run_or_are_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = good();
        let len = bytes.len();
        for (at, byte) in changes {
            bytes[at.index(len)] = byte;
        }
        run(&bytes);
    }
}
