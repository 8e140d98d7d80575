//! What is refused, and that the refusal names the reason.

use heapless::Vec;
use sanderling_wire::*;

#[test]
fn another_version_is_named_before_anything_else_is_read() {
    assert_eq!(decode::<Health>(&[2, 0xff]), Err(DecodeError::Version(2)));
    assert!(DecodeError::Version(2).to_string().contains("version 2"));
    assert_eq!(decode::<Health>(&[]), Err(DecodeError::Empty));
}

#[test]
fn nothing_hides_behind_a_message() {
    assert_eq!(
        decode::<Presence>(&[1, 1, 7]),
        Ok(Presence::Gone(Session(7)))
    );
    assert_eq!(
        decode::<Presence>(&[1, 1, 7, 0]),
        Err(DecodeError::Trailing)
    );
    assert_eq!(decode::<Presence>(&[1, 1]), Err(DecodeError::Malformed));
    let endless = vec![1; MAX_MESSAGE + 1];
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
    let manifest = Manifest {
        serial: u64::MAX,
        group: name.clone(),
        model: name.clone(),
        version: u32::MAX,
        chunk_size: MAX_CHUNK,
        expires_s: Some(u64::MAX),
        artifacts: (0..MAX_ARTIFACTS)
            .map(|i| Artifact {
                target: Name::new(&format!("{i}{}", "n".repeat(MAX_NAME - 1))).unwrap(),
                digest,
                size: u64::MAX,
                arena: u64::MAX,
            })
            .collect(),
    };
    fits(
        encode(&manifest, &mut buffer).map(<[u8]>::len),
        MAX_MANIFEST,
    );
    let full = vec![0; MAX_MANIFEST];
    let signature = Signature {
        key: [0; 8],
        bytes: [[0; 32]; 2],
    };
    let desired = Desired {
        manifest: &full,
        signatures: core::iter::repeat_n(signature, MAX_SIGNATURES).collect(),
    };
    fits(
        encode(&desired, &mut buffer).map(<[u8]>::len),
        MAX_SMALL_MESSAGE,
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
