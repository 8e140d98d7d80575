//! The gateway as values: what it is told by the line and by the fleet, and what it says to be sent where.

mod node;

use std::collections::VecDeque;

use sanderling_agent::gateway::{Gateway, Out};
use sanderling_wire::serial::{
    Assembly, Carried, Decoder, Hello, Link, MAX_FRAME, MAX_WIRE, Want, encode_frame, pieces,
};
use sanderling_wire::{
    Chunk, Cmd, DEFAULT_CHUNK, Digest, MAX_MESSAGE, MAX_SMALL_MESSAGE, Message, Name, Need, Order,
    Phase, Presence, Refusal, Session, State, decode, encode,
};

const FILE: Digest = Digest([7; 32]);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn hello(boot: u32) -> Link<'static> {
    Link::Hello(Hello {
        device: name("mcu-1"),
        group: name("arms"),
        board: sanderling_wire::Text::cut("mps2-an386"),
        software: sanderling_wire::Text::cut("firmware"),
        targets: [name("cortex-m4")].into_iter().collect(),
        slot_bytes: 1 << 19,
        arena_bytes: 1 << 18,
        part_bytes: 1024,
        boot,
    })
}

fn framed(link: &Link<'_>) -> Vec<u8> {
    let mut buffer = vec![0; MAX_WIRE];
    encode_frame(link, &mut buffer).unwrap().to_vec()
}

fn written<'a, M: Message<'a>>(message: &M) -> Vec<u8> {
    let mut buffer = vec![0; MAX_MESSAGE];
    encode(message, &mut buffer).unwrap().to_vec()
}

/// What the microcontroller would hear.
fn heard(out: &VecDeque<Out>) -> Vec<String> {
    let mut decoder = Decoder::<MAX_FRAME>::new();
    let mut links = Vec::new();
    for out in out {
        if let Out::Line(bytes) = out {
            for &byte in bytes {
                links.extend(
                    decoder
                        .push(byte)
                        .map(|link| format!("{:?}", link.unwrap())),
                );
            }
        }
    }
    links
}

fn posts(out: &VecDeque<Out>) -> Vec<(String, Vec<u8>)> {
    let post = |out: &Out| match out {
        Out::Post(post) => Some((post.topic.clone(), post.payload.clone())),
        _ => None,
    };
    out.iter().filter_map(post).collect()
}

/// A gateway that speaks for a microcontroller, and its session.
fn connected() -> (Gateway, Session) {
    let mut gateway = Gateway::new(name("farm"));
    let out = gateway.line(&framed(&hello(3)), 0, 100);
    let Some(Out::Connect {
        device,
        will,
        topics,
    }) = out.front()
    else {
        panic!("{out:?}");
    };
    assert_eq!((device.as_str(), will.retain), ("mcu-1", true));
    assert!(
        topics
            .iter()
            .any(|topic| topic == "sanderling/1/farm/g/arms/desired")
    );
    let session = decode::<Presence>(&will.payload).unwrap().session();
    let out = gateway.up(100);
    let (topic, birth) = posts(&out).remove(0);
    assert_eq!(topic, "sanderling/1/farm/d/mcu-1/birth");
    let Presence::Born(birth) = decode(&birth).unwrap() else {
        panic!("not a birth");
    };
    assert_eq!(
        (birth.session, birth.flash_limit, birth.board.to_string()),
        (session, 1 << 19, "mps2-an386".into())
    );
    assert!(heard(&out)[0].starts_with("Greeting"));
    (gateway, session)
}

#[test]
fn the_fleet_sees_a_robot_of_its_own() {
    let (mut gateway, session) = connected();
    let state = State {
        session,
        running: None,
        phase: Phase::Empty,
        serial: 0,
        root: None,
        progress: None,
        failure: None,
    };
    let say = |state: &State| {
        let bytes = written(state);
        let frames =
            pieces(Carried::State, 1, &bytes).flat_map(|piece| framed(&Link::Piece(piece)));
        frames.collect::<Vec<u8>>()
    };
    let out = gateway.line(&say(&state), 0, 100);
    assert_eq!(
        posts(&out),
        [(
            "sanderling/1/farm/d/mcu-1/state".to_owned(),
            written(&state)
        )]
    );
    let old = State {
        session: Session(1),
        ..state
    };
    assert!(
        gateway.line(&say(&old), 0, 100).is_empty(),
        "a state of another session is not passed on"
    );
}

#[test]
fn bytes_are_pulled_once_and_asked_for_again() {
    let (mut gateway, session) = connected();
    let file: Vec<u8> = (0..DEFAULT_CHUNK + 500).map(|i| i as u8).collect();
    let want = |offset, length| {
        framed(&Link::Want(Want {
            file: FILE,
            offset,
            length,
        }))
    };
    let out = gateway.line(&want(DEFAULT_CHUNK - 100, 200), 0, 100);
    let need: Need = {
        let (topic, payload) = posts(&out).remove(0);
        assert_eq!(topic, "sanderling/1/farm/d/mcu-1/need");
        decode(&payload).unwrap()
    };
    assert_eq!(
        (
            need.session,
            need.release,
            need.ranges[0].first,
            need.credit
        ),
        (session, FILE, 0, 1)
    );
    assert!(gateway.beat(1000).is_empty(), "it is patient");
    assert_eq!(posts(&gateway.beat(4000)).len(), 1, "and not for ever");
    let chunk = |index: u32| {
        let from = (index * DEFAULT_CHUNK) as usize;
        let end = file.len().min(from + DEFAULT_CHUNK as usize);
        written(&Chunk {
            release: FILE,
            offset: from as u64,
            data: &file[from..end],
        })
    };
    let topic = "sanderling/1/farm/d/mcu-1/chunk";
    let out = gateway.fleet(topic, &chunk(0), 4100, 100);
    assert!(heard(&out).is_empty(), "half of it lies in the next chunk");
    assert_eq!(
        decode::<Need>(&posts(&out)[0].1).unwrap().ranges[0].first,
        1
    );
    let out = gateway.fleet(topic, &chunk(1), 4200, 100);
    assert_eq!(heard(&out).len(), 1);
    assert!(heard(&out)[0].starts_with("Part"));
    let out = gateway.line(&want(0, 1024), 4300, 100);
    assert!(
        posts(&out).is_empty() && heard(&out).len() == 1,
        "what is kept is not pulled again"
    );
    assert!(
        gateway.fleet(topic, &chunk(0), 4400, 100).is_empty(),
        "nothing is taken that was not asked for"
    );
}

#[test]
fn a_file_that_the_fleet_lacks_is_absent() {
    let (mut gateway, _) = connected();
    gateway.line(
        &framed(&Link::Want(Want {
            file: FILE,
            offset: 0,
            length: 88,
        })),
        0,
        100,
    );
    let order = Order::Refused(FILE, Refusal::Unknown);
    let out = gateway.fleet(
        "sanderling/1/farm/d/mcu-1/cmd",
        &written(&Cmd { id: 0, order }),
        10,
        100,
    );
    assert_eq!(heard(&out), [format!("{:?}", Link::Absent(FILE))]);
    assert!(gateway.beat(60_000).is_empty());
}

#[test]
fn what_the_group_has_is_said_after_every_hello() {
    let (mut gateway, _) = connected();
    let desired = vec![9; 1500];
    let whole = |out: &VecDeque<Out>| {
        let mut assembly = Assembly::<MAX_SMALL_MESSAGE>::new();
        let mut decoder = Decoder::<MAX_FRAME>::new();
        let mut messages = 0;
        for out in out {
            let Out::Line(bytes) = out else { continue };
            for &byte in bytes {
                if let Some(Ok(Link::Piece(piece))) = decoder.push(byte) {
                    messages += usize::from(
                        assembly.push(&piece) == Some((Carried::Desired, &desired[..])),
                    );
                }
            }
        }
        messages
    };
    assert_eq!(
        whole(&gateway.fleet("sanderling/1/farm/g/arms/desired", &desired, 0, 100)),
        1
    );
    assert_eq!(
        whole(&gateway.line(&framed(&hello(3)), 5, 100)),
        1,
        "the same start"
    );
    let out = gateway.line(&framed(&hello(4)), 9, 100);
    assert!(
        matches!(out.front(), Some(Out::Connect { .. })),
        "another start, another session"
    );
    assert_eq!(whole(&gateway.up(100)), 1);
}

#[test]
fn a_connection_that_ends_is_made_anew_with_a_newer_session() {
    let (mut gateway, session) = connected();
    let out = gateway.down();
    let Some(Out::Connect { will, .. }) = out.front() else {
        panic!("{out:?}");
    };
    let next = decode::<Presence>(&will.payload).unwrap().session();
    assert!(next > session);
    assert!(
        gateway.line(&framed(&hello(3)), 0, 100).is_empty(),
        "no greeting without a connection"
    );
}

#[test]
fn a_damaged_frame_is_counted_and_nothing_else() {
    let (mut gateway, _) = connected();
    let mut frame = framed(&hello(9));
    frame[9] ^= 1;
    assert!(gateway.line(&frame, 0, 100).is_empty());
    assert_eq!(gateway.dropped(), 1);
}
