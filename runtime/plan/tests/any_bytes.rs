//! `Plan::new` on any bytes returns, and what it accepts can be read to the end.

mod every_operator;

use every_operator::Aligned;
use proptest::prelude::*;
use sanderling_plan::{Plan, header, step, tensor};

/// Calls every accessor of a plan that was accepted.
fn read_all(plan: &Plan<Aligned>) {
    let _ = (
        plan.target(),
        plan.arena_bytes(),
        plan.macs(),
        plan.source_sha256(),
    );
    let _ = (
        plan.peak_tensor(),
        plan.bytes().len(),
        plan.constants().len(),
    );
    for index in 0..=plan.tensor_count() {
        let Ok(index) = u16::try_from(index) else {
            break;
        };
        if let Some(tensor) = plan.tensor(sanderling_plan::TensorId(index)) {
            let _ = (
                tensor.range(),
                plan.tensor_name(&tensor),
                tensor.shape.to_string(),
            );
        }
    }
    for step in plan.steps() {
        let _ = (step.inputs().len(), step.scratch(), plan.step_name(&step));
        let _ = (step.operator.words(), step.operator.name());
        assert!(step.scratch_bytes == 0 || step.scratch().end <= plan.arena_bytes());
    }
    let io: Vec<_> = plan.io_tensors().collect();
    assert_eq!(io.len(), plan.inputs().count() + plan.outputs().count());
    assert!(
        io.iter()
            .all(|(_, tensor)| tensor.range().end <= plan.arena_bytes())
    );
    for golden in plan.golden() {
        let parts = golden.parts(plan.io_tensors());
        assert_eq!(parts.count(), io.len());
    }
}

/// Whether the bytes were accepted; nothing panics either way.
fn accepted(bytes: &[u8]) -> bool {
    match Plan::new(Aligned::new(bytes)) {
        Ok(plan) => {
            read_all(&plan);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Where header, tensors, steps, and the list of inputs and outputs lie.
fn described(plan: &[u8]) -> usize {
    let constants = header::field::SECTIONS + 8 * header::Section::Constants as usize;
    u32::from_le_bytes(plan[constants..constants + 4].try_into().unwrap()) as usize
}

#[test]
fn every_truncation_is_refused() {
    let good = every_operator::plan(|_| vec![9; 12]);
    assert!(accepted(&good));
    for len in 0..good.len() {
        assert!(
            !accepted(&good[..len]),
            "accepted {len} of {} bytes",
            good.len()
        );
    }
}

#[test]
fn every_single_bit_of_header_tensors_and_steps() {
    let good = every_operator::plan(|_| vec![9; 12]);
    let mut bytes = good.clone();
    for at in 0..described(&good) {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            accepted(&bytes);
            bytes[at] ^= 1 << bit;
        }
    }
    assert_eq!(bytes, good);
}

#[test]
fn every_word_of_tensors_and_steps_at_its_extremes() {
    let good = every_operator::plan(|_| vec![9; 12]);
    let mut bytes = good.clone();
    for at in (header::field::TOTAL..described(&good)).step_by(4) {
        for word in [
            0,
            1,
            2,
            0x7f,
            0xffff,
            i32::MAX as u32,
            i32::MIN as u32,
            u32::MAX - 15,
            u32::MAX,
        ] {
            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
            accepted(&bytes);
        }
        bytes[at..at + 4].copy_from_slice(&good[at..at + 4]);
    }
    assert_eq!(bytes, good);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_return(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        accepted(&bytes);
    }

    #[test]
    fn arbitrary_bytes_behind_a_good_start_return(
        tail in prop::collection::vec(any::<u8>(), 120..900),
        total in 0u32..1200,
    ) {
        let mut bytes = header::MAGIC.to_vec();
        bytes.extend_from_slice(&tail);
        bytes[header::field::VERSION..header::field::VERSION + 4].copy_from_slice(&[1, 0, 0, 0]);
        bytes[header::field::TOTAL..header::field::TOTAL + 4].copy_from_slice(&total.to_le_bytes());
        accepted(&bytes);
    }

    #[test]
    fn several_changed_bytes_return(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = every_operator::plan(|_| vec![9; 12]);
        let described = described(&bytes);
        for (at, byte) in changes {
            bytes[at.index(described)] = byte;
        }
        accepted(&bytes);
    }

    #[test]
    fn several_changed_words_of_one_step_return(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), word()), 1..6),
    ) {
        let mut bytes = every_operator::plan(|_| vec![9; 12]);
        let steps = header::field::SECTIONS + 8 * header::Section::Steps as usize;
        let start = u32::from_le_bytes(bytes[steps..steps + 4].try_into().unwrap()) as usize;
        let at = start + which.index(15) * step::BYTES;
        for (index, word) in changes {
            let at = at + 4 * index.index(step::BYTES / 4);
            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        accepted(&bytes);
    }
}

/// Words that are small, extreme, or anything.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![
        0u32..20,
        any::<u32>(),
        (0u32..16).prop_map(|n| u32::MAX - n),
        (0u32..31).prop_map(|n| 1 << n)
    ]
}

#[test]
fn a_tensor_record_is_as_long_as_its_diagram_says() {
    assert_eq!((tensor::BYTES, step::BYTES, header::BYTES), (64, 128, 128));
}
