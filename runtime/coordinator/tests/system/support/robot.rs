//! A robot that keeps the rules of the conversation and does nothing else: it has an outbox, pulls
//! what it should run, and says what it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sanderling_coordinator::link::{Incoming, Link, LinkOptions, Outgoing};
use sanderling_wire::{
    Birth, Chunk, Cmd, Desired, Digest, FrameId, Held, Inference, Kind, Layout, MAX_MESSAGE,
    Manifest, Message, Name, Need, Order, Output, Phase, Presence, Progress, Running, Session,
    Signed, State, Topic, decode, encode,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::within;

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Chunks asked for at once.
pub const CREDIT: u16 = 4;

/// What differs from robot to robot.
#[derive(Clone)]
pub struct Setup {
    pub name: &'static str,
    pub group: &'static str,
    pub boot: u32,
    pub targets: &'static [&'static str],
    pub arena: u64,
    pub flash: u64,
    /// Pulls and runs what is desired.
    pub follows: bool,
}

impl Setup {
    pub fn new(name: &'static str) -> Setup {
        Setup {
            name,
            group: "all",
            boot: 1,
            targets: &["generic"],
            arena: 10_000,
            flash: 1 << 20,
            follows: true,
        }
    }
}

/// A download under way.
struct Pull {
    running: Running,
    layout: Layout,
    held: Held<Vec<u8>>,
    file: Vec<u8>,
    /// Chunks that came for the last request.
    came: u16,
    chunk_size: u32,
}

pub struct Robot {
    setup: Setup,
    fleet: Name,
    device: Name,
    session: Session,
    link: Link,
    incoming: mpsc::Receiver<Incoming>,
    serial: u64,
    phase: Phase,
    pull: Option<Pull>,
    next_seq: u64,
    /// Results without a receipt, as they are sent.
    pub outbox: BTreeMap<FrameId, Vec<u8>>,
    /// Frames that a receipt covered.
    pub receipted: BTreeSet<FrameId>,
    pub running: Option<Running>,
    pub orders: Vec<Order>,
    /// Deltas that the newest manifest names.
    pub offered: Vec<sanderling_wire::Delta>,
    introduced: bool,
    /// The most chunks that came for one request.
    pub most_for_one_request: u16,
    pub chunks: u32,
}

impl Robot {
    /// Connects, and waits until it has introduced itself.
    pub async fn connect(url: &str, setup: Setup) -> Robot {
        let fleet = name("main");
        let device = name(setup.name);
        let session = Session::new(setup.boot, 0);
        let topic = |kind| Topic::device(&fleet, &device, kind).to_string();
        let will = Outgoing {
            topic: topic(Kind::Birth),
            payload: bytes(&Presence::Gone(session)),
            at_least_once: true,
            retain: true,
        };
        let (link, incoming) = Link::start(LinkOptions {
            broker: url.parse().unwrap(),
            client_id: setup.name.to_owned(),
            filters: vec![
                topic(Kind::Birth),
                topic(Kind::Chunk),
                topic(Kind::Cmd),
                Topic::desired(&fleet, &name(setup.group)).to_string(),
            ],
            will: Some(will),
            tls: None,
        });
        let mut robot = Robot {
            setup,
            fleet,
            device,
            session,
            link,
            incoming,
            serial: 0,
            phase: Phase::Empty,
            pull: None,
            next_seq: 0,
            outbox: BTreeMap::new(),
            receipted: BTreeSet::new(),
            running: None,
            orders: Vec::new(),
            offered: Vec::new(),
            introduced: false,
            most_for_one_request: 0,
            chunks: 0,
        };
        robot
            .until("it has introduced itself", |r| r.introduced)
            .await;
        robot
    }

    /// Lives until `done` holds.
    pub async fn until(&mut self, what: &str, mut done: impl FnMut(&Robot) -> bool) {
        within(what, async {
            while !done(self) {
                // Without anything new for a while, a robot sends again what has no receipt, and
                // asks again for what did not come.
                match tokio::time::timeout(Duration::from_secs(2), self.incoming.recv()).await {
                    Ok(Some(message)) => self.handle(message).await,
                    Ok(None) => panic!("the link ended"),
                    Err(_) => {
                        self.resend().await;
                        self.ask().await;
                    }
                }
            }
        })
        .await;
    }

    /// Lives for so long.
    pub async fn live(&mut self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        while let Ok(Some(message)) = tokio::time::timeout_at(end, self.incoming.recv()).await {
            self.handle(message).await;
        }
    }

    /// Lives until `done` holds, or for so long; tells which.
    pub async fn soon(&mut self, time: Duration, mut done: impl FnMut(&Robot) -> bool) -> bool {
        let end = tokio::time::Instant::now() + time;
        while !done(self) {
            match tokio::time::timeout_at(end, self.incoming.recv()).await {
                Ok(Some(message)) => self.handle(message).await,
                _ => return false,
            }
        }
        true
    }

    /// Publishes the result of the next frame and keeps it until a receipt comes.
    pub async fn result(&mut self, top: u16, truth: Option<u16>, latency_us: u32) -> FrameId {
        self.next_seq += 1;
        self.result_of(self.next_seq - 1, top, truth, latency_us)
            .await
    }

    /// Numbers a frame and drops it; gives its number.
    pub fn drop_frame(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq - 1
    }

    /// Publishes the result of the frame with this number.
    pub async fn result_of(
        &mut self,
        seq: u64,
        top: u16,
        truth: Option<u16>,
        latency_us: u32,
    ) -> FrameId {
        let frame = FrameId {
            boot: self.setup.boot,
            seq,
        };
        let model = self.running.as_ref().map_or(Digest([0; 32]), |r| r.digest);
        let result = Inference {
            frame,
            model,
            taken_us: 0,
            latency_us,
            truth,
            output: Output::Class {
                top,
                confidence: 0.9,
            },
        };
        let payload = bytes(&result);
        self.outbox.insert(frame, payload.clone());
        self.send(Kind::Result, payload).await;
        frame
    }

    /// Publishes everything that has no receipt once more.
    pub async fn resend(&mut self) {
        for payload in self.outbox.values().cloned().collect::<Vec<_>>() {
            self.send(Kind::Result, payload).await;
        }
    }

    /// Publishes bytes of one kind as they are.
    pub async fn send(&self, kind: Kind, payload: Vec<u8>) {
        let topic = Topic::device(&self.fleet, &self.device, kind).to_string();
        let message = Outgoing {
            topic,
            payload,
            at_least_once: true,
            retain: kind.is_retained(),
        };
        within("a publish is taken", self.link.publish(message))
            .await
            .unwrap();
    }

    pub fn session(&self) -> Session {
        self.session
    }

    /// Leaves in peace: says that it is gone, then disconnects.
    pub async fn leave(self) {
        self.send(Kind::Birth, bytes(&Presence::Gone(self.session)))
            .await;
        self.link.leave().await;
    }

    async fn handle(&mut self, message: Incoming) {
        match message {
            Incoming::Connected => {
                self.introduce().await;
                self.resend().await;
                self.ask().await;
            }
            Incoming::Disconnected => {}
            Incoming::Message { topic, payload, .. } => match topic.parse().unwrap() {
                Topic::Desired { .. } => self.desired(&payload).await,
                Topic::Device {
                    kind: Kind::Chunk, ..
                } => self.chunk(&payload).await,
                Topic::Device {
                    kind: Kind::Cmd, ..
                } => self.cmd(&payload).await,
                Topic::Device {
                    kind: Kind::Birth, ..
                } => {
                    if let Ok(Presence::Gone(_)) = decode::<Presence>(&payload) {
                        self.introduce().await;
                    }
                }
                other => panic!("{other}"),
            },
        }
    }

    async fn introduce(&mut self) {
        let birth = Birth {
            session: self.session,
            group: name(self.setup.group),
            software: "test robot".into(),
            board: "none".into(),
            targets: self.setup.targets.iter().map(|t| name(t)).collect(),
            arena_limit: self.setup.arena,
            flash_limit: self.setup.flash,
            chunk_limit: 4096,
            running: self.running.clone(),
        };
        self.send(Kind::Birth, bytes(&Presence::Born(birth))).await;
        self.state().await;
        self.introduced = true;
    }

    async fn state(&mut self) {
        let progress = self.pull.as_ref().map(|p| Progress {
            release: p.running.digest,
            held: p.held.held_bytes(&p.layout),
            size: p.layout.size(),
        });
        let state = State {
            session: self.session,
            running: self.running.clone(),
            phase: self.phase,
            serial: self.serial,
            root: None,
            progress,
            failure: None,
        };
        self.send(Kind::State, bytes(&state)).await;
    }

    async fn desired(&mut self, payload: &[u8]) {
        let signed = decode::<Signed>(payload).unwrap();
        let desired: Desired<'_> = signed.read().unwrap();
        let place = sanderling_trust::place(&desired.salt, &self.device);
        let Some(run) = desired.arm_at(place).and_then(|arm| arm.run) else {
            return;
        };
        let manifest: Manifest = desired.release(run).unwrap().read().unwrap();
        if desired.serial <= self.serial || !self.setup.follows {
            return;
        }
        let targets: Vec<Name> = self.setup.targets.iter().map(|t| name(t)).collect();
        let Some(artifact) = manifest.artifact_for(&targets) else {
            return;
        };
        self.serial = desired.serial;
        self.offered = manifest.deltas.to_vec();
        if self
            .running
            .as_ref()
            .is_some_and(|r| r.digest == artifact.digest)
        {
            return self.state().await;
        }
        let layout = Layout::new(artifact.size, desired.chunk_size).unwrap();
        let bits = vec![0; Held::bytes_for(&layout)];
        self.pull = Some(Pull {
            running: Running {
                model: manifest.model.clone(),
                version: manifest.version,
                digest: artifact.digest,
            },
            held: Held::new(bits, &layout).unwrap(),
            file: vec![0; artifact.size as usize],
            came: 0,
            chunk_size: desired.chunk_size,
            layout,
        });
        self.phase = Phase::Downloading;
        self.state().await;
        self.ask().await;
    }

    async fn ask(&mut self) {
        let Some(pull) = &mut self.pull else { return };
        pull.came = 0;
        let need = Need {
            session: self.session,
            release: pull.running.digest,
            chunk_size: pull.chunk_size,
            credit: CREDIT,
            ranges: pull.held.next_ranges(u32::from(CREDIT)),
        };
        self.send(Kind::Need, bytes(&need)).await;
    }

    async fn chunk(&mut self, payload: &[u8]) {
        let chunk = decode::<Chunk>(payload).unwrap();
        self.chunks += 1;
        let Some(pull) = &mut self.pull else { return };
        if chunk.release != pull.running.digest {
            return;
        }
        let index = pull.layout.place(chunk.offset, chunk.data.len()).unwrap();
        let start = chunk.offset as usize;
        pull.file[start..start + chunk.data.len()].copy_from_slice(chunk.data);
        pull.held.insert(index);
        pull.came += 1;
        self.most_for_one_request = self.most_for_one_request.max(pull.came);
        if pull.held.is_complete() {
            assert_eq!(
                Digest(Sha256::digest(&pull.file).into()),
                pull.running.digest
            );
            self.running = Some(pull.running.clone());
            self.pull = None;
            self.phase = Phase::Active;
            self.state().await;
        } else if pull.came == CREDIT {
            self.state().await;
            self.ask().await;
        }
    }

    async fn cmd(&mut self, payload: &[u8]) {
        let cmd = decode::<Cmd>(payload).unwrap();
        match &cmd.order {
            Order::Receipt(ranges) => {
                let covered = |frame: &FrameId| ranges.iter().any(|r| r.covers(*frame));
                let done: Vec<FrameId> = self.outbox.keys().copied().filter(covered).collect();
                for frame in done {
                    self.outbox.remove(&frame);
                    self.receipted.insert(frame);
                }
            }
            Order::Rebirth => self.introduce().await,
            _ => {}
        }
        self.orders.push(cmd.order);
    }
}

/// A message in its envelope.
pub fn bytes<'a, M: Message<'a>>(message: &M) -> Vec<u8> {
    let mut buffer = vec![0; MAX_MESSAGE];
    encode(message, &mut buffer).unwrap().to_vec()
}
