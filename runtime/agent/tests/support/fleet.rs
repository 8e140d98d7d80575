//! The fleet's side of the conversation, spoken over a real broker: serves chunks, gives receipts, and remembers
//! everything it heard.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sanderling_agent::link::{Address, Link, LinkEvent, Post};
use sanderling_wire::{
    self as wire, Arm, Artifact, Chunk, Cmd, Desired, Digest, FrameId, FrameRange, Inference, Kind,
    Layout, Manifest, Message, Name, Need, Order, Presence, Signed, State, Topic,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::DEADLINE;
use super::models::Model;

/// What was heard.
#[derive(Default)]
pub struct Heard {
    /// Every result, repeats included, with the model that gave it and the best class.
    pub results: Vec<(FrameId, Digest, u16)>,
    pub json: Vec<serde_json::Value>,
    pub states: Vec<State>,
    pub presences: Vec<Presence>,
    pub healths: usize,
    pub needs: usize,
    pub chunks_sent: usize,
    pub chunk_bytes: usize,
    pub connections: usize,
}

impl Heard {
    /// The last state, where there is one.
    pub fn state(&self) -> Option<&State> {
        self.states.last()
    }

    /// Every frame that came, each once, in order.
    pub fn frames(&self) -> Vec<FrameId> {
        let mut frames: Vec<FrameId> = self.results.iter().map(|(frame, ..)| *frame).collect();
        frames.sort_unstable();
        frames.dedup();
        frames
    }

    /// What ran last, as the robot says.
    pub fn running(&self) -> Option<Digest> {
        Some(self.state()?.running.as_ref()?.digest)
    }
}

/// How the fleet behaves.
#[derive(Clone, Copy)]
pub struct Manner {
    /// Whether it answers requests for chunks.
    pub serves: bool,
    /// Whether it gives receipts.
    pub receipts: bool,
    /// Whether it damages the last byte of the first chunk that it sends.
    pub damages: bool,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner {
            serves: true,
            receipts: true,
            damages: false,
        }
    }
}

enum Do {
    Post(Post),
    Have(Model),
    Behave(Manner),
}

/// The fleet "test" with the group "all"; it ends with this value.
pub struct Fleet {
    heard: Arc<(Mutex<Heard>, Condvar)>,
    orders: Option<UnboundedSender<Do>>,
    thread: Option<JoinHandle<()>>,
    serial: u64,
}

impl Fleet {
    pub fn start(port: u16) -> Fleet {
        let heard: Arc<(Mutex<Heard>, Condvar)> = Arc::default();
        let (orders, receiver) = unbounded_channel();
        let speaker = Speaker {
            port,
            heard: heard.clone(),
            models: HashMap::new(),
            manner: Manner::default(),
            waiting: VecDeque::new(),
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(speaker.run(receiver));
        });
        let fleet = Fleet {
            heard,
            orders: Some(orders),
            thread: Some(thread),
            serial: 0,
        };
        fleet.wait("connection of the fleet itself", |heard| {
            heard.connections > 0
        });
        fleet
    }

    fn order(&self, order: Do) {
        let orders = self.orders.as_ref().expect("it lives until it is dropped");
        orders.send(order).expect("the thread lives as long");
    }

    pub fn behave(&self, manner: Manner) {
        self.order(Do::Behave(manner));
    }

    /// Wants `model` as version `version` of the model "test"; keeps its bytes to serve them.
    pub fn want(&mut self, model: &Model, version: u32) {
        self.want_as(model, version, |_| {});
    }

    /// The same with a manifest that was changed.
    pub fn want_as(&mut self, model: &Model, version: u32, change: impl FnOnce(&mut Artifact)) {
        self.serial += 1;
        let mut artifact = release(model, version).artifacts[0].clone();
        change(&mut artifact);
        artifact.flash = artifact.flash.max(artifact.size);
        self.order(Do::Have(Model {
            digest: artifact.digest.0,
            ..model.clone()
        }));
        let mut manifest = release(model, version);
        manifest.artifacts[0] = artifact;
        let manifest = encoded(&manifest);
        let statement = encoded(&everybody(self.serial, Signed::unsigned(&manifest)));
        self.post("desired", encoded(&Signed::<4>::unsigned(&statement)));
    }

    /// Wants a model in some group, with this serial.
    pub fn want_in(&mut self, group: &str, model: &Model, version: u32, serial: u64) {
        self.have(model);
        let manifest = encoded(&release(model, version));
        let desired = Desired {
            group: name(group),
            ..everybody(serial, Signed::unsigned(&manifest))
        };
        let statement = encoded(&desired);
        self.order(Do::Post(Post {
            topic: Topic::desired(&name("test"), &name(group))
                .text()
                .as_str()
                .to_owned(),
            payload: encoded(&Signed::<4>::unsigned(&statement)),
            retain: true,
        }));
    }

    /// Keeps a model's bytes to serve them.
    pub fn have(&self, model: &Model) {
        self.order(Do::Have(model.clone()));
    }

    /// Publishes a retained message on a topic of the group.
    pub fn post(&self, last: &str, payload: Vec<u8>) {
        let topic = match last {
            "root" => Topic::root(&name("test"), &name("all")),
            _ => Topic::desired(&name("test"), &name("all")),
        };
        self.order(Do::Post(Post {
            topic: topic.text().as_str().to_owned(),
            payload,
            retain: true,
        }));
    }

    /// Gives an order to a robot.
    pub fn tell(&self, device: &str, order: Order) {
        let cmd = Cmd { id: 0, order };
        self.order(Do::Post(Post {
            topic: topic(device, Kind::Cmd),
            payload: encoded(&cmd),
            retain: false,
        }));
    }

    /// Waits until what was heard satisfies `wanted`, and gives what `wanted` made of it.
    pub fn wait(&self, what: &str, wanted: impl Fn(&Heard) -> bool) {
        let (heard, changed) = &*self.heard;
        let guard = heard.lock().expect("the speaker does not panic");
        let waited = changed
            .wait_timeout_while(guard, DEADLINE, |heard| !wanted(heard))
            .expect("the speaker does not panic");
        assert!(
            !waited.1.timed_out(),
            "no {what}; {} results, last state {:?}",
            waited.0.results.len(),
            waited.0.state()
        );
    }

    /// Waits until nothing more satisfies `wanted` within `time`; true where something did.
    pub fn wait_at_most(&self, time: Duration, wanted: impl Fn(&Heard) -> bool) -> bool {
        let (heard, changed) = &*self.heard;
        let guard = heard.lock().expect("the speaker does not panic");
        let waited = changed
            .wait_timeout_while(guard, time, |heard| !wanted(heard))
            .expect("the speaker does not panic");
        !waited.1.timed_out()
    }

    /// Looks at what was heard.
    pub fn heard<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.heard.0.lock().expect("the speaker does not panic"))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Speaker {
    port: u16,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    models: HashMap<[u8; 32], Model>,
    manner: Manner,
    waiting: VecDeque<Post>,
}

impl Speaker {
    async fn run(mut self, mut orders: UnboundedReceiver<Do>) {
        let address = Address {
            host: "127.0.0.1".into(),
            port: self.port,
            client: "fleet".into(),
            user: "fleet".into(),
            password: String::new(),
            tls: None,
            learned: Default::default(),
        };
        let will = Post {
            topic: "fleet/gone".into(),
            payload: Vec::new(),
            retain: false,
        };
        let kinds = [
            Kind::Result,
            Kind::State,
            Kind::Birth,
            Kind::Need,
            Kind::Health,
        ];
        let mut filters: Vec<String> = kinds
            .iter()
            .map(|&kind| Topic::every_device(&name("test"), kind).as_str().to_owned())
            .collect();
        filters.push("sanderling/1/test/d/+/result/json".into());
        let mut link: Link<()> = Link::connect(&address, &will, &filters);
        let mut up = false;
        loop {
            tokio::select! {
                event = link.next() => match event {
                    LinkEvent::Up => {
                        up = true;
                        self.note(|heard| heard.connections += 1);
                    }
                    LinkEvent::Message { topic, payload, .. } => self.hear(&topic, &payload),
                    LinkEvent::Acked(()) | LinkEvent::Refused((), _) => {}
                    LinkEvent::Down(_) => {
                        up = false;
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        link = Link::connect(&address, &will, &filters);
                    }
                },
                order = orders.recv() => match order {
                    Some(Do::Post(post)) => self.waiting.push_back(post),
                    Some(Do::Have(model)) => drop(self.models.insert(model.digest, model)),
                    Some(Do::Behave(manner)) => self.manner = manner,
                    None => return,
                },
            }
            while up && link.has_room() {
                let Some(post) = self.waiting.pop_front() else {
                    break;
                };
                link.post(post, ());
            }
        }
    }

    fn note(&self, change: impl FnOnce(&mut Heard)) {
        change(&mut self.heard.0.lock().expect("tests that panic are over"));
        self.heard.1.notify_all();
    }

    fn hear(&mut self, topic: &str, payload: &[u8]) {
        if topic.ends_with("/json") {
            let value = serde_json::from_slice(payload).expect("results/json is JSON");
            return self.note(|heard| heard.json.push(value));
        }
        let Ok(Topic::Device { device, kind, .. }) = topic.parse::<Topic>() else {
            return;
        };
        match kind {
            Kind::Result => {
                let result: Inference<'_> =
                    wire::decode(payload).expect("agents send sound results");
                let top = match result.output {
                    wire::Output::Class { top, .. } => top,
                    wire::Output::Raw { .. } => u16::MAX,
                };
                let (frame, model) = (result.frame, result.model);
                self.note(|heard| heard.results.push((frame, model, top)));
                if self.manner.receipts {
                    let range = FrameRange {
                        boot: frame.boot,
                        first: frame.seq,
                        last: frame.seq,
                    };
                    let ranges = heapless::Vec::from_slice(&[range]).expect("room for one");
                    self.say(
                        &device,
                        Kind::Cmd,
                        &Cmd {
                            id: 0,
                            order: Order::Receipt(ranges),
                        },
                    );
                }
            }
            Kind::State => {
                let state: State = wire::decode(payload).expect("agents send sound states");
                self.note(|heard| heard.states.push(state));
            }
            Kind::Birth => {
                let presence: Presence = wire::decode(payload).expect("agents send sound births");
                self.note(|heard| heard.presences.push(presence));
            }
            Kind::Health => self.note(|heard| heard.healths += 1),
            Kind::Need => {
                let need: Need = wire::decode(payload).expect("agents send sound needs");
                self.note(|heard| heard.needs += 1);
                if self.manner.serves {
                    self.serve(&device, &need);
                }
            }
            Kind::Chunk | Kind::Cmd => {}
        }
    }

    fn serve(&mut self, device: &Name, need: &Need) {
        let Some(model) = self.models.get(&need.release.0).cloned() else {
            return;
        };
        let layout =
            Layout::new(model.bytes.len() as u64, need.chunk_size).expect("a sound layout");
        let chunks = need
            .ranges
            .iter()
            .flat_map(|range| range.first..range.first + range.count);
        for index in chunks.take(usize::from(need.credit)) {
            let range = layout.range(index).expect("robots ask for what there is");
            let mut data = model.bytes[range.start as usize..range.end as usize].to_vec();
            if std::mem::take(&mut self.manner.damages)
                && let Some(last) = data.last_mut()
            {
                *last ^= 1;
            }
            let length = data.len();
            self.note(|heard| {
                heard.chunks_sent += 1;
                heard.chunk_bytes += length;
            });
            let chunk = Chunk {
                release: need.release,
                offset: range.start,
                data: &data,
            };
            self.say(device, Kind::Chunk, &chunk);
        }
    }

    fn say<'a, M: Message<'a>>(&mut self, device: &Name, kind: Kind, message: &M) {
        self.waiting.push_back(Post {
            topic: topic(device, kind),
            payload: encoded(message),
            retain: false,
        });
    }
}

/// A model as some version of the model "test", for one target.
pub fn release(model: &Model, version: u32) -> Manifest {
    let artifact = Artifact {
        target: name(model.target),
        digest: Digest(model.digest),
        size: model.bytes.len() as u64,
        arena: 64,
        flash: model.bytes.len() as u64,
        golden: Digest([0; 32]),
    };
    Manifest {
        model: name("test"),
        version,
        floor: 0,
        expires_s: None,
        artifacts: heapless::Vec::from_slice(&[artifact]).expect("room for one"),
        deltas: heapless::Vec::new(),
        url: None,
    }
}

/// The group's desired state where every robot runs one release.
pub fn everybody(serial: u64, release: Signed<'_>) -> Desired<'_> {
    let arm = Arm {
        upto: u32::MAX,
        run: Some(0),
        shadow: None,
    };
    Desired {
        group: name("all"),
        serial,
        issued_s: 0,
        expires_s: None,
        chunk_size: 1024,
        salt: [0; 16],
        releases: heapless::Vec::from_slice(&[release]).expect("room for one"),
        arms: heapless::Vec::from_slice(&[arm]).expect("room for one"),
    }
}

pub fn name(text: &str) -> Name {
    Name::new(text).expect("tests choose names")
}

fn topic(device: &str, kind: Kind) -> String {
    Topic::device(&name("test"), &name(device), kind)
        .text()
        .as_str()
        .to_owned()
}

pub fn encoded<'a, M: Message<'a>>(message: &M) -> Vec<u8> {
    let mut buffer = vec![0; M::MAX_LEN];
    wire::encode(message, &mut buffer)
        .expect("tests send sound messages")
        .to_vec()
}

/// Waits for a moment that the test chose, so that runs differ.
pub fn pause(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
    {
        std::thread::sleep(left);
    }
}
