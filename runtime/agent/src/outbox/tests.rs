//! The outbox over real files: restarts, torn tails, bounds, and a disk that refuses.

use super::*;

use proptest::prelude::*;
use std::collections::BTreeSet;

const PLENTY: Limits = Limits {
    bytes: 1 << 20,
    policy: Policy::DropOldest,
};
const LATER: Duration = Duration::from_secs(10);

fn frame(seq: u64) -> FrameId {
    FrameId { boot: 1, seq }
}

fn open(folder: &Path, limits: Limits) -> Outbox {
    Outbox::open(folder, limits)
        .expect("a temporary folder is writable")
        .0
}

fn append(outbox: &mut Outbox, seqs: impl IntoIterator<Item = u64>) {
    for seq in seqs {
        assert!(matches!(
            outbox.append(frame(seq), &payload(seq)),
            Kept::OnDisk
        ));
    }
}

fn payload(seq: u64) -> Vec<u8> {
    format!("result {seq}").into_bytes()
}

/// Everything that can be sent at `now`.
fn sent_at(outbox: &mut Outbox, now: Instant) -> Vec<u64> {
    let mut seqs = Vec::new();
    while let Some((frame, bytes)) = outbox.next_to_send(now, LATER) {
        assert_eq!(bytes, payload(frame.seq));
        seqs.push(frame.seq);
    }
    seqs
}

#[test]
fn results_are_sent_once_until_they_are_late() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut outbox = open(folder.path(), PLENTY);
    let now = Instant::now();
    append(&mut outbox, 0..5);
    assert_eq!(sent_at(&mut outbox, now), [0, 1, 2, 3, 4]);
    assert_eq!(sent_at(&mut outbox, now), [0; 0]);
    append(&mut outbox, 5..6);
    assert_eq!(outbox.confirm(1, 1, 2), 2);
    assert_eq!(sent_at(&mut outbox, now + LATER), [0, 3, 4, 5]);
    assert_eq!(outbox.confirm(1, 0, 9), 4);
    assert_eq!(
        (outbox.depth(), sent_at(&mut outbox, now + 3 * LATER)),
        (0, vec![])
    );
}

#[test]
fn a_lost_connection_sends_everything_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut outbox = open(folder.path(), PLENTY);
    append(&mut outbox, 0..3);
    assert_eq!(sent_at(&mut outbox, Instant::now()), [0, 1, 2]);
    outbox.confirm(1, 1, 1);
    outbox.connection_lost();
    assert_eq!(sent_at(&mut outbox, Instant::now()), [0, 2]);
}

#[test]
fn a_killed_process_leaves_its_results_to_the_next() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut outbox = open(folder.path(), PLENTY);
    append(&mut outbox, 0..300);
    outbox.confirm(1, 0, 99);
    outbox.note_cursor().expect("writable");
    // No destructor runs when a process is killed.
    std::mem::forget(outbox);
    let mut outbox = open(folder.path(), PLENTY);
    assert_eq!(outbox.depth(), 200);
    append(&mut outbox, 300..310);
    assert_eq!(
        sent_at(&mut outbox, Instant::now()),
        (100..310).collect::<Vec<_>>()
    );
}

#[test]
fn an_old_cursor_repeats_results_and_loses_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut outbox = open(folder.path(), PLENTY);
    append(&mut outbox, 0..10);
    outbox.next_to_send(Instant::now(), LATER);
    outbox.confirm(1, 0, 9);
    std::mem::forget(outbox);
    let mut outbox = open(folder.path(), PLENTY);
    assert_eq!(
        sent_at(&mut outbox, Instant::now()),
        (0..10).collect::<Vec<_>>()
    );
}

#[test]
fn numbers_of_segments_are_not_used_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for round in 0..5 {
        let mut outbox = open(folder.path(), PLENTY);
        append(&mut outbox, round * 10..round * 10 + 10);
        assert_eq!(sent_at(&mut outbox, Instant::now()).len(), 10);
        assert_eq!(outbox.confirm(1, 0, 1000), 10);
        outbox.note_cursor().expect("writable");
    }
    assert_eq!(open(folder.path(), PLENTY).depth(), 0);
}

#[test]
fn confirmed_segments_are_deleted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut outbox = open(
        folder.path(),
        Limits {
            bytes: 32 * 1024,
            policy: Policy::DropOldest,
        },
    );
    for round in 0..200u64 {
        append(&mut outbox, round * 10..round * 10 + 10);
        sent_at(&mut outbox, Instant::now());
        outbox.confirm(1, 0, u64::MAX);
    }
    assert_eq!((outbox.dropped(), outbox.depth()), (0, 0));
    assert!(outbox.bytes() < 3 * 4096, "{}", outbox.bytes());
}

#[test]
fn at_the_bound_the_policy_decides_and_counts() {
    for policy in [Policy::DropOldest, Policy::DropNewest] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut outbox = open(
            folder.path(),
            Limits {
                bytes: 32 * 1024,
                policy,
            },
        );
        for seq in 0..5000 {
            outbox.append(frame(seq), &payload(seq));
        }
        assert!(outbox.bytes() <= 32 * 1024);
        assert_eq!(outbox.dropped() + outbox.depth(), 5000);
        let seqs = sent_at(&mut outbox, Instant::now());
        assert_eq!(seqs.len() as u64, outbox.depth());
        assert!(seqs.is_sorted());
        match policy {
            Policy::DropOldest => assert_eq!(seqs.last(), Some(&4999)),
            Policy::DropNewest => assert_eq!(seqs.first(), Some(&0)),
        }
    }
}

#[test]
fn more_results_than_fit_into_memory_are_read_back_in_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut outbox = open(
        folder.path(),
        Limits {
            bytes: 64 << 20,
            policy: Policy::DropOldest,
        },
    );
    append(&mut outbox, 0..20_000);
    let mut seen = Vec::new();
    while outbox.depth() > 0 {
        let seqs = sent_at(&mut outbox, Instant::now());
        let (first, last) = (seqs[0], seqs[seqs.len() - 1]);
        seen.extend(seqs);
        outbox.confirm(1, first, last);
    }
    assert_eq!(seen, (0..20_000).collect::<Vec<_>>());
}

#[test]
fn a_disk_that_refuses_leaves_results_in_memory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut outbox = open(folder.path(), PLENTY);
    append(&mut outbox, 0..2);
    let file = outbox
        .begin_sync()
        .expect("writable")
        .expect("something was appended");
    file.sync_data().expect("writable");
    // A folder in the way of the next segment's file: no right to write would not stop a root user.
    drop(outbox);
    let mut outbox = open(folder.path(), PLENTY);
    for number in 1..10 {
        let _ = std::fs::create_dir(folder.path().join(format!("{number:016x}.seg")));
    }
    assert!(matches!(
        outbox.append(frame(2), &payload(2)),
        Kept::InMemory(_)
    ));
    let mut seqs = sent_at(&mut outbox, Instant::now());
    seqs.sort_unstable();
    assert_eq!(seqs, [0, 1, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens to the last segment's end, what is read afterwards was written, in order, without a gap
    /// in front of the damage.
    #[test]
    fn restarts_and_torn_tails(
        runs in prop::collection::vec((1u64..60, 0usize..80, 0u64..40), 1..6),
    ) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (mut written, mut confirmed, mut torn) = (0, BTreeSet::new(), BTreeSet::new());
        for (count, cut, confirm) in runs {
            let mut outbox = open(folder.path(), Limits { bytes: 1 << 20, policy: Policy::DropOldest });
            append(&mut outbox, written..written + count);
            written += count;
            let seqs = sent_at(&mut outbox, Instant::now());
            for &seq in seqs.iter().take(confirm as usize) {
                outbox.confirm(1, seq, seq);
                confirmed.insert(seq);
            }
            outbox.note_cursor().expect("writable");
            std::mem::forget(outbox);
            let last = std::fs::read_dir(folder.path()).expect("a folder")
                .filter_map(|entry| Some(entry.ok()?.path()).filter(|path| path.extension().is_some()))
                .max();
            if let Some(path) = last {
                let bytes = std::fs::read(&path).expect("readable");
                let keep = bytes.len().saturating_sub(cut);
                let kept: BTreeSet<_> = segment::records(&bytes[..keep]).map(|record| record.frame.seq).collect();
                torn.extend(segment::records(&bytes).map(|record| record.frame.seq).filter(|seq| !kept.contains(seq)));
                std::fs::write(&path, &bytes[..keep]).expect("writable");
            }
        }
        let mut outbox = open(folder.path(), Limits { bytes: 1 << 20, policy: Policy::DropOldest });
        let seqs = sent_at(&mut outbox, Instant::now());
        prop_assert!(seqs.is_sorted());
        for seq in (0..written).filter(|seq| !torn.contains(seq) && !confirmed.contains(seq)) {
            prop_assert!(seqs.contains(&seq), "{} was lost", seq);
        }
        prop_assert!(seqs.iter().all(|&seq| seq < written));
    }
}

/// Bytes that a program of format 1 left: three results of two starts, the first of them confirmed.
#[test]
fn what_an_older_program_stored_is_sent() {
    const SEGMENT: &str = "534f425801000000\
         0f000000fd8aa51c9dd6036b00000000000000006f6e65\
         0f000000aa598db69dd6036b010000000000000074776f\
         110000009fe65cb09ed6036b00000000000000007468726565";
    const CURSOR: &str = "01000000000000001f0000000000000043f948e7";
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex"))
            .collect()
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, hex| {
        std::fs::write(folder.path().join(name), bytes(hex)).expect("writable");
    };
    write("0000000000000001.seg", SEGMENT);
    write("cursor", CURSOR);
    let (mut outbox, repair) = Outbox::open(folder.path(), PLENTY).expect("it is readable");
    assert_eq!((repair.waiting, repair.cut_bytes), (2, 0));
    let starts = [1_795_413_661, 1_795_413_662];
    assert_eq!(repair.boots, BTreeSet::from(starts));
    let mut sent = || outbox.next_to_send(Instant::now(), LATER);
    let id = |boot, seq| FrameId { boot, seq };
    assert_eq!(sent(), Some((id(starts[0], 1), b"two".to_vec())));
    assert_eq!(sent(), Some((id(starts[1], 0), b"three".to_vec())));
    assert_eq!(sent(), None);
}
