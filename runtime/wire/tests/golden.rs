//! The bytes of each message, written out: a change of format must change this file, and with it
//! the version byte.

use core::fmt::Debug;

use heapless::Vec;
use sanderling_wire::*;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A digest that is easy to see in hex.
fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// 32 times the same byte, in hex.
fn x32(byte: &str) -> String {
    byte.repeat(32)
}

/// Writes, compares with the golden hex (blanks are for the reader), and reads back.
fn golden<'a, M: Message<'a> + PartialEq + Debug>(message: M, expected: &str) {
    let mut buffer = vec![0; MAX_MESSAGE];
    let bytes = encode(&message, &mut buffer).unwrap();
    assert_eq!(hex(bytes), expected.replace(char::is_whitespace, ""));
    assert!(bytes.len() <= M::MAX_LEN);
    // The reader borrows, so the bytes must outlive the message's own life; a test may leak them.
    let bytes: &'static [u8] = bytes.to_vec().leak();
    assert_eq!(decode::<M>(bytes).unwrap(), message);
}

fn running() -> Running {
    Running {
        model: name("terrain"),
        version: 2,
        digest: digest(0xaa),
    }
}

#[test]
fn birth() {
    let birth = Birth {
        session: Session::new(1, 2),
        group: name("all"),
        software: "agent 1".into(),
        board: "m4".into(),
        targets: Vec::from_slice(&[name("cortex-m4"), name("generic")]).unwrap(),
        arena_limit: 300_000,
        flash_limit: 1 << 20,
        chunk_limit: 4096,
        running: Some(running()),
    };
    golden(
        Presence::Born(birth),
        &format!(
            "01 00 8280808010 03616c6c 076167656e742031 026d34
             02 09636f727465782d6d34 0767656e65726963
             e0a712 808040 8020
             01 077465727261696e 02 {}",
            x32("aa")
        ),
    );
}

#[test]
fn gone() {
    golden(Presence::Gone(Session(7)), "01 01 07");
}

#[test]
fn state() {
    golden(
        State {
            session: Session(7),
            running: Some(running()),
            phase: Phase::Downloading,
            serial: 9,
            progress: Some(Progress {
                release: digest(0xbb),
                held: 32768,
                size: 65537,
            }),
            failure: Some(Failure {
                release: None,
                code: FailureCode::SelfTest,
                text: "no".into(),
            }),
        },
        &format!(
            "01 07 01 077465727261696e 02 {} 02 09 01 {} 808002 818004 01 00 04 026e6f",
            x32("aa"),
            x32("bb")
        ),
    );
    golden(
        State {
            session: Session(0),
            running: None,
            phase: Phase::Empty,
            serial: 0,
            progress: None,
            failure: None,
        },
        "01 00 00 00 00 00 00",
    );
}

/// The order of these is on the wire; a new one goes to the end.
#[test]
fn phases_and_failure_codes_keep_their_numbers() {
    let phases = [
        Phase::Empty,
        Phase::Active,
        Phase::Downloading,
        Phase::Verifying,
        Phase::SelfTest,
        Phase::Trial,
        Phase::FellBack,
    ];
    for (i, phase) in phases.into_iter().enumerate() {
        let state = State {
            session: Session(0),
            running: None,
            phase,
            serial: 0,
            progress: None,
            failure: None,
        };
        golden(state, &format!("01 00 00 {i:02x} 00 00 00"));
    }
    use FailureCode::*;
    let codes = [
        Digest, Plan, Target, TooLarge, SelfTest, Trial, Storage, Transfer, Refused,
    ];
    for (i, code) in codes.into_iter().enumerate() {
        let failure = Some(Failure {
            release: None,
            code,
            text: "".into(),
        });
        let state = State {
            session: Session(0),
            running: None,
            phase: Phase::Empty,
            serial: 0,
            progress: None,
            failure,
        };
        golden(state, &format!("01 00 00 00 00 00 01 00 {i:02x} 00"));
    }
}

#[test]
fn inference_with_a_class() {
    golden(
        Inference {
            frame: FrameId { boot: 3, seq: 300 },
            model: digest(0xaa),
            taken_us: 1_000_000,
            latency_us: 128,
            truth: Some(4),
            output: Output::Class {
                top: 2,
                confidence: 0.5,
            },
        },
        &format!("01 03 ac02 {} c0843d 8001 01 04 00 02 0000003f", x32("aa")),
    );
}

#[test]
fn inference_with_raw_bytes() {
    golden(
        Inference {
            frame: FrameId { boot: 3, seq: 300 },
            model: digest(0xaa),
            taken_us: 0,
            latency_us: 1,
            truth: None,
            output: Output::Raw {
                dtype: Dtype::I16,
                shape: Vec::from_slice(&[1, 2]).unwrap(),
                data: &[1, 2, 3, 4],
            },
        },
        &format!(
            "01 03 ac02 {} 00 01 00 01 02 02 01 02 04 01020304",
            x32("aa")
        ),
    );
}

#[test]
fn health() {
    golden(
        Health {
            session: Session(7),
            uptime_s: 60,
            frames_in: 100,
            frames_out: 98,
            frames_dropped: 2,
            latency_p50_us: 300,
            latency_p99_us: 900,
            arena_bytes: 22_820,
            allocations: 0,
            outbox_depth: 5,
            outbox_dropped: 0,
            temperature_mc: Some(-2),
        },
        "01 07 3c 64 62 02 ac02 8407 a4b201 00 05 00 01 03",
    );
}

#[test]
fn need() {
    golden(
        Need {
            session: Session(7),
            release: digest(0xbb),
            chunk_size: 4096,
            credit: 8,
            ranges: Vec::from_slice(&[
                ChunkRange { first: 0, count: 2 },
                ChunkRange { first: 5, count: 6 },
            ])
            .unwrap(),
        },
        &format!("01 07 {} 8020 08 02 00 02 05 06", x32("bb")),
    );
}

#[test]
fn chunk() {
    golden(
        Chunk {
            release: digest(0xbb),
            offset: 4096,
            data: &[9, 8, 7],
        },
        &format!("01 {} 8020 03 090807", x32("bb")),
    );
}

#[test]
fn cmd() {
    let cmd = |id, order| Cmd { id, order };
    golden(cmd(1, Order::Identify), "01 01 00");
    golden(cmd(2, Order::Stop), "01 02 01");
    golden(cmd(3, Order::Resume), "01 03 02");
    golden(cmd(4, Order::Retry), "01 04 03");
    golden(cmd(5, Order::Rebirth), "01 05 04");
    let range = FrameRange {
        boot: 3,
        first: 0,
        last: 299,
    };
    golden(
        cmd(0, Order::Receipt(Vec::from_slice(&[range]).unwrap())),
        "01 00 05 01 03 00 ab02",
    );
    for (refusal, byte) in [
        (Refusal::Unknown, "00"),
        (Refusal::BadRange, "01"),
        (Refusal::Storage, "02"),
    ] {
        golden(
            cmd(0, Order::Refused(digest(0xbb), refusal)),
            &format!("01 00 06 {} {byte}", x32("bb")),
        );
    }
}

fn manifest() -> Manifest {
    Manifest {
        serial: 9,
        group: name("all"),
        model: name("terrain"),
        version: 2,
        chunk_size: 32768,
        expires_s: None,
        artifacts: Vec::from_slice(&[Artifact {
            target: name("generic"),
            digest: digest(0xbb),
            size: 65537,
            arena: 5000,
        }])
        .unwrap(),
    }
}

fn manifest_hex() -> String {
    format!(
        "01 09 03616c6c 077465727261696e 02 808002 00 01 0767656e65726963 {} 818004 8827",
        x32("bb")
    )
}

#[test]
fn manifest_alone() {
    golden(manifest(), &manifest_hex());
}

#[test]
fn desired() {
    let mut buffer = [0; MAX_MANIFEST];
    let bytes: &'static [u8] = encode(&manifest(), &mut buffer).unwrap().to_vec().leak();
    let length = format!("{:02x}", bytes.len());
    golden(
        Desired::unsigned(bytes),
        &format!("01 {length} {} 00", manifest_hex()),
    );

    let mut signed = Desired::unsigned(bytes);
    signed
        .signatures
        .push(Signature {
            key: [1, 2, 3, 4, 5, 6, 7, 8],
            bytes: [[0xcc; 32], [0xdd; 32]],
        })
        .unwrap();
    golden(
        signed.clone(),
        &format!(
            "01 {length} {} 01 0102030405060708 {} {}",
            manifest_hex(),
            x32("cc"),
            x32("dd")
        ),
    );
    assert_eq!(signed.read(), Ok(manifest()));
}

#[test]
fn topics() {
    let (fleet, device) = (name("lab"), name("robot-1"));
    let texts = [
        "sanderling/1/lab/d/robot-1/birth",
        "sanderling/1/lab/d/robot-1/state",
        "sanderling/1/lab/d/robot-1/result",
        "sanderling/1/lab/d/robot-1/health",
        "sanderling/1/lab/d/robot-1/need",
        "sanderling/1/lab/d/robot-1/chunk",
        "sanderling/1/lab/d/robot-1/cmd",
    ];
    for (kind, text) in Kind::ALL.into_iter().zip(texts) {
        let topic = Topic::device(&fleet, &device, kind);
        assert_eq!(topic.text().as_str(), text);
        assert_eq!(text.parse(), Ok(topic));
    }
    let topic = Topic::desired(&fleet, &name("all"));
    assert_eq!(topic.text().as_str(), "sanderling/1/lab/g/all/desired");
    assert_eq!("sanderling/1/lab/g/all/desired".parse(), Ok(topic));
    assert_eq!(
        Topic::every_device(&fleet, Kind::Need).as_str(),
        "sanderling/1/lab/d/+/need"
    );
}
