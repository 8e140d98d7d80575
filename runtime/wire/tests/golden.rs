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
            "02 00 8280808010 03616c6c 076167656e742031 026d34
             02 09636f727465782d6d34 0767656e65726963
             e0a712 808040 8020
             01 077465727261696e 02 {}",
            x32("aa")
        ),
    );
}

#[test]
fn gone() {
    golden(Presence::Gone(Session(7)), "02 01 07");
}

#[test]
fn state() {
    golden(
        State {
            session: Session(7),
            running: Some(running()),
            phase: Phase::Downloading,
            serial: 9,
            root: Some(Anchor {
                version: 3,
                epoch: 2,
            }),
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
            "02 07 01 077465727261696e 02 {} 02 09 010302 01 {} 808002 818004 01 00 04 026e6f",
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
            root: None,
            progress: None,
            failure: None,
        },
        "02 00 00 00 00 00 00 00",
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
            root: None,
            progress: None,
            failure: None,
        };
        golden(state, &format!("02 00 00 {i:02x} 00 00 00 00"));
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
            root: None,
            progress: None,
            failure,
        };
        golden(state, &format!("02 00 00 00 00 00 00 01 00 {i:02x} 00"));
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
        &format!("02 03 ac02 {} c0843d 8001 01 04 00 02 0000003f", x32("aa")),
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
            "02 03 ac02 {} 00 01 00 01 02 02 01 02 04 01020304",
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
            pulled_bytes: 1000,
            evidence: None,
        },
        "02 07 3c 64 62 02 ac02 8407 a4b201 00 05 00 01 03 e807 00",
    );
}

#[test]
fn evidence() {
    golden(
        Health {
            evidence: Some(Evidence {
                release: digest(0xaa),
                inferences: 300,
                failures: 1,
                p50_us: 100,
                p99_us: 200,
                low_confidence: 3,
                classes: Vec::from_slice(&[290, 9]).unwrap(),
                rewards: 2,
                reward_milli: -1,
                shadow: Some(Shadow {
                    candidate: digest(0xbb),
                    compared: 4,
                    disagreed: 3,
                    failures: 0,
                    p99_us: 5,
                }),
            }),
            ..Health::default()
        },
        &format!(
            "02 00 00 00 00 00 00 00 00 00 00 00 00 00 01 {} ac02 01 64 c801 03 02 a202 09 02 01 01 {} 04 03 00 05",
            x32("aa"),
            x32("bb")
        ),
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
        &format!("02 07 {} 8020 08 02 00 02 05 06", x32("bb")),
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
        &format!("02 {} 8020 03 090807", x32("bb")),
    );
}

#[test]
fn cmd() {
    let cmd = |id, order| Cmd { id, order };
    golden(cmd(1, Order::Identify), "02 01 00");
    golden(cmd(2, Order::Stop), "02 02 01");
    golden(cmd(3, Order::Resume), "02 03 02");
    golden(cmd(4, Order::Retry), "02 04 03");
    golden(cmd(5, Order::Rebirth), "02 05 04");
    let range = FrameRange {
        boot: 3,
        first: 0,
        last: 299,
    };
    golden(
        cmd(0, Order::Receipt(Vec::from_slice(&[range]).unwrap())),
        "02 00 05 01 03 00 ab02",
    );
    for (refusal, byte) in [
        (Refusal::Unknown, "00"),
        (Refusal::BadRange, "01"),
        (Refusal::Storage, "02"),
    ] {
        golden(
            cmd(0, Order::Refused(digest(0xbb), refusal)),
            &format!("02 00 06 {} {byte}", x32("bb")),
        );
    }
}

fn manifest() -> Manifest {
    Manifest {
        model: name("terrain"),
        version: 2,
        floor: 1,
        expires_s: Some(300),
        artifacts: Vec::from_slice(&[Artifact {
            target: name("generic"),
            digest: digest(0xbb),
            size: 65537,
            arena: 5000,
            flash: 65537,
            golden: digest(0xee),
        }])
        .unwrap(),
        deltas: Vec::from_slice(&[Delta {
            artifact: 0,
            base: digest(0xab),
            digest: digest(0xcd),
            size: 300,
        }])
        .unwrap(),
        url: Some("http://h/".into()),
    }
}

fn manifest_hex() -> String {
    format!(
        "02 077465727261696e 02 01 01ac02 01 0767656e65726963 {} 818004 8827 818004 {} 01 00 {} {} ac02 01 09687474703a2f2f682f",
        x32("bb"),
        x32("ee"),
        x32("ab"),
        x32("cd")
    )
}

#[test]
fn manifest_alone() {
    golden(manifest(), &manifest_hex());
}

fn bytes<'a, M: Message<'a>>(message: &M) -> &'static [u8] {
    let mut buffer = [0; MAX_SMALL_MESSAGE];
    encode(message, &mut buffer).unwrap().to_vec().leak()
}

fn signature() -> Signature {
    Signature {
        key: [1, 2, 3, 4, 5, 6, 7, 8],
        bytes: [[0xcc; 32], [0xdd; 32]],
    }
}

/// A length below 2^14 as postcard writes it.
fn length(bytes: &[u8]) -> String {
    let n = bytes.len();
    match n {
        0..128 => format!("{n:02x}"),
        _ => format!("{:02x}{:02x}", n & 127 | 128, n >> 7),
    }
}

#[test]
fn desired() {
    let release = bytes(&manifest());
    let mut signed: Signed<'_> = Signed::unsigned(release);
    signed.signatures.push(signature()).unwrap();
    let arms = [
        Arm {
            upto: 127,
            run: Some(0),
            shadow: None,
        },
        Arm {
            upto: u32::MAX,
            run: None,
            shadow: Some(0),
        },
    ];
    let desired = Desired {
        group: name("all"),
        serial: 9,
        issued_s: 300,
        expires_s: Some(301),
        chunk_size: 32768,
        salt: [0x5a; 16],
        releases: Vec::from_slice(&[signed]).unwrap(),
        arms: Vec::from_slice(&arms).unwrap(),
    };
    let statement_hex = format!(
        "02 03616c6c 09 ac02 01ad02 808002 {} 01 {} {} 01 0102030405060708 {} {} 02 7f 0100 00 ffffffff0f 00 0100",
        "5a".repeat(16),
        length(release),
        manifest_hex(),
        x32("cc"),
        x32("dd")
    );
    golden(desired.clone(), &statement_hex);
    let statement = bytes(&desired);
    let outer: Signed<'_> = Signed::unsigned(statement);
    golden(
        outer.clone(),
        &format!("02 {} {statement_hex} 00", length(statement)),
    );
    assert_eq!(outer.read(), Ok(desired));
}

#[test]
fn roots() {
    let role = |threshold, keys: &[u8]| RoleKeys {
        threshold,
        keys: Vec::from_slice(keys).unwrap(),
    };
    let root = Root {
        version: 1,
        epoch: 2,
        expires_s: None,
        keys: Vec::from_slice(&[[0x11; 32], [0x22; 32]]).unwrap(),
        root: role(1, &[0]),
        release: role(2, &[0, 1]),
        fleet: role(1, &[1]),
    };
    let root_hex = format!(
        "02 01 02 00 02 {} {} 01 01 00 02 02 00 01 01 01 01",
        x32("11"),
        x32("22")
    );
    golden(root.clone(), &root_hex);
    let statement = bytes(&root);
    let mut signed: Signed<'_, MAX_ROOT_SIGNATURES> = Signed::unsigned(statement);
    signed.signatures.push(signature()).unwrap();
    let link_hex = format!(
        "02 {} {root_hex} 01 0102030405060708 {} {}",
        length(statement),
        x32("cc"),
        x32("dd")
    );
    golden(signed.clone(), &link_hex);
    let link = bytes(&signed);
    let chain: &'static [u8] = [&(link.len() as u16).to_le_bytes()[..], link]
        .concat()
        .leak();
    let roots = Roots { chain };
    golden(
        roots.clone(),
        &format!("02 {} {:02x}00 {link_hex}", length(chain), link.len()),
    );
    assert_eq!(roots.iter().collect::<std::vec::Vec<_>>(), [link]);
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
    let topic = Topic::root(&fleet, &name("all"));
    assert_eq!(topic.text().as_str(), "sanderling/1/lab/g/all/root");
    assert_eq!("sanderling/1/lab/g/all/root".parse(), Ok(topic));
    assert_eq!(
        Topic::every_device(&fleet, Kind::Need).as_str(),
        "sanderling/1/lab/d/+/need"
    );
}
