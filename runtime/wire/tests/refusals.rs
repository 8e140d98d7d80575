//! What is refused, and that the refusal names the reason.

use heapless::Vec;
use sanderling_wire::*;

#[test]
fn another_version_is_named_before_anything_else_is_read() {
    assert_eq!(decode::<Health>(&[3, 0xff]), Err(DecodeError::Version(3)));
    assert!(DecodeError::Version(3).to_string().contains("version 3"));
    assert_eq!(decode::<Health>(&[]), Err(DecodeError::Empty));
}

#[test]
fn nothing_hides_behind_a_message() {
    assert_eq!(
        decode::<Presence>(&[2, 1, 7]),
        Ok(Presence::Gone(Session(7)))
    );
    assert_eq!(
        decode::<Presence>(&[2, 1, 7, 0]),
        Err(DecodeError::Trailing)
    );
    assert_eq!(decode::<Presence>(&[2, 1]), Err(DecodeError::Malformed));
    let endless = vec![2; MAX_MESSAGE + 1];
    assert_eq!(decode::<Chunk>(&endless), Err(DecodeError::TooLong));
}

#[test]
fn a_raw_output_has_the_bytes_that_its_shape_says() {
    let output = |shape: &[u32], data| Inference {
        frame: FrameId { boot: 0, seq: 0 },
        model: Digest([0; 32]),
        taken_us: 0,
        latency_us: 0,
        truth: None,
        output: Output::Raw {
            dtype: Dtype::F32,
            shape: Vec::from_slice(shape).unwrap(),
            data,
        },
    };
    let mut buffer = [0; 256];
    assert!(encode(&output(&[1, 2], &[0; 8]), &mut buffer).is_ok());
    assert_eq!(
        encode(&output(&[1, 2], &[0; 7]), &mut buffer),
        Err(EncodeError::Unsound)
    );
    let mut far = output(&[1, 2], &[0; 8]);
    far.frame.seq = FrameId::MAX_SEQ + 1;
    assert_eq!(encode(&far, &mut buffer), Err(EncodeError::Unsound));
    assert_eq!(
        encode(&output(&[u32::MAX; 6], &[0; 4]), &mut buffer),
        Err(EncodeError::Unsound)
    );
}

#[test]
fn a_full_buffer_is_an_error() {
    assert_eq!(
        encode(&Presence::Gone(Session(7)), &mut [0; 2]),
        Err(EncodeError::BufferTooSmall)
    );
    assert_eq!(
        encode(&Presence::Gone(Session(7)), &mut []),
        Err(EncodeError::BufferTooSmall)
    );
}

#[test]
fn names_cannot_reach_into_other_topics() {
    for bad in [
        "", "a/b", "+", "#", "a+", "a b", "a\n", "-a", ".a", "..", "é", "$SYS",
    ] {
        assert!(Name::new(bad).is_err(), "{bad:?}");
    }
    assert_eq!(
        Name::new(&"a".repeat(MAX_NAME + 1)),
        Err(NameError::TooLong)
    );
    for good in ["a", "robot-1", "3.b_c", &"a".repeat(MAX_NAME)] {
        assert_eq!(Name::new(good).unwrap().as_str(), good);
    }
}

#[test]
fn topics_of_another_shape_are_refused() {
    use TopicError::*;
    let cases = [
        ("", Foreign),
        ("other/1/lab/d/r/birth", Foreign),
        ("sanderling/2/lab/d/r/birth", Foreign),
        ("sanderling/1/lab/d/r", Shape),
        ("sanderling/1/lab/d/r/birth/x", Shape),
        ("sanderling/1/lab/d/r/ndata", Shape),
        ("sanderling/1/lab/g/r/birth", Shape),
        ("sanderling/1/lab/d/r/desired", Shape),
        (
            "sanderling/1/lab/d/+/birth",
            Name(NameError::BadCharacter('+')),
        ),
        ("sanderling/1//d/r/birth", Name(NameError::Empty)),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<Topic>(), Err(error), "{text}");
    }
    let long = super_long();
    let topic = Topic::device(&long, &long, Kind::Health);
    assert_eq!(topic.text().len(), MAX_TOPIC);
    assert_eq!(topic.text().as_str(), topic.to_string());
}

fn super_long() -> Name {
    Name::new(&"n".repeat(MAX_NAME)).unwrap()
}

/// A manifest with everything that its lists hold, and target names of `name` bytes.
fn full_manifest(name: usize, deltas: usize) -> Manifest {
    let digest = Digest([0xff; 32]);
    let url = format!("https://{}/", "h".repeat(MAX_URL - 9));
    Manifest {
        model: super_long(),
        version: u32::MAX,
        floor: u32::MAX,
        expires_s: Some(u64::MAX),
        artifacts: (0..MAX_ARTIFACTS)
            .map(|i| Artifact {
                target: Name::new(&format!("{i}{}", "n".repeat(name - 1))).unwrap(),
                digest,
                size: u64::from(u32::MAX),
                arena: u64::from(u32::MAX),
                flash: u64::from(u32::MAX),
                golden: digest,
            })
            .collect(),
        deltas: (0..deltas as u8)
            .map(|artifact| Delta {
                artifact,
                base: digest,
                digest,
                size: u64::from(u32::MAX),
            })
            .collect(),
        url: Some(url.as_str().into()),
    }
}

/// What a reader would refuse is not written either.
fn unsound<'a, M: Message<'a>>(message: &M) {
    let mut buffer = [0; MAX_SMALL_MESSAGE];
    assert_eq!(encode(message, &mut buffer), Err(EncodeError::Unsound));
}

#[test]
fn manifests_that_contradict_themselves_are_refused() {
    type Change = fn(&mut Manifest);
    let changes: [Change; 9] = [
        |m| m.version = 0,
        |m| m.floor = m.version,
        |m| m.artifacts.clear(),
        |m| m.artifacts[1].target = m.artifacts[0].target.clone(),
        |m| m.artifacts[0].size = 0,
        |m| m.artifacts[0].flash = m.artifacts[0].size - 1,
        |m| m.deltas[0].artifact = MAX_ARTIFACTS as u8,
        |m| m.url = Some("ftp://host/".into()),
        |m| m.url = Some("https://host".into()),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut manifest = full_manifest(9, 1);
        manifest.version = 5;
        manifest.floor = 5;
        change(&mut manifest);
        if i == 1 {
            let mut buffer = [0; MAX_MANIFEST];
            assert!(encode(&manifest, &mut buffer).is_ok());
            manifest.floor = 6;
        }
        unsound(&manifest);
    }
}

#[test]
fn desired_states_that_contradict_themselves_are_refused() {
    let arm = |upto, run, shadow| Arm { upto, run, shadow };
    let sound = Desired {
        group: super_long(),
        serial: 1,
        issued_s: 5,
        expires_s: Some(5),
        chunk_size: MIN_CHUNK,
        salt: [0; 16],
        releases: Vec::from_slice(&[Signed::unsigned(&[2])]).unwrap(),
        arms: Vec::from_slice(&[arm(9, None, Some(0)), arm(u32::MAX, Some(0), None)]).unwrap(),
    };
    let mut buffer = [0; MAX_SMALL_MESSAGE];
    assert!(encode(&sound, &mut buffer).is_ok());
    assert_eq!(sound.arm_at(9).and_then(|arm| arm.run), None);
    assert_eq!(sound.arm_at(10).and_then(|arm| arm.run), Some(0));
    type Change = fn(&mut Desired<'_>);
    let changes: [Change; 10] = [
        |d| d.serial = 0,
        |d| d.serial = SERIAL_LIMIT,
        |d| d.expires_s = Some(4),
        |d| d.chunk_size = MIN_CHUNK - 1,
        |d| d.releases.clear(),
        |d| d.arms.clear(),
        |d| d.arms[1].upto -= 1,
        |d| d.arms[0].upto = u32::MAX,
        |d| d.arms[0].run = Some(0),
        |d| d.arms[0].shadow = Some(1),
    ];
    for change in changes {
        let mut desired = sound.clone();
        change(&mut desired);
        unsound(&desired);
    }
}

#[test]
fn roots_that_contradict_themselves_are_refused() {
    let role = RoleKeys {
        threshold: 1,
        keys: Vec::from_slice(&[0, 1]).unwrap(),
    };
    let sound = Root {
        version: 1,
        epoch: 1,
        expires_s: None,
        keys: Vec::from_slice(&[[1; 32], [2; 32]]).unwrap(),
        root: role.clone(),
        release: role.clone(),
        fleet: role,
    };
    let mut buffer = [0; MAX_ROOT];
    assert!(encode(&sound, &mut buffer).is_ok());
    type Change = fn(&mut Root);
    let changes: [Change; 8] = [
        |r| r.version = 0,
        |r| r.epoch = 0,
        |r| r.epoch = MAX_EPOCH + 1,
        |r| r.keys[1] = r.keys[0],
        |r| r.root.threshold = 0,
        |r| r.release.threshold = 3,
        |r| r.fleet.keys[1] = 2,
        |r| r.fleet.keys[1] = 0,
    ];
    for change in changes {
        let mut root = sound.clone();
        change(&mut root);
        unsound(&root);
    }
    for chain in [&[][..], &[0], &[1, 0], &[1, 0, 2], &[0, 0]] {
        unsound(&Roots { chain });
    }
}

#[test]
fn a_key_signs_once() {
    let signature = Signature {
        key: [1; 8],
        bytes: [[0; 32]; 2],
    };
    let mut signed: Signed<'_> = Signed::unsigned(&[2]);
    signed.signatures.push(signature.clone()).unwrap();
    let mut buffer = [0; 200];
    assert!(encode(&signed, &mut buffer).is_ok());
    signed.signatures.push(signature).unwrap();
    unsound(&signed);
}

/// The fullest messages still keep to the bounds that buffers are sized by.
#[test]
fn the_largest_message_of_each_kind_fits() {
    let name = super_long();
    let digest = Digest([0xff; 32]);
    let running = Some(Running {
        model: name.clone(),
        version: u32::MAX,
        digest,
    });
    let text = "x".repeat(200);
    let mut buffer = vec![0; MAX_MESSAGE];
    let fits = |len: Result<usize, EncodeError>, max: usize| assert!(len.unwrap() <= max);

    let birth = Presence::Born(Birth {
        session: Session(u64::MAX),
        group: name.clone(),
        software: text.as_str().into(),
        board: text.as_str().into(),
        targets: core::iter::repeat_n(name.clone(), MAX_TARGETS).collect(),
        arena_limit: u64::MAX,
        flash_limit: u64::MAX,
        chunk_limit: u32::MAX,
        running: running.clone(),
    });
    fits(
        encode(&birth, &mut buffer).map(<[u8]>::len),
        MAX_SMALL_MESSAGE,
    );
    let state = State {
        session: Session(u64::MAX),
        running,
        phase: Phase::FellBack,
        serial: u64::MAX,
        root: Some(Anchor {
            version: u32::MAX,
            epoch: u32::MAX,
        }),
        progress: Some(Progress {
            release: digest,
            held: u64::MAX,
            size: u64::MAX,
        }),
        failure: Some(Failure {
            release: Some(digest),
            code: FailureCode::Refused,
            text: text.as_str().into(),
        }),
    };
    fits(
        encode(&state, &mut buffer).map(<[u8]>::len),
        MAX_SMALL_MESSAGE,
    );
    let manifest = full_manifest(16, MAX_DELTAS);
    fits(
        encode(&manifest, &mut buffer).map(<[u8]>::len),
        MAX_MANIFEST,
    );
    let without_deltas = full_manifest(MAX_NAME, 0);
    fits(
        encode(&without_deltas, &mut buffer).map(<[u8]>::len),
        MAX_MANIFEST,
    );
    let signature = |key| Signature {
        key: [key; 8],
        bytes: [[0; 32]; 2],
    };
    let full = vec![0; MAX_MANIFEST];
    let release = Signed {
        statement: &full,
        signatures: (0..MAX_SIGNATURES as u8).map(signature).collect(),
    };
    let desired = Desired {
        group: name.clone(),
        serial: SERIAL_LIMIT - 1,
        issued_s: u64::MAX,
        expires_s: Some(u64::MAX),
        chunk_size: MAX_CHUNK,
        salt: [0xff; 16],
        releases: core::iter::repeat_n(release, MAX_RELEASES).collect(),
        arms: (0..MAX_ARMS as u32)
            .map(|i| Arm {
                upto: u32::MAX - (MAX_ARMS as u32 - 1 - i),
                run: Some(0),
                shadow: Some(1),
            })
            .collect(),
    };
    fits(encode(&desired, &mut buffer).map(<[u8]>::len), MAX_DESIRED);
    let full = vec![0; MAX_DESIRED];
    let outer: Signed<'_> = Signed {
        statement: &full,
        signatures: (0..MAX_SIGNATURES as u8).map(signature).collect(),
    };
    fits(
        encode(&outer, &mut buffer).map(<[u8]>::len),
        MAX_SMALL_MESSAGE,
    );
    let role = RoleKeys {
        threshold: MAX_ROLE_KEYS as u8,
        keys: (0..MAX_ROLE_KEYS as u8).collect(),
    };
    let root = Root {
        version: u32::MAX,
        epoch: MAX_EPOCH,
        expires_s: Some(u64::MAX),
        keys: (0..MAX_KEYS as u8).map(|i| [i; 32]).collect(),
        root: role.clone(),
        release: role.clone(),
        fleet: role,
    };
    fits(encode(&root, &mut buffer).map(<[u8]>::len), MAX_ROOT);
    let health = Health {
        session: Session(u64::MAX),
        uptime_s: u32::MAX,
        frames_in: u64::MAX,
        frames_out: u64::MAX,
        frames_dropped: u64::MAX,
        latency_p50_us: u32::MAX,
        latency_p99_us: u32::MAX,
        arena_bytes: u64::MAX,
        allocations: u64::MAX,
        outbox_depth: u32::MAX,
        outbox_dropped: u64::MAX,
        temperature_mc: Some(i32::MIN),
        pulled_bytes: u64::MAX,
        evidence: Some(Evidence {
            release: digest,
            inferences: u64::MAX,
            failures: u64::MAX,
            p50_us: u32::MAX,
            p99_us: u32::MAX,
            low_confidence: u64::MAX,
            classes: core::iter::repeat_n(u64::MAX, MAX_CLASSES).collect(),
            rewards: u64::MAX,
            reward_milli: i64::MIN,
            shadow: Some(Shadow {
                candidate: digest,
                compared: u64::MAX,
                disagreed: u64::MAX,
                failures: u64::MAX,
                p99_us: u32::MAX,
            }),
        }),
    };
    fits(
        encode(&health, &mut buffer).map(<[u8]>::len),
        MAX_SMALL_MESSAGE / 4,
    );
    let range = FrameRange {
        boot: u32::MAX,
        first: u64::MAX,
        last: u64::MAX,
    };
    let receipt = core::iter::repeat_n(range, MAX_RECEIPT_RANGES).collect();
    let cmd = Cmd {
        id: u64::MAX,
        order: Order::Receipt(receipt),
    };
    fits(
        encode(&cmd, &mut buffer).map(<[u8]>::len),
        MAX_SMALL_MESSAGE,
    );
    let data = vec![0; MAX_CHUNK as usize];
    let chunk = Chunk {
        release: digest,
        offset: u64::MAX >> 1,
        data: &data,
    };
    fits(encode(&chunk, &mut buffer).map(<[u8]>::len), MAX_MESSAGE);
    let raw = vec![0; MAX_RAW_OUTPUT];
    let inference = Inference {
        frame: FrameId {
            boot: u32::MAX,
            seq: FrameId::MAX_SEQ,
        },
        model: digest,
        taken_us: u64::MAX,
        latency_us: u32::MAX,
        truth: Some(u16::MAX),
        output: Output::Raw {
            dtype: Dtype::I8,
            shape: Vec::from_slice(&[1, 1, 1, 1, 1, MAX_RAW_OUTPUT as u32]).unwrap(),
            data: &raw,
        },
    };
    fits(
        encode(&inference, &mut buffer).map(<[u8]>::len),
        Inference::MAX_LEN,
    );
}

#[test]
fn long_text_is_cut_between_characters() {
    assert_eq!(Text::<4>::cut("añbcd").as_str(), "añb");
    assert_eq!(Text::<4>::cut("abñ").as_str(), "abñ");
    assert_eq!(Text::<3>::cut("abñ").as_str(), "ab");
    assert_eq!(
        Text::<8>::format(format_args!("{}-{}", 12, 345678)).as_str(),
        "12-34567"
    );
}

#[test]
fn digests_are_read_as_they_are_written() {
    let digest = Digest(core::array::from_fn(|i| i as u8 * 8));
    assert_eq!(digest.to_string().parse(), Ok(digest));
    assert_eq!(digest.short().to_string(), "00081018");
    for bad in ["", "00", &"g".repeat(64), &"é".repeat(32)] {
        assert_eq!(bad.parse::<Digest>(), Err(DigestError));
    }
}
