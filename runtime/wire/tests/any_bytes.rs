//! Whatever arrives, decoding returns; what decodes can be written again to the same meaning;
//! and the chunk arithmetic covers every byte of a file exactly once.

use heapless::Vec;
use proptest::collection::vec;
use proptest::prelude::*;
use sanderling_wire::*;

/// Reads `bytes` as an `M`; when that succeeds, writing and reading again gives the same message.
/// (The bytes themselves may differ: postcard reads numbers that are not in their shortest form.)
macro_rules! returns {
    ($bytes:expr, $($message:ident),*) => {$(
        if let Ok(message) = decode::<$message>($bytes) {
            let mut buffer = std::vec![0; MAX_MESSAGE];
            let again = encode(&message, &mut buffer).unwrap();
            // A NaN confidence is not equal to itself, so the written forms are compared.
            let reread = decode::<$message>(again).unwrap();
            prop_assert_eq!(format!("{reread:?}"), format!("{message:?}"));
        }
    )*};
}

fn name() -> impl Strategy<Value = Name> {
    "[A-Za-z0-9][A-Za-z0-9._-]{0,47}".prop_map(|text| Name::new(&text).unwrap())
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn text<const N: usize>() -> impl Strategy<Value = Text<N>> {
    any::<String>().prop_map(|s| Text::cut(&s))
}

fn running() -> impl Strategy<Value = Option<Running>> {
    proptest::option::of(
        (name(), any::<u32>(), digest()).prop_map(|(model, version, digest)| Running {
            model,
            version,
            digest,
        }),
    )
}

fn birth() -> impl Strategy<Value = Presence> {
    let who = (
        any::<u64>(),
        name(),
        text(),
        text(),
        vec(name(), 1..=MAX_TARGETS),
    );
    (who, any::<[u64; 2]>(), 1u32.., running()).prop_map(
        |((session, group, software, board, targets), limits, chunk_limit, running)| {
            Presence::Born(Birth {
                session: Session(session),
                group,
                software,
                board,
                targets: targets.into_iter().collect(),
                arena_limit: limits[0],
                flash_limit: limits[1],
                chunk_limit,
                running,
            })
        },
    )
}

fn state() -> impl Strategy<Value = State> {
    let phase = prop_oneof![
        Just(Phase::Active),
        Just(Phase::Trial),
        Just(Phase::FellBack)
    ];
    let progress =
        proptest::option::of(
            (digest(), any::<[u64; 2]>()).prop_map(|(release, n)| Progress {
                release,
                held: n[0].min(n[1]),
                size: n[0].max(n[1]),
            }),
        );
    let failure = proptest::option::of((proptest::option::of(digest()), text()).prop_map(
        |(release, text)| Failure {
            release,
            code: FailureCode::Trial,
            text,
        },
    ));
    (any::<[u64; 2]>(), running(), phase, progress, failure).prop_map(
        |([session, serial], running, phase, progress, failure)| State {
            session: Session(session),
            running,
            phase,
            serial,
            root: None,
            progress,
            failure,
        },
    )
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let artifact = (digest(), 1u64..1 << 40, any::<u64>(), digest());
    let delta = (0..MAX_ARTIFACTS, digest(), digest(), 1u64..);
    let head = (name(), 1u32.., any::<u32>(), any::<Option<u64>>());
    let lists = (
        vec(artifact, 1..=MAX_ARTIFACTS),
        vec(delta, 0..=MAX_DELTAS),
        proptest::option::of("https?://[a-z0-9./]{1,60}/"),
    );
    (head, lists).prop_map(
        |((model, version, floor, expires_s), (artifacts, deltas, url))| Manifest {
            model,
            version,
            floor: floor % version,
            expires_s,
            deltas: deltas
                .into_iter()
                .map(|(artifact, base, digest, size)| Delta {
                    artifact: (artifact % artifacts.len()) as u8,
                    base,
                    digest,
                    size,
                })
                .collect(),
            artifacts: artifacts
                .into_iter()
                .enumerate()
                .map(|(i, (digest, size, arena, golden))| Artifact {
                    target: Name::new(&format!("t{i}")).unwrap(),
                    digest,
                    size,
                    arena,
                    flash: size + 1,
                    golden,
                })
                .collect(),
            url: url.map(|url| Text::cut(&url)),
        },
    )
}

/// A desired state around some release's bytes.
fn desired<'a>(release: &'a [u8], serial: u64, upto: u32) -> Desired<'a> {
    let arms = [
        Arm {
            upto,
            run: Some(0),
            shadow: None,
        },
        Arm {
            upto: u32::MAX,
            run: None,
            shadow: Some(0),
        },
    ];
    Desired {
        group: Name::new("all").unwrap(),
        serial,
        issued_s: serial,
        expires_s: None,
        chunk_size: DEFAULT_CHUNK,
        salt: [7; 16],
        releases: Vec::from_slice(&[Signed::unsigned(release)]).unwrap(),
        arms: Vec::from_slice(&arms).unwrap(),
    }
}

proptest! {
    #[test]
    fn any_bytes_return(mut bytes in vec(any::<u8>(), 0..600), versioned in any::<bool>()) {
        if versioned && let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        returns!(&bytes, Presence, State, Inference, Health, Need, Chunk, Cmd, Signed, Desired, Manifest, Root, Roots);
    }

    /// Bytes close to a real message reach deeper than bytes at random.
    #[test]
    fn damaged_messages_return(
        birth in birth(), state in state(), manifest in manifest(),
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut buffers = [[0; MAX_SMALL_MESSAGE]; 4];
        let [a, b, c, d] = &mut buffers;
        let release = encode(&manifest, c).unwrap();
        let desired = desired(release, 9, 100);
        for whole in [encode(&birth, a).unwrap(), encode(&state, b).unwrap(), release, encode(&desired, d).unwrap()] {
            let mut bytes = whole.to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            returns!(&bytes, Presence, State, Inference, Health, Need, Chunk, Cmd, Signed, Desired, Manifest, Root, Roots);
            bytes.truncate(cut.index(bytes.len()));
            returns!(&bytes, Presence, State, Inference, Health, Need, Chunk, Cmd, Signed, Desired, Manifest, Root, Roots);
        }
    }

    #[test]
    fn messages_round_trip(birth in birth(), state in state(), manifest in manifest()) {
        let mut buffer = [0; MAX_SMALL_MESSAGE];
        prop_assert_eq!(&decode::<Presence>(encode(&birth, &mut buffer).unwrap()).unwrap(), &birth);
        prop_assert_eq!(&decode::<State>(encode(&state, &mut buffer).unwrap()).unwrap(), &state);
        let mut inner = [0; MAX_MANIFEST];
        let release = encode(&manifest, &mut inner).unwrap();
        let bytes = encode(&desired(release, 9, 100), &mut buffer).unwrap();
        let desired = decode::<Desired>(bytes).unwrap();
        prop_assert_eq!(desired.release(0).unwrap().read::<Manifest>().unwrap(), manifest);
    }

    /// Every place has exactly one arm: the first whose end is not before it.
    #[test]
    fn every_place_has_an_arm(upto in 0..u32::MAX, place in any::<u32>()) {
        let desired = desired(&[2], 1, upto);
        let arm = desired.arm_at(place).unwrap();
        prop_assert_eq!(arm.run.is_some(), place <= upto);
    }

    #[test]
    fn topics_round_trip(fleet in name(), who in name(), kind in 0usize..9) {
        let topic = match Kind::ALL.get(kind) {
            Some(&kind) => Topic::device(&fleet, &who, kind),
            None if kind == 7 => Topic::desired(&fleet, &who),
            None => Topic::root(&fleet, &who),
        };
        prop_assert_eq!(topic.text().parse::<Topic>(), Ok(topic));
    }

    #[test]
    fn any_text_as_a_topic_returns(text in "(sanderling/1/)?[a-z/+#]{0,30}") {
        if let Ok(topic) = text.parse::<Topic>() {
            prop_assert_eq!(topic.to_string(), text);
        }
    }

    /// Chunks follow each other without gap or overlap, and each is found again from its offset.
    #[test]
    fn chunks_cover_the_file(size in 1u64..2_000_000, chunk in MIN_CHUNK..=MAX_CHUNK) {
        let layout = Layout::new(size, chunk).unwrap();
        let mut end = 0;
        for i in 0..layout.count() {
            let range = layout.range(i).unwrap();
            prop_assert_eq!(range.start, end);
            let len = (range.end - range.start) as usize;
            prop_assert_eq!(layout.place(range.start, len), Ok(i));
            prop_assert_eq!(layout.place(range.start, len + 1), Err(Misfit::Length));
            prop_assert_eq!(layout.place(range.start + 1, len), Err(Misfit::Offset));
            end = range.end;
        }
        prop_assert_eq!(end, size);
        prop_assert_eq!(layout.range(layout.count()), None);
    }

    #[test]
    fn any_layout_returns(size in any::<u64>(), chunk in any::<u32>(), index in any::<u32>(), offset in any::<u64>(), len in any::<usize>()) {
        if let Ok(layout) = Layout::new(size, chunk) {
            prop_assert!(layout.range(index).is_none_or(|r| r.start < r.end && r.end <= size));
            prop_assert!(layout.place(offset, len).is_err() || len as u64 <= u64::from(chunk));
        }
    }

    /// Asking for what lacks, whatever is lost on the way, ends with every chunk held.
    #[test]
    fn asking_until_complete_ends(
        size in 1u64..400_000, credit in 1u32..20,
        journal in vec(any::<u8>(), 200), mut lost in vec(any::<bool>(), 64),
    ) {
        let layout = Layout::new(size, 4096).unwrap();
        let mut held = Held::new(journal, &layout).unwrap();
        prop_assert!(held.held() <= layout.count());
        let mut rounds = 0;
        while !held.is_complete() {
            let ranges: Vec<ChunkRange, 4> = held.next_ranges(credit);
            let asked: u32 = ranges.iter().map(|r| r.count).sum();
            prop_assert!(asked >= 1 && asked <= credit);
            for range in ranges {
                prop_assert!(layout.contains(range));
                for i in range.first..range.first + range.count {
                    prop_assert!(!held.has(i));
                    if !lost.pop().unwrap_or(false) {
                        prop_assert!(held.insert(i));
                    }
                }
            }
            rounds += 1;
            prop_assert!(rounds <= 64 + layout.count());
        }
        prop_assert_eq!(held.held_bytes(&layout), size);
        prop_assert!(held.next_ranges::<4>(credit).is_empty());
    }
}

#[test]
fn a_bitmap_counts_the_short_last_chunk() {
    let layout = Layout::new(80 * 1024, 32 * 1024).unwrap();
    assert_eq!(layout.count(), 3);
    let mut held = Held::new([0; 1], &layout).unwrap();
    assert!(held.insert(2));
    assert!(!held.insert(2));
    assert!(!held.insert(3));
    assert_eq!(held.held_bytes(&layout), 16 * 1024);
    assert_eq!(
        held.next_ranges::<4>(9).as_slice(),
        [ChunkRange { first: 0, count: 2 }].as_slice()
    );
    held.insert(0);
    assert_eq!(held.held_bytes(&layout), 48 * 1024);
    let nine = Layout::new(9 * 256, 256).unwrap();
    assert_eq!(Held::bytes_for(&nine), 2);
    assert!(Held::new([0; 1], &nine).is_err());
}
