//! Whatever changes, the delta gives the new file; whatever a delta's bytes say, applying returns, reads the base
//! alone, and gives no more than the block.

use proptest::collection::vec;
use proptest::prelude::*;
use sanderling_delta::{
    Applier, Base, Delta, HEADER_BYTES, MAX_BLOCK, MIN_BLOCK, MakeError, PIECE, WholeError, apply,
    block_for, make, make_while, pays,
};

/// A base that minds its borders.
struct Guarded<'a>(&'a [u8]);

impl Base for Guarded<'_> {
    type Error = ();

    fn read(&mut self, offset: u32, into: &mut [u8]) -> Result<(), ()> {
        assert!(into.len() <= PIECE);
        let from = &self.0[offset as usize..offset as usize + into.len()];
        into.copy_from_slice(from);
        Ok(())
    }
}

/// Applies what can be applied, as a robot does; gives how many blocks came out right.
fn try_all(base: &[u8], bytes: &[u8]) -> usize {
    let Some(Ok(delta)) = bytes.first_chunk::<HEADER_BYTES>().map(Delta::open) else {
        return 0;
    };
    if delta.base_size() as usize != base.len() {
        return 0;
    }
    let part = |range: std::ops::Range<u32>| bytes.get(range.start as usize..range.end as usize);
    let mut applier = Applier::new();
    let mut right = 0;
    for index in 0..delta.blocks().min(64) {
        let Some(entries) = delta.entry_place(index).and_then(part) else {
            continue;
        };
        let Some(block) = delta.block_at(index, entries) else {
            continue;
        };
        let Some(input) = part(block.bytes.clone()) else {
            continue;
        };
        let mut next = block.offset;
        let sink = |at: u32, piece: &[u8]| {
            assert_eq!(at, next, "pieces come in order");
            next += piece.len() as u32;
            assert!(
                next <= block.offset + block.length,
                "no more than the block"
            );
            Ok::<(), ()>(())
        };
        right += usize::from(
            applier
                .block(&delta, &block, input, &mut Guarded(base), sink)
                .is_ok(),
        );
    }
    right
}

/// Puts a right checksum over a changed head, so that what it says is looked at.
fn vouch(bytes: &mut [u8]) {
    let mut crc = !0u32;
    for &byte in &bytes[..HEADER_BYTES - 4] {
        crc = (0..8).fold(crc ^ u32::from(byte), |c, _| {
            if c & 1 == 1 {
                c >> 1 ^ 0xEDB8_8320
            } else {
                c >> 1
            }
        });
    }
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&(!crc).to_le_bytes());
}

#[derive(Clone, Debug)]
enum Change {
    /// Small steps up and down, one byte in so many.
    Drift(usize, u8),
    /// Other bytes.
    Replace(usize, Vec<u8>),
    /// Bytes in between.
    Insert(usize, Vec<u8>),
    /// Bytes fewer.
    Remove(usize, usize),
    /// One part at another place.
    Move(usize, usize, usize),
    /// A few words again and again.
    Words(usize, usize, u32),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (1usize..20, 1u8..9).prop_map(|(n, by)| Change::Drift(n, by)),
        (any::<usize>(), vec(any::<u8>(), 1..2000)).prop_map(|(at, b)| Change::Replace(at, b)),
        (any::<usize>(), vec(any::<u8>(), 1..700)).prop_map(|(at, b)| Change::Insert(at, b)),
        (any::<usize>(), 1usize..3000).prop_map(|(at, n)| Change::Remove(at, n)),
        (any::<usize>(), any::<usize>(), 1usize..3000).prop_map(|(a, b, n)| Change::Move(a, b, n)),
        (any::<usize>(), 1usize..3000, any::<u32>()).prop_map(|(a, n, w)| Change::Words(a, n, w)),
    ]
}

fn changed(base: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut new = base.to_vec();
    for change in changes {
        let place = |at: usize, len: usize| at % (len + 1);
        match change {
            Change::Drift(every, by) => {
                for (i, byte) in new.iter_mut().step_by(*every).enumerate() {
                    *byte = byte.wrapping_add((i as u8 % (2 * by + 1)).wrapping_sub(*by));
                }
            }
            Change::Replace(at, bytes) => {
                let at = place(*at, new.len());
                let end = new.len().min(at + bytes.len());
                new.splice(at..end, bytes.iter().copied());
            }
            Change::Insert(at, bytes) => {
                let at = place(*at, new.len());
                new.splice(at..at, bytes.iter().copied());
            }
            Change::Remove(at, count) => {
                let at = place(*at, new.len());
                let end = new.len().min(at + count);
                new.drain(at..end);
            }
            Change::Move(from, to, count) => {
                let from = place(*from, new.len());
                let end = new.len().min(from + count);
                let part: Vec<u8> = new.drain(from..end).collect();
                let to = place(*to, new.len());
                new.splice(to..to, part);
            }
            Change::Words(at, count, word) => {
                let at = place(*at, new.len());
                let words = (0..*count as u32)
                    .flat_map(|i| (word.rotate_left(i % 5) ^ (i % 3)).to_le_bytes());
                let words: Vec<u8> = words.collect();
                new.splice(at..at, words);
            }
        }
    }
    new
}

fn blocks() -> impl Strategy<Value = u32> {
    (MIN_BLOCK.ilog2()..=MAX_BLOCK.ilog2()).prop_map(|log| 1 << log)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_change_is_made_and_applied(
        base in vec(any::<i8>().prop_map(|w| (w / 3) as u8), 0..9000),
        changes in vec(change(), 0..5),
        block in blocks(),
    ) {
        let new = changed(&base, &changes);
        match make(&base, &new, block) {
            Ok(delta) => {
                let out = apply(&base, &delta);
                prop_assert_eq!(out.as_ref(), Ok(&new));
                // A block is never told in more bytes than it has.
                let head = HEADER_BYTES + 8 * new.len().div_ceil(block as usize);
                prop_assert!(delta.len() <= head + new.len());
                prop_assert_eq!(&make(&base, &new, block).unwrap(), &delta);
            }
            Err(error) => prop_assert_eq!((error, new.len()), (MakeError::Empty, 0)),
        }
    }

    #[test]
    fn damage_is_found_or_harmless(
        base in vec(any::<i8>().prop_map(|w| (w / 5) as u8), 600..3000),
        changes in vec(change(), 1..4),
        damage in vec((any::<usize>(), any::<u8>()), 1..6),
        vouched in any::<bool>(),
    ) {
        let new = changed(&base, &changes);
        prop_assume!(!new.is_empty());
        let delta = make(&base, &new, 512).unwrap();
        let mut bytes = delta.clone();
        for (at, value) in damage {
            let at = at % bytes.len();
            bytes[at] ^= value;
        }
        if vouched {
            vouch(&mut bytes);
        }
        try_all(&base, &bytes);
        match apply(&base, &bytes) {
            Ok(out) => prop_assert_eq!(out, new),
            Err(_) => prop_assert_ne!(bytes, delta),
        }
    }

    #[test]
    fn any_bytes_return(
        base in vec(any::<u8>(), 0..2000),
        sizes in (0u32..100_000, 0u32..100_000, 0u8..20),
        body in vec(any::<u8>(), 0..4000),
    ) {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..4].copy_from_slice(b"SDLT");
        bytes[4] = 1;
        bytes[5] = sizes.2;
        bytes[8..12].copy_from_slice(&(base.len() as u32).to_le_bytes());
        bytes[12..16].copy_from_slice(&sizes.0.to_le_bytes());
        bytes[16..20].copy_from_slice(&sizes.1.to_le_bytes());
        vouch(&mut bytes);
        bytes.extend(body);
        try_all(&base, &bytes);
    }

    #[test]
    fn bytes_cut_short_are_an_error(base in vec(any::<u8>(), 1..3000), cut in any::<usize>()) {
        let mut new = base.clone();
        new.reverse();
        let delta = make(&base, &new, 256).unwrap();
        prop_assert!(apply(&base, &delta[..cut % delta.len()]).is_err());
    }
}

#[test]
fn another_base_is_refused_before_anything_is_written() {
    let (base, other, new) = ([1u8; 3000], [2u8; 3000], [3u8; 3000]);
    let delta = make(&base, &new, 1024).unwrap();
    assert_eq!(apply(&other, &delta), Err(WholeError::OtherBase));
    assert_eq!(apply(&base[1..], &delta), Err(WholeError::OtherBase));
}

#[test]
fn blocks_come_in_any_order() {
    let base: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
    let new: Vec<u8> = base.iter().rev().map(|b| b ^ 1).collect();
    let bytes = make(&base, &new, 512).unwrap();
    let delta = Delta::open(bytes.first_chunk().unwrap()).unwrap();
    let mut out = vec![0; new.len()];
    let mut applier = Applier::new();
    for index in (0..delta.blocks()).rev() {
        let place = delta.entry_place(index).unwrap();
        let block = delta
            .block_at(index, &bytes[place.start as usize..place.end as usize])
            .unwrap();
        let input = &bytes[block.bytes.start as usize..block.bytes.end as usize];
        let sink = |at: u32, piece: &[u8]| {
            out[at as usize..][..piece.len()].copy_from_slice(piece);
            Ok::<(), ()>(())
        };
        applier
            .block(&delta, &block, input, &mut &base[..], sink)
            .unwrap();
    }
    assert_eq!(out, new);
}

#[test]
fn sizes_that_are_not_possible_are_named() {
    assert_eq!(make(&[1], &[2], 300), Err(MakeError::Block(300)));
    assert_eq!(make(&[1], &[2], 128), Err(MakeError::Block(128)));
    assert_eq!(make(&[1], &[], 256), Err(MakeError::Empty));
}

#[test]
fn who_waits_for_a_delta_may_stop_between_blocks() {
    let base = vec![1; 10_000];
    let new: Vec<u8> = (0..10_000u32).map(|i| ((i * i) >> 5) as u8).collect();
    for most in [0, 1, 2] {
        let mut asked = 0;
        let made = make_while(&base, &new, 4096, || {
            asked += 1;
            asked <= most
        });
        assert_eq!(made, Err(MakeError::Stopped));
        assert_eq!(asked, most + 1);
    }
    assert_eq!(
        make_while(&base, &new, 4096, || true),
        make(&base, &new, 4096)
    );
}

#[test]
fn small_plans_have_blocks_for_microcontrollers_and_deltas_must_save_something() {
    assert_eq!(block_for(4 << 20), 4096);
    assert_eq!(block_for((4 << 20) + 1), 32768);
    assert!(pays(699, 1000) && !pays(700, 1000) && !pays(0, 0));
}
