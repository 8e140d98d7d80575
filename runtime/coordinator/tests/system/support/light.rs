//! Thousands of robots in one process: each is a socket, a bitmap of the chunks that it holds, and the results that
//! have no receipt yet. They speak MQTT 5 in its plainest form, and they keep every rule of the conversation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sanderling_wire::{
    Birth, Chunk, Cmd, Desired, Digest, FrameId, Held, Inference, Kind, Layout, Manifest, Name,
    Need, Order, Output, Phase, Presence, Running, Session, Signed, State, Topic, decode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;

use super::robot::{bytes, name};

/// Chunks asked for at once.
const CREDIT: u16 = 4;
/// How often a robot looks around.
const BEAT: Duration = Duration::from_secs(2);
/// How long without a chunk, or without a receipt, before it asks, or says, again.
const PATIENCE: Duration = Duration::from_secs(12);

/// What all of them know, and what is counted.
#[derive(Default)]
pub struct World {
    pub address: String,
    /// The models' bytes, which every chunk is compared with.
    pub models: Vec<(Digest, Vec<u8>)>,
    /// Results that each robot sends.
    pub results: u64,
    /// Robots that run the model with this index.
    pub runs: [AtomicU64; 2],
    pub connections: AtomicU64,
    pub sent: AtomicU64,
    pub receipted: AtomicU64,
    pub chunk_bytes: AtomicU64,
}

struct Pull {
    running: Running,
    model: usize,
    layout: Layout,
    held: Held<Vec<u8>>,
    chunk_size: u32,
    outstanding: u16,
    last: Instant,
}

struct Light {
    world: Arc<World>,
    fleet: Name,
    device: Name,
    session: Session,
    serial: u64,
    running: Option<(usize, Running)>,
    pull: Option<Pull>,
    next_seq: u64,
    /// The messages that have no receipt yet. One that is sent again is the same, also when another model runs by then.
    outbox: BTreeMap<u64, Vec<u8>>,
    said: Instant,
    /// A place in the beat of its own, so that they do not all speak at once.
    offset: Duration,
}

/// Leads one robot's life for ever.
pub async fn live(world: Arc<World>, index: usize) {
    let offset = Duration::from_millis((index as u64 * 7919) % BEAT.as_millis() as u64);
    let mut robot = Light {
        world,
        fleet: name("main"),
        device: name(&format!("light-{index}")),
        session: Session::new(1, 0),
        serial: 0,
        running: None,
        pull: None,
        next_seq: 0,
        outbox: BTreeMap::new(),
        said: Instant::now(),
        offset,
    };
    let mut connection = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(50) + robot.offset / 4).await;
        connection += 1;
        robot.session = Session::new(1, connection);
        // Whatever ends a connection, the next one begins a little later.
        let _ = robot.talk().await;
    }
}

type Broken = std::io::Result<()>;

impl Light {
    async fn talk(&mut self) -> Broken {
        let stream = TcpStream::connect(&self.world.address).await?;
        stream.set_nodelay(true)?;
        let (reader, mut to) = stream.into_split();
        let mut from = BufReader::with_capacity(4096, reader);
        let will = (
            self.topic(Kind::Birth),
            bytes(&Presence::Gone(self.session)),
        );
        to.write_all(&connect(self.device.as_str(), &will.0, &will.1))
            .await?;
        let (kind, body) = packet(&mut from).await?;
        if kind >> 4 != 2 || body.get(1) != Some(&0) {
            return Err(std::io::Error::other("refused"));
        }
        let desired = Topic::desired(&self.fleet, &name("all")).to_string();
        to.write_all(&subscribe(&[
            &self.topic(Kind::Chunk),
            &self.topic(Kind::Cmd),
            &self.topic(Kind::Birth),
            &desired,
        ]))
        .await?;
        self.world.connections.fetch_add(1, Ordering::Relaxed);
        self.introduce(&mut to).await?;
        if let Some(pull) = &mut self.pull {
            pull.outstanding = 0;
        }
        self.ask(&mut to).await?;
        self.said = Instant::now() - PATIENCE;
        let mut beat = tokio::time::interval_at(Instant::now() + self.offset, BEAT);
        // A packet that was read in part must not be dropped by the beat: the reader has a task of its own.
        let (packets, mut incoming) = tokio::sync::mpsc::channel(4);
        let reading = tokio::spawn(async move {
            while let Ok(packet) = packet(&mut from).await {
                if packets.send(packet).await.is_err() {
                    return;
                }
            }
        });
        let ended = loop {
            tokio::select! {
                packet = incoming.recv() => {
                    let Some((kind, body)) = packet else { break Ok(()) };
                    if kind >> 4 == 3
                        && let Err(error) = self.hear(kind, &body, &mut to).await
                    {
                        break Err(error);
                    }
                }
                _ = beat.tick() => {
                    if let Err(error) = self.beat(&mut to).await {
                        break Err(error);
                    }
                }
            }
        };
        reading.abort();
        ended
    }

    fn topic(&self, kind: Kind) -> String {
        Topic::device(&self.fleet, &self.device, kind).to_string()
    }

    async fn say(&self, to: &mut OwnedWriteHalf, kind: Kind, payload: &[u8]) -> Broken {
        to.write_all(&publish(&self.topic(kind), payload, kind.is_retained()))
            .await
    }

    async fn introduce(&self, to: &mut OwnedWriteHalf) -> Broken {
        let birth = Birth {
            session: self.session,
            group: name("all"),
            software: "light robot".into(),
            board: "none".into(),
            targets: [name("generic")].into_iter().collect(),
            arena_limit: 1 << 20,
            flash_limit: 1 << 24,
            chunk_limit: 65536,
            running: self.running.as_ref().map(|(_, running)| running.clone()),
        };
        self.say(to, Kind::Birth, &bytes(&Presence::Born(birth)))
            .await?;
        self.state(to).await
    }

    async fn state(&self, to: &mut OwnedWriteHalf) -> Broken {
        let phase = match (&self.pull, &self.running) {
            (Some(_), _) => Phase::Downloading,
            (None, Some(_)) => Phase::Active,
            (None, None) => Phase::Empty,
        };
        let state = State {
            session: self.session,
            running: self.running.as_ref().map(|(_, running)| running.clone()),
            phase,
            serial: self.serial,
            root: None,
            progress: None,
            failure: None,
        };
        self.say(to, Kind::State, &bytes(&state)).await
    }

    async fn ask(&mut self, to: &mut OwnedWriteHalf) -> Broken {
        let Some(pull) = &mut self.pull else {
            return Ok(());
        };
        let ranges = pull.held.next_ranges(u32::from(CREDIT));
        pull.outstanding = ranges.iter().map(|range| range.count as u16).sum();
        pull.last = Instant::now();
        let need = Need {
            session: self.session,
            release: pull.running.digest,
            chunk_size: pull.chunk_size,
            credit: CREDIT,
            ranges,
        };
        self.say(to, Kind::Need, &bytes(&need)).await
    }

    async fn beat(&mut self, to: &mut OwnedWriteHalf) -> Broken {
        if self
            .pull
            .as_ref()
            .is_some_and(|pull| pull.last.elapsed() > PATIENCE)
        {
            self.ask(to).await?;
        }
        if !self.outbox.is_empty() && self.said.elapsed() > PATIENCE {
            for message in self.outbox.values() {
                self.say(to, Kind::Result, message).await?;
            }
            self.said = Instant::now();
        }
        if self.next_seq < self.world.results && self.running.is_some() {
            let seq = self.next_seq;
            self.next_seq += 1;
            let message = self.result(seq);
            self.world.sent.fetch_add(1, Ordering::Relaxed);
            self.said = Instant::now();
            self.say(to, Kind::Result, &message).await?;
            self.outbox.insert(seq, message);
        } else {
            // So that the broker hears of it.
            to.write_all(&[0xC0, 0]).await?;
        }
        Ok(())
    }

    fn result(&self, seq: u64) -> Vec<u8> {
        let model = self
            .running
            .as_ref()
            .map_or(Digest([0; 32]), |(_, running)| running.digest);
        let result = Inference {
            frame: FrameId { boot: 1, seq },
            model,
            taken_us: 0,
            latency_us: 100,
            truth: None,
            output: Output::Class {
                top: 1,
                confidence: 0.9,
            },
        };
        bytes(&result)
    }

    async fn hear(&mut self, kind: u8, body: &[u8], to: &mut OwnedWriteHalf) -> Broken {
        let Some(Published { topic, id, payload }) = published(kind, body) else {
            return Err(std::io::Error::other("not a packet that a broker sends"));
        };
        if let Some(id) = id {
            to.write_all(&[0x40, 2, id[0], id[1]]).await?;
        }
        match topic.rsplit('/').next() {
            Some("desired") => self.desired(payload, to).await,
            Some("chunk") => self.chunk(payload, to).await,
            Some("birth") => match decode::<Presence>(payload) {
                // A connection before this one was found dead, and its will says that this robot is gone.
                Ok(Presence::Gone(session)) if session != self.session => self.introduce(to).await,
                _ => Ok(()),
            },
            Some("cmd") => match decode::<Cmd>(payload).map(|cmd| cmd.order) {
                Ok(Order::Receipt(ranges)) => {
                    let before = self.outbox.len();
                    self.outbox.retain(|&seq, _| {
                        let frame = FrameId { boot: 1, seq };
                        !ranges.iter().any(|range| range.covers(frame))
                    });
                    let fresh = before - self.outbox.len();
                    self.world
                        .receipted
                        .fetch_add(fresh as u64, Ordering::Relaxed);
                    Ok(())
                }
                Ok(Order::Rebirth) => self.introduce(to).await,
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    async fn desired(&mut self, payload: &[u8], to: &mut OwnedWriteHalf) -> Broken {
        let Ok(signed) = decode::<Signed>(payload) else {
            return Ok(());
        };
        let desired: Desired<'_> = signed.read().expect("a sound statement");
        let place = sanderling_trust::place(&desired.salt, &self.device);
        let run = desired.arm_at(place).and_then(|arm| arm.run);
        let Some(run) = run.filter(|_| desired.serial > self.serial) else {
            return Ok(());
        };
        let manifest: Manifest = desired
            .release(run)
            .expect("arms name releases")
            .read()
            .expect("sound");
        let artifact = manifest
            .artifact_for(&[name("generic")])
            .expect("for this target");
        self.serial = desired.serial;
        let model = self
            .world
            .models
            .iter()
            .position(|(digest, _)| *digest == artifact.digest)
            .expect("a model of the test");
        if self
            .running
            .as_ref()
            .is_some_and(|(runs, _)| *runs == model)
        {
            return self.state(to).await;
        }
        let layout = Layout::new(artifact.size, desired.chunk_size).expect("a sound layout");
        self.pull = Some(Pull {
            running: Running {
                model: manifest.model.clone(),
                version: manifest.version,
                digest: artifact.digest,
            },
            model,
            held: Held::new(vec![0; Held::bytes_for(&layout)], &layout).expect("room"),
            chunk_size: desired.chunk_size,
            layout,
            outstanding: 0,
            last: Instant::now(),
        });
        self.state(to).await?;
        self.ask(to).await
    }

    async fn chunk(&mut self, payload: &[u8], to: &mut OwnedWriteHalf) -> Broken {
        let chunk = decode::<Chunk>(payload).expect("the fleet sends sound chunks");
        let Some(pull) = &mut self.pull else {
            return Ok(());
        };
        if chunk.release != pull.running.digest {
            return Ok(());
        }
        let start = chunk.offset as usize;
        let expected = &self.world.models[pull.model].1[start..start + chunk.data.len()];
        assert!(chunk.data == expected, "a chunk has other bytes");
        self.world
            .chunk_bytes
            .fetch_add(chunk.data.len() as u64, Ordering::Relaxed);
        let index = pull
            .layout
            .place(chunk.offset, chunk.data.len())
            .expect("chunks as asked for");
        pull.held.insert(index);
        pull.last = Instant::now();
        pull.outstanding = pull.outstanding.saturating_sub(1);
        if pull.held.is_complete() {
            if let Some((before, _)) = self.running.take() {
                self.world.runs[before].fetch_sub(1, Ordering::Relaxed);
            }
            let done = self.pull.take().expect("it is there");
            self.world.runs[done.model].fetch_add(1, Ordering::Relaxed);
            self.running = Some((done.model, done.running));
            return self.state(to).await;
        }
        if pull.outstanding == 0 {
            return self.ask(to).await;
        }
        Ok(())
    }
}

fn text(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    into.extend_from_slice(bytes);
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut length = body.len();
    loop {
        let more = length > 127;
        packet.push((length & 0x7F) as u8 | if more { 0x80 } else { 0 });
        length >>= 7;
        if !more {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

fn connect(client: &str, will_topic: &str, will: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, b"MQTT");
    // Version 5; a clean start, and a will that is retained and sent at least once; 60 s; no properties.
    body.extend_from_slice(&[5, 0b0010_1110, 0, 60, 0]);
    text(&mut body, client.as_bytes());
    body.push(0);
    text(&mut body, will_topic.as_bytes());
    text(&mut body, will);
    framed(0x10, &body)
}

fn subscribe(filters: &[&str]) -> Vec<u8> {
    let mut body = vec![0, 1, 0];
    for filter in filters {
        text(&mut body, filter.as_bytes());
        body.push(1);
    }
    framed(0x82, &body)
}

/// At least once; the number does not matter, for receipts say what arrived.
fn publish(topic: &str, payload: &[u8], retain: bool) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 5);
    text(&mut body, topic.as_bytes());
    body.extend_from_slice(&[0, 2, 0]);
    body.extend_from_slice(payload);
    framed(0x32 | u8::from(retain), &body)
}

/// A message that the broker passes on.
struct Published<'a> {
    topic: &'a str,
    /// The number of one that is to be acknowledged.
    id: Option<[u8; 2]>,
    payload: &'a [u8],
}

fn published(kind: u8, body: &[u8]) -> Option<Published<'_>> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    let (topic, mut rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let mut id = None;
    if kind & 0b110 != 0 {
        let (number, after) = rest.split_first_chunk::<2>()?;
        (id, rest) = (Some(*number), after);
    }
    // Properties are short here: one byte tells their length.
    let (properties, rest) = rest.split_first()?;
    let payload = rest.get(usize::from(*properties)..)?;
    Some(Published {
        topic: std::str::from_utf8(topic).ok()?,
        id,
        payload,
    })
}

async fn packet(from: &mut BufReader<OwnedReadHalf>) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = from.read_u8().await?;
    let (mut length, mut shift) = (0usize, 0);
    loop {
        let byte = from.read_u8().await?;
        length |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
        if shift > 21 {
            return Err(std::io::Error::other("a length of more than four bytes"));
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    Ok((kind, body))
}
