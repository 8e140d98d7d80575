//! The serial link: what is sent arrives; what the line does to it is found; the next whole frame is read again.

use proptest::collection::vec;
use proptest::prelude::*;
use sanderling_wire::serial::*;
use sanderling_wire::*;

/// A message without a borrow, so that strategies can make it.
#[derive(Clone, Debug)]
enum Said {
    Hello(Box<Hello>),
    Greeting(Greeting),
    Piece(Carried, u16, Vec<u8>),
    Want(Want),
    Part(Digest, u32, Vec<u8>),
    Absent(Digest),
}

impl Said {
    fn link(&self) -> Link<'_> {
        match self {
            Said::Hello(hello) => Link::Hello(Hello::clone(hello)),
            Said::Greeting(greeting) => Link::Greeting(greeting.clone()),
            Said::Piece(carried, number, data) => {
                let (carried, number, total) = (*carried, *number, data.len() as u32);
                Link::Piece(Piece {
                    carried,
                    number,
                    total,
                    offset: 0,
                    data,
                })
            }
            Said::Want(want) => Link::Want(*want),
            Said::Part(file, offset, data) => Link::Part(Part {
                file: *file,
                offset: *offset,
                data,
            }),
            Said::Absent(file) => Link::Absent(*file),
        }
    }
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn name() -> impl Strategy<Value = Name> {
    "[A-Za-z0-9][A-Za-z0-9._-]{0,47}".prop_map(|text| Name::new(&text).unwrap())
}

fn carried() -> impl Strategy<Value = Carried> {
    prop_oneof![
        Just(Carried::Desired),
        Just(Carried::Cmd),
        Just(Carried::State),
        Just(Carried::Result)
    ]
}

fn hello() -> impl Strategy<Value = Said> {
    (
        name(),
        vec(name(), 1..=MAX_TARGETS),
        any::<[u32; 3]>(),
        1..=MAX_PART as u16,
    )
        .prop_map(
            |(device, targets, [slot_bytes, arena_bytes, boot], part_bytes)| {
                Said::Hello(Box::new(Hello {
                    device,
                    group: Name::new("arms").unwrap(),
                    board: Text::cut("mps2-an386"),
                    software: Text::cut("firmware 0.1.0"),
                    targets: targets.into_iter().collect(),
                    slot_bytes,
                    arena_bytes,
                    part_bytes,
                    boot,
                }))
            },
        )
}

/// Bytes with many zeros, or without one for long.
fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 1..=most),
        vec(prop_oneof![Just(0u8), Just(1), Just(255)], 1..=most),
        vec(1u8.., 1..=most),
    ]
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        hello(),
        any::<(u64, u64, u32)>().prop_map(|(session, now_s, boot)| Said::Greeting(Greeting {
            session: Session(session),
            now_s,
            boot
        })),
        (carried(), any::<u16>(), bytes(MAX_PIECE))
            .prop_map(|(c, n, data)| Said::Piece(c, n, data)),
        (digest(), 0u32..1 << 30, 1..=MAX_PART as u16).prop_map(|(file, offset, length)| {
            Said::Want(Want {
                file,
                offset,
                length,
            })
        }),
        (digest(), 0u32..1 << 30, bytes(MAX_PART))
            .prop_map(|(file, offset, data)| Said::Part(file, offset, data)),
        digest().prop_map(Said::Absent),
    ]
}

fn framed(said: &Said) -> Vec<u8> {
    let mut buffer = [0; MAX_WIRE];
    encode_frame(&said.link(), &mut buffer).unwrap().to_vec()
}

/// Everything that a decoder makes of a stream, as text: the messages, and how many frames were dropped.
fn heard(stream: &[u8]) -> (Vec<String>, usize) {
    let mut decoder = Decoder::<MAX_FRAME>::new();
    let (mut messages, mut dropped) = (Vec::new(), 0);
    for &byte in stream {
        match decoder.push(byte) {
            Some(Ok(link)) => messages.push(format!("{link:?}")),
            Some(Err(error)) => {
                assert!(!error.to_string().is_empty());
                dropped += 1;
            }
            None => {}
        }
    }
    (messages, dropped)
}

fn shown(list: &[Said]) -> Vec<String> {
    list.iter()
        .map(|said| format!("{:?}", said.link()))
        .collect()
}

/// What a line does to bytes.
#[derive(Clone, Debug)]
enum Harm {
    /// One is lost.
    Cut(usize),
    /// One comes twice.
    Double(usize),
    /// Two change places.
    Swap(usize),
    /// One comes as another.
    Flip(usize, u8),
    /// Noise in between.
    Noise(usize, Vec<u8>),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        any::<usize>().prop_map(Harm::Cut),
        any::<usize>().prop_map(Harm::Double),
        any::<usize>().prop_map(Harm::Swap),
        (any::<usize>(), 1u8..).prop_map(|(at, bits)| Harm::Flip(at, bits)),
        (any::<usize>(), vec(any::<u8>(), 1..300)).prop_map(|(at, noise)| Harm::Noise(at, noise)),
    ]
}

fn harmed(stream: &[u8], harm: &Harm) -> Vec<u8> {
    let mut stream = stream.to_vec();
    let length = stream.len();
    match harm {
        Harm::Cut(at) => {
            stream.remove(at % length);
        }
        Harm::Double(at) => stream.insert(at % length, stream[at % length]),
        Harm::Swap(at) => stream.swap(at % length, at.wrapping_add(1) % length),
        Harm::Flip(at, bits) => stream[at % length] ^= bits,
        Harm::Noise(at, noise) => {
            let at = at % length;
            stream.splice(at..at, noise.iter().copied());
        }
    }
    stream
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_sent_arrives(list in vec(said(), 1..6)) {
        let stream: Vec<u8> = list.iter().flat_map(framed).collect();
        prop_assert_eq!(heard(&stream), (shown(&list), 0));
    }

    #[test]
    fn a_frame_has_no_zero_inside(said in said()) {
        let frame = framed(&said);
        prop_assert!(frame.len() <= MAX_WIRE);
        prop_assert!(frame.iter().filter(|&&b| b == 0).count() == 2);
        prop_assert!(frame.first() == Some(&0) && frame.last() == Some(&0));
    }

    #[test]
    fn harm_costs_the_frames_that_it_touched(
        before in vec(said(), 1..3),
        harms in vec(harm(), 1..4),
        after in vec(said(), 1..3),
    ) {
        let mut stream: Vec<u8> = before.iter().flat_map(framed).collect();
        for harm in &harms {
            stream = harmed(&stream, harm);
        }
        stream.extend(after.iter().flat_map(framed));
        let (messages, _) = heard(&stream);
        let (whole, sent) = (shown(&after), shown(&before));
        // The frame before may have lost its last zero to the harm; the next one begins with a zero of its own.
        prop_assert!(messages.ends_with(&whole), "the link did not find back");
        for message in &messages[..messages.len() - whole.len()] {
            prop_assert!(sent.contains(message), "a message that nobody sent");
        }
    }

    #[test]
    fn any_bytes_return(stream in vec(prop_oneof![4 => any::<u8>(), 1 => Just(0u8)], 0..2000)) {
        let mut small = Decoder::<64>::new();
        for &byte in &stream {
            let _ = small.push(byte);
        }
        heard(&stream);
    }

    #[test]
    fn a_message_larger_than_a_frame_is_put_together(
        message in vec(any::<u8>(), 1..4000),
        lost in proptest::option::of(any::<usize>()),
    ) {
        let list: Vec<Piece<'_>> = pieces(Carried::Desired, 7, &message).collect();
        prop_assert!(list.iter().all(|p| Link::Piece(p.clone()).is_sound()));
        let lost = lost.map(|at| at % list.len());
        let mut assembly = Assembly::<4000>::new();
        let mut got = Vec::new();
        for (i, piece) in list.iter().enumerate() {
            if Some(i) != lost {
                got.extend(assembly.push(piece).map(|(carried, bytes)| (carried, bytes.to_vec())));
            }
        }
        let expected = if lost.is_some() { vec![] } else { vec![(Carried::Desired, message.clone())] };
        prop_assert_eq!(got, expected);
        // And the next message comes whole.
        let mut whole = 0;
        for piece in pieces(Carried::Cmd, 8, &message) {
            whole += usize::from(assembly.push(&piece).is_some_and(|(c, b)| c == Carried::Cmd && b == message));
        }
        prop_assert_eq!(whole, 1);
    }

    #[test]
    fn pieces_of_any_kind_never_overrun(
        list in vec((carried(), 0u16..3, 0u32..300, 0u32..300, vec(any::<u8>(), 0..100)), 0..30),
    ) {
        let mut assembly = Assembly::<256>::new();
        for (carried, number, total, offset, data) in &list {
            let piece = Piece { carried: *carried, number: *number, total: *total, offset: *offset, data };
            if let Some((_, message)) = assembly.push(&piece) {
                prop_assert!(message.len() <= 256);
            }
        }
    }
}

#[test]
fn a_frame_byte_by_byte() {
    let said = Link::Want(Want {
        file: Digest([0xAA; 32]),
        offset: 4096,
        length: 1024,
    });
    let mut buffer = [0; MAX_WIRE];
    let frame = encode_frame(&said, &mut buffer).unwrap();
    let mut expected = vec![0, 0x2B, VERSION, 0x03];
    expected.extend([0xAA; 32]);
    // 4096 and 1024 in postcard's variable length, the checksum, the end.
    expected.extend([0x80, 0x20, 0x80, 0x08]);
    assert_eq!(frame[..expected.len()], expected);
    assert_eq!(frame.len(), expected.len() + 5);
    assert_eq!(frame.last(), Some(&0));
}

#[test]
fn a_buffer_that_is_too_small_is_an_error_and_no_overrun() {
    let said = Link::Part(Part {
        file: Digest([7; 32]),
        offset: 0,
        data: &[9; 600],
    });
    let mut buffer = [0xEE; MAX_WIRE];
    let whole = encode_frame(&said, &mut buffer).unwrap().len();
    for room in 0..whole {
        let mut buffer = vec![0; room];
        assert_eq!(
            encode_frame(&said, &mut buffer),
            Err(EncodeError::BufferTooSmall),
            "{room}"
        );
    }
    let mut decoder = Decoder::<256>::new();
    let frame = encode_frame(&said, &mut buffer).unwrap();
    let last = frame
        .iter()
        .filter_map(|&b| decoder.push(b).map(|r| r.err()))
        .last();
    assert_eq!(last, Some(Some(FrameError::TooLong)));
}

#[test]
fn what_breaks_its_bounds_is_not_sent() {
    let mut buffer = [0; MAX_WIRE];
    let file = Digest([1; 32]);
    let too_much = vec![0; MAX_PART + 1];
    for said in [
        Link::Want(Want {
            file,
            offset: u32::MAX,
            length: 1,
        }),
        Link::Want(Want {
            file,
            offset: 0,
            length: 0,
        }),
        Link::Part(Part {
            file,
            offset: 0,
            data: &[],
        }),
        Link::Part(Part {
            file,
            offset: 0,
            data: &too_much,
        }),
        Link::Piece(Piece {
            carried: Carried::Cmd,
            number: 0,
            total: 3,
            offset: 2,
            data: &[1, 2],
        }),
    ] {
        assert_eq!(encode_frame(&said, &mut buffer), Err(EncodeError::Unsound));
    }
}
