//! What the gateway does for each thing that it hears; nothing here waits, connects, or knows the time of day.

use std::collections::VecDeque;

use sanderling_wire::serial::{
    Assembly, Carried, Decoder, Greeting, Hello, Link, MAX_FRAME, MAX_WIRE, Part, Piece, Want,
    encode_frame, pieces,
};
use sanderling_wire::{
    Birth, Chunk, ChunkRange, Cmd, DEFAULT_CHUNK, Digest, Kind, MAX_MESSAGE, MAX_SMALL_MESSAGE,
    Message, Name, Need, Order, Presence, Refusal, Session, State, Topic, decode, encode,
};

use super::files::Files;
use crate::link::Post;

/// How long a chunk may take before it is asked for again, in milliseconds.
const PATIENCE: u64 = 3_000;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Connect as this device with this will, in place of any connection before.
    Connect {
        /// The client's id and the robot's name.
        device: Name,
        /// What the broker says when the connection ends.
        will: Post,
        /// Topics to listen to.
        topics: Vec<String>,
    },
    /// Publish.
    Post(Post),
    /// Send these bytes down the line.
    Line(Vec<u8>),
}

/// The microcontroller that is spoken for.
#[derive(Debug)]
struct Known {
    hello: Hello,
    session: Session,
    connected: bool,
}

/// A gateway for one serial line.
#[derive(Debug)]
pub struct Gateway {
    fleet: Name,
    decoder: Box<Decoder<MAX_FRAME>>,
    assembly: Box<Assembly<MAX_SMALL_MESSAGE>>,
    known: Option<Known>,
    connections: u32,
    /// What is retained for the group: said again after each hello.
    desired: Option<Vec<u8>>,
    root: Option<Vec<u8>>,
    number: u16,
    files: Files,
    /// What the microcontroller waits for.
    wanted: Option<Want>,
    /// The chunk that was asked for, and when.
    asked: Option<(Digest, u32, u64)>,
    dropped: u64,
}

impl Gateway {
    /// A gateway into this fleet that has heard nothing.
    pub fn new(fleet: Name) -> Gateway {
        Gateway {
            fleet,
            decoder: Box::default(),
            assembly: Box::default(),
            known: None,
            connections: 0,
            desired: None,
            root: None,
            number: 0,
            files: Files::default(),
            wanted: None,
            asked: None,
            dropped: 0,
        }
    }

    /// Frames of the line that were damaged.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes came up the line. `now_ms` only grows; `now_s` is the time of day in seconds since 1970.
    pub fn line(&mut self, bytes: &[u8], now_ms: u64, now_s: u64) -> VecDeque<Out> {
        let mut out = VecDeque::new();
        for &byte in bytes {
            // What borrows the decoder is made into values first.
            let heard = match self.decoder.push(byte) {
                None => continue,
                Some(Err(_)) => {
                    self.dropped += 1;
                    continue;
                }
                Some(Ok(Link::Hello(hello))) => Heard::Hello(Box::new(hello)),
                Some(Ok(Link::Want(want))) => Heard::Want(want),
                Some(Ok(Link::Piece(piece))) => match said(&mut self.assembly, &piece) {
                    Some(state) => state,
                    None => continue,
                },
                Some(Ok(Link::Greeting(_) | Link::Part(_) | Link::Absent(_))) => continue,
            };
            match heard {
                Heard::Hello(hello) => self.hello(*hello, now_s, &mut out),
                Heard::Want(want) => self.want(want, now_ms, &mut out),
                Heard::State(state, bytes) => self.state(&state, bytes, &mut out),
            }
        }
        out
    }

    fn hello(&mut self, hello: Hello, now_s: u64, out: &mut VecDeque<Out>) {
        self.wanted = None;
        if let Some(known) = &mut self.known
            && known.hello == hello
        {
            // Said again, because the answer was lost, or because there is no connection yet.
            if known.connected {
                self.greet(now_s, out);
            }
            return;
        }
        self.connect(hello, out);
    }

    /// A connection of its own for the microcontroller, with a session that is newer than any before.
    fn connect(&mut self, hello: Hello, out: &mut VecDeque<Out>) {
        self.connections = self.connections.wrapping_add(1);
        let session = Session::new(hello.boot, self.connections);
        if self
            .known
            .as_ref()
            .is_some_and(|known| known.hello.group != hello.group)
        {
            (self.desired, self.root) = (None, None);
        }
        let device = hello.device.clone();
        let of = |kind| text(&Topic::device(&self.fleet, &device, kind));
        let topics = vec![
            text(&Topic::desired(&self.fleet, &hello.group)),
            text(&Topic::root(&self.fleet, &hello.group)),
            of(Kind::Chunk),
            of(Kind::Cmd),
        ];
        let will = Post {
            topic: of(Kind::Birth),
            payload: written(&Presence::Gone(session)),
            retain: true,
        };
        self.known = Some(Known {
            hello,
            session,
            connected: false,
        });
        out.push_back(Out::Connect {
            device,
            will,
            topics,
        });
    }

    /// The connection is up.
    pub fn up(&mut self, now_s: u64) -> VecDeque<Out> {
        let mut out = VecDeque::new();
        if let Some(known) = &mut self.known {
            known.connected = true;
            self.birth(&mut out);
            self.greet(now_s, &mut out);
        }
        out
    }

    /// The connection ended; it is made anew with a newer session.
    pub fn down(&mut self) -> VecDeque<Out> {
        let mut out = VecDeque::new();
        if let Some(known) = self.known.take() {
            self.asked = None;
            self.connect(known.hello, &mut out);
        }
        out
    }

    fn birth(&self, out: &mut VecDeque<Out>) {
        let Some(known) = &self.known else { return };
        let hello = &known.hello;
        let birth = Presence::Born(Birth {
            session: known.session,
            group: hello.group.clone(),
            software: hello.software.clone(),
            board: hello.board.clone(),
            targets: hello.targets.clone(),
            arena_limit: u64::from(hello.arena_bytes),
            flash_limit: u64::from(hello.slot_bytes),
            chunk_limit: DEFAULT_CHUNK,
            running: None,
        });
        self.post(Kind::Birth, written(&birth), out);
    }

    fn greet(&mut self, now_s: u64, out: &mut VecDeque<Out>) {
        let Some(known) = &self.known else { return };
        let greeting = Greeting {
            session: known.session,
            now_s,
            boot: known.hello.boot,
        };
        out.push_back(Out::Line(framed(&Link::Greeting(greeting))));
        // The root first: it may be what the desired state is signed under.
        for (carried, message) in [
            (Carried::Root, self.root.clone()),
            (Carried::Desired, self.desired.clone()),
        ] {
            if let Some(message) = message {
                self.carry(carried, &message, out);
            }
        }
    }

    fn carry(&mut self, carried: Carried, message: &[u8], out: &mut VecDeque<Out>) {
        self.number = self.number.wrapping_add(1);
        out.extend(
            pieces(carried, self.number, message)
                .map(|piece| Out::Line(framed(&Link::Piece(piece)))),
        );
    }

    fn post(&self, kind: Kind, payload: Vec<u8>, out: &mut VecDeque<Out>) {
        if let Some(known) = &self.known {
            out.push_back(Out::Post(Post {
                topic: text(&Topic::device(&self.fleet, &known.hello.device, kind)),
                payload,
                retain: kind.is_retained(),
            }));
        }
    }

    fn state(&self, state: &State, bytes: Vec<u8>, out: &mut VecDeque<Out>) {
        // One of another session says nothing about this connection.
        if self
            .known
            .as_ref()
            .is_some_and(|known| known.connected && known.session == state.session)
        {
            self.post(Kind::State, bytes, out);
        }
    }

    fn want(&mut self, want: Want, now_ms: u64, out: &mut VecDeque<Out>) {
        self.wanted = Some(want);
        self.serve(now_ms, out);
    }

    /// Answers the wish from what is kept, or asks the fleet for the chunk that is missing.
    fn serve(&mut self, now_ms: u64, out: &mut VecDeque<Out>) {
        let (Some(want), Some(known)) = (self.wanted, &self.known) else {
            return;
        };
        match self.files.read(want.file, want.offset, want.length) {
            Ok(data) => {
                self.wanted = None;
                let part = Part {
                    file: want.file,
                    offset: want.offset,
                    data: &data,
                };
                out.push_back(Out::Line(framed(&Link::Part(part))));
            }
            Err(chunk) => {
                let waits = |&(file, index, at): &(Digest, u32, u64)| {
                    file == want.file && index == chunk && now_ms.saturating_sub(at) < PATIENCE
                };
                if !known.connected || self.asked.as_ref().is_some_and(waits) {
                    return;
                }
                self.asked = Some((want.file, chunk, now_ms));
                let need = Need {
                    session: known.session,
                    release: want.file,
                    chunk_size: DEFAULT_CHUNK,
                    credit: 1,
                    ranges: [ChunkRange {
                        first: chunk,
                        count: 1,
                    }]
                    .into_iter()
                    .collect(),
                };
                self.post(Kind::Need, written(&need), out);
            }
        }
    }

    /// A message of the fleet's.
    pub fn fleet(&mut self, topic: &str, payload: &[u8], now_ms: u64, now_s: u64) -> VecDeque<Out> {
        let mut out = VecDeque::new();
        match topic.parse::<Topic>() {
            Ok(Topic::Desired { .. }) => {
                self.desired = Some(payload.to_vec());
                self.carry(Carried::Desired, payload, &mut out);
            }
            Ok(Topic::Root { .. }) => {
                self.root = Some(payload.to_vec());
                self.carry(Carried::Root, payload, &mut out);
            }
            Ok(Topic::Device {
                kind: Kind::Chunk, ..
            }) => self.chunk(payload, now_ms, &mut out),
            Ok(Topic::Device {
                kind: Kind::Cmd, ..
            }) => self.cmd(payload, now_s, &mut out),
            _ => {}
        }
        out
    }

    fn chunk(&mut self, payload: &[u8], now_ms: u64, out: &mut VecDeque<Out>) {
        let Ok(chunk) = decode::<Chunk<'_>>(payload) else {
            return;
        };
        let size = u64::from(DEFAULT_CHUNK);
        let whole = chunk.offset.is_multiple_of(size) && chunk.data.len() <= DEFAULT_CHUNK as usize;
        let (true, Ok(index)) = (whole, u32::try_from(chunk.offset / size)) else {
            return;
        };
        // Only what was asked for: memory is not filled from outside.
        if self
            .asked
            .is_some_and(|(file, asked, _)| (file, asked) == (chunk.release, index))
        {
            self.asked = None;
            self.files.keep(chunk.release, index, chunk.data);
            self.serve(now_ms, out);
        }
    }

    fn cmd(&mut self, payload: &[u8], now_s: u64, out: &mut VecDeque<Out>) {
        let Ok(cmd) = decode::<Cmd>(payload) else {
            return;
        };
        match cmd.order {
            Order::Rebirth => {
                self.birth(out);
                // A greeting makes the microcontroller say its state.
                self.greet(now_s, out);
            }
            Order::Refused(file, Refusal::Unknown | Refusal::BadRange) => {
                if self.wanted.is_some_and(|want| want.file == file) {
                    self.wanted = None;
                    self.asked = None;
                    out.push_back(Out::Line(framed(&Link::Absent(file))));
                }
            }
            Order::Refused(_, Refusal::Storage) => {}
            _ => self.carry(Carried::Cmd, payload, out),
        }
    }

    /// Time passed: what was asked for in vain is asked for again.
    pub fn beat(&mut self, now_ms: u64) -> VecDeque<Out> {
        let mut out = VecDeque::new();
        self.serve(now_ms, &mut out);
        out
    }
}

/// What came up the line and concerns others.
enum Heard {
    Hello(Box<Hello>),
    Want(Want),
    State(Box<State>, Vec<u8>),
}

/// The state that a piece completes. Other messages are not passed on: there is nobody who would vouch for them.
fn said(assembly: &mut Assembly<MAX_SMALL_MESSAGE>, piece: &Piece<'_>) -> Option<Heard> {
    match assembly.push(piece)? {
        (Carried::State, bytes) => {
            let state = decode::<State>(bytes).ok()?;
            Some(Heard::State(Box::new(state), bytes.to_vec()))
        }
        _ => None,
    }
}

fn text(topic: &Topic) -> String {
    topic.text().as_str().to_owned()
}

/// A message in its envelope; empty where it breaks its bounds, which what is made here does not.
fn written<'a, M: Message<'a>>(message: &M) -> Vec<u8> {
    let mut buffer = vec![0; MAX_MESSAGE];
    encode(message, &mut buffer)
        .map(<[u8]>::to_vec)
        .unwrap_or_default()
}

fn framed(link: &Link<'_>) -> Vec<u8> {
    let mut buffer = vec![0; MAX_WIRE];
    encode_frame(link, &mut buffer)
        .map(<[u8]>::to_vec)
        .unwrap_or_default()
}
