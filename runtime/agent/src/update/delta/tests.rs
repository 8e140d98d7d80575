//! A delta in chunks of any size, in any order, with any blocks here already; whole and damaged.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn files(size: usize, seed: u32, every: usize) -> (Vec<u8>, Vec<u8>) {
    let base: Vec<u8> = (0..size as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8)
        .collect();
    let mut new = base.clone();
    let mut draw = u64::from(seed) | 1 << 40;
    for byte in &mut new {
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        if draw.is_multiple_of(every as u64) {
            *byte = byte.wrapping_add((draw >> 60) as u8);
        }
    }
    (base, new)
}

fn begin(base: &[u8], new: &[u8], delta: &[u8], chunk: u32) -> (ByDelta, Pull) {
    let signed = wire::Delta {
        artifact: 0,
        base: Digest(digest(base)),
        digest: Digest(digest(delta)),
        size: delta.len() as u64,
    };
    let stall = Duration::from_secs(5);
    let pull = Pull::new(signed.digest, signed.size, chunk, 1000, stall).expect("a layout");
    let new = (digest(new), new.len() as u32);
    (ByDelta::new(signed, new, Old::Read(base.to_vec())), pull)
}

/// Gives it the chunks that it still asks for, the one at `turn` of them first; the blocks that came out, and how many
/// chunks it took.
fn run(
    by: &mut ByDelta,
    pull: &mut Pull,
    delta: &[u8],
    here: &BTreeSet<u32>,
    mut turn: impl FnMut(usize) -> usize,
) -> Result<(Vec<Made>, usize), String> {
    let (mut made, mut taken) = (Vec::new(), 0);
    let now = Instant::now();
    loop {
        by.head(pull)?;
        by.plan(pull, |block| here.contains(&block))?;
        while let Some(block) = by.next(pull)? {
            made.push(block);
        }
        let missing: Vec<u32> = (0..pull.layout().count())
            .filter(|&chunk| {
                let range = pull.layout().range(chunk).expect("in the layout");
                pull.place(pull.release(), range.start, range.clone().count())
                    != Ok(super::super::pull::Arrival::Again)
            })
            .collect();
        if missing.is_empty() {
            return Ok((made, taken));
        }
        // The head and the table come in order; after them any chunk may come first.
        let at = if by.is_planned() {
            turn(missing.len())
        } else {
            0
        };
        let chunk = missing[at];
        let range = pull.layout().range(chunk).expect("in the layout");
        by.keep(chunk, &delta[range.start as usize..range.end as usize]);
        pull.stored(chunk, now);
        taken += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_chunks_in_any_order_make_the_blocks_that_lack(
        size in 1usize..40_000,
        seed in any::<u32>(),
        every in 1usize..50,
        block in prop::sample::select(vec![256u32, 1024, 4096]),
        chunk in 256u32..5000,
        here in prop::collection::btree_set(0u32..40, 0..40),
        order in any::<usize>(),
    ) {
        let (base, new) = files(size, seed, every);
        let delta = sanderling_delta::make(&base, &new, block).expect("a delta");
        let (mut by, mut pull) = begin(&base, &new, &delta, chunk);
        let turn = |left: usize| order % left;
        let (made, taken) = run(&mut by, &mut pull, &delta, &here, turn).expect("a sound delta");
        let lacking = (0..(new.len() as u32).div_ceil(block)).filter(|index| !here.contains(index));
        prop_assert_eq!(made.iter().map(|made| made.index).collect::<Vec<_>>(), lacking.collect::<Vec<_>>());
        for made in &made {
            let from = (made.index * block) as usize;
            prop_assert_eq!(&made.bytes[..], &new[from..new.len().min(from + block as usize)]);
        }
        prop_assert!(taken <= pull.layout().count() as usize);
    }

    #[test]
    fn a_damaged_delta_gives_no_wrong_block(
        seed in any::<u32>(),
        at in any::<prop::sample::Index>(),
        bits in 1u8..,
        chunk in 256u32..5000,
    ) {
        let (base, new) = files(20_000, seed, 7);
        let delta = sanderling_delta::make(&base, &new, 4096).expect("a delta");
        let mut damaged = delta.clone();
        let at = at.index(damaged.len());
        damaged[at] ^= bits;
        let (mut by, mut pull) = begin(&base, &new, &delta, chunk);
        // Some bytes of a block mean nothing; what comes out is right or nothing.
        if let Ok((made, _)) = run(&mut by, &mut pull, &damaged, &BTreeSet::new(), |_| 0) {
            for made in made {
                let from = made.index as usize * 4096;
                prop_assert_eq!(&made.bytes[..], &new[from..new.len().min(from + 4096)]);
            }
        }
    }
}

#[test]
fn what_is_here_already_is_not_pulled() {
    let (base, new) = files(400_000, 1, 3);
    let delta = sanderling_delta::make(&base, &new, 4096).expect("a delta");
    let here: BTreeSet<u32> = (0..90).collect();
    let (mut by, mut pull) = begin(&base, &new, &delta, 1024);
    let (made, taken) = run(&mut by, &mut pull, &delta, &here, |_| 0).expect("a sound delta");
    assert_eq!(made.len(), 98 - 90);
    let all = pull.layout().count() as usize;
    assert!(taken * 5 < all, "{taken} of {all} chunks");
}

#[test]
fn a_delta_between_other_models_is_of_no_use() {
    let (base, new) = files(9000, 1, 9);
    let delta = sanderling_delta::make(&base, &new, 4096).expect("a delta");
    let (mut by, mut pull) = begin(&new, &base, &delta, 1024);
    let why = run(&mut by, &mut pull, &delta, &BTreeSet::new(), |_| 0).expect_err("another model");
    assert!(why.contains("other models"), "{why}");
    let (mut by, mut pull) = begin(&base, &new, &delta[..50], 1024);
    let why = run(&mut by, &mut pull, &delta[..50], &BTreeSet::new(), |_| 0);
    assert!(why.expect_err("too short").contains("too short"));
}

#[test]
fn a_spare_slot_that_was_overwritten_is_no_base() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("b.model");
    let (base, new) = files(9000, 1, 9);
    let delta = sanderling_delta::make(&base, &new, 4096).expect("a delta");
    for damaged in [false, true] {
        let mut there = [&base[..], &[0; 100]].concat();
        there[500] ^= u8::from(damaged);
        std::fs::write(&path, &there).expect("writable");
        let (mut by, mut pull) = begin(&base, &new, &delta, 1024);
        by.old = Old::Spare(File::open(&path).expect("readable"));
        let made = run(&mut by, &mut pull, &delta, &BTreeSet::new(), |_| 0);
        match damaged {
            false => assert_eq!(made.expect("it is whole").0.len(), 3),
            true => assert!(made.expect_err("it is not").contains("not whole")),
        }
    }
}
