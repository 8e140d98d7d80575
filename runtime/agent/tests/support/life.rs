//! One life of a robot inside this process: the real driver, its jobs, the real slots on files, the real inference
//! thread, and a fleet that answers at once. Without a broker, and with a clock that the test may turn.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sanderling_agent::config::{Config, check, complete};
use sanderling_agent::frame::Frame;
use sanderling_agent::infer::{self, Stage};
use sanderling_agent::queue::{FrameQueue, Policy};
use sanderling_agent::settings::{Answer, Settings};
use sanderling_agent::shared::Shared;
use sanderling_agent::update::{Driver, Input, Outgoing, Setup};
use sanderling_wire::{
    self as wire, Arm, Artifact, Chunk, Desired, Digest, Kind, Layout, Manifest, Need, Session,
    Signed, State,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::DEADLINE;
use super::fleet::{encoded, name};
use super::models::{Model, WIDTH};

/// A robot and its fleet.
pub struct Life {
    driver: Driver,
    inputs: Receiver<Input>,
    line: Sender<Input>,
    outgoing: UnboundedReceiver<Outgoing>,
    pub shared: Arc<Shared>,
    pub queue: Arc<FrameQueue>,
    models: Vec<Model>,
    /// Whether the fleet answers.
    pub reachable: bool,
    /// What the fleet hears.
    pub states: Vec<State>,
    pub needs: usize,
    /// Bytes that it sent, by file.
    pub served: HashMap<[u8; 32], u64>,
    /// Deltas that manifests name.
    pub offers: Vec<wire::Delta>,
    /// Whether the fleet says so where it lacks a file.
    pub refuses: bool,
    /// The clock.
    pub now: Instant,
    seq: u64,
    /// Whether frames come.
    pub feeding: bool,
    /// What manifests say where bytes can be had.
    pub url: Option<String>,
    threads: Threads,
}

/// The inference thread, and those that took the place of one that was stuck.
type Threads = Arc<Mutex<Vec<JoinHandle<()>>>>;

/// The settings of a robot whose updates are short; `change` sets what the test is about.
pub fn settings(change: impl FnOnce(&mut Settings)) -> Config {
    let mut settings = Settings {
        chunk: Some(wire::MIN_CHUNK),
        credit: Some(1000),
        trial_inferences: Some(3),
        // The test turns the clock while inferences run by the real one.
        watchdog_seconds: Some(1e9),
        targets: Some(vec!["generic".into()]),
        ..Settings::default()
    };
    change(&mut settings);
    check(&complete(settings, "robot")).expect("sound settings")
}

impl Life {
    /// A robot with its slots in `folder`, and what the fleet can send it.
    pub fn begin(folder: &Path, config: &Config, models: &[Model]) -> Life {
        let (line, inputs) = channel();
        let (outgoing, outgoing_out) = unbounded_channel();
        let shared = Arc::new(Shared::new(1));
        let queue = Arc::new(FrameQueue::new(4, Policy::DropNewest));
        let stage = Arc::new(Stage::default());
        let driver = Driver::open(Setup {
            config: config.update.clone(),
            group: config.group.clone(),
            folder: folder.join("slots"),
            trust: folder.join("trust"),
            root: None,
            device: name("robot"),
            answer: Answer::default(),
            local: None,
            shared: shared.clone(),
            queue: queue.clone(),
            stage: stage.clone(),
            outgoing,
            line: line.clone(),
            seed: 1,
        })
        .expect("the slots can be opened");
        let threads = Threads::default();
        let start = {
            let (queue, shared, line) = (queue.clone(), shared.clone(), line.clone());
            let (stage, threads) = (stage.clone(), threads.clone());
            move || {
                let (queue, shared, line) = (queue.clone(), shared.clone(), line.clone());
                let stage = stage.clone();
                let thread = std::thread::spawn(move || {
                    // Nobody reads the answers.
                    let (answers, unread) = sync_channel(1);
                    drop(unread);
                    let swapped = |swapped| drop(line.send(Input::Swapped(swapped)));
                    infer::run(&queue, &stage, &shared, &answers, || 0, swapped);
                });
                threads.lock().expect("no thread panics").push(thread);
            }
        };
        start();
        stage.set_restart(Box::new(start));
        shared.shadow.configure(100, 0.0);
        {
            let shared = shared.clone();
            let shadow = move || shared.shadow.run(|| shared.is_stopping());
            let thread = std::thread::spawn(shadow);
            threads.lock().expect("no thread panics").push(thread);
        }
        let mut life = Life {
            driver,
            inputs,
            line,
            outgoing: outgoing_out,
            shared,
            queue,
            models: models.to_vec(),
            reachable: true,
            states: Vec::new(),
            needs: 0,
            served: HashMap::new(),
            offers: Vec::new(),
            refuses: false,
            now: Instant::now(),
            seq: 0,
            feeding: true,
            url: None,
            threads,
        };
        life.driver.started();
        life.connect();
        life
    }

    /// The fleet has this file too.
    pub fn have(&mut self, model: &Model) {
        self.models.push(model.clone());
    }

    /// The fleet has this delta, and manifests name it.
    pub fn offer(&mut self, base: &Model, delta: &Model) {
        self.have(delta);
        self.offers.push(wire::Delta {
            artifact: 0,
            base: Digest(base.digest),
            digest: Digest(delta.digest),
            size: delta.bytes.len() as u64,
        });
    }

    /// Bytes of a file that were sent.
    pub fn sent(&self, model: &Model) -> u64 {
        self.served.get(&model.digest).copied().unwrap_or_default()
    }

    /// A connection comes up.
    pub fn connect(&mut self) {
        self.reachable = true;
        self.say(Input::Up(Session::new(1, 1)));
    }

    /// The connection is gone.
    pub fn disconnect(&mut self) {
        self.reachable = false;
        self.say(Input::Down);
        self.settle();
    }

    /// Everything that was said is taken in.
    pub fn settle(&mut self) {
        while let Ok(input) = self.inputs.try_recv() {
            self.driver.handle(input, self.now);
        }
        self.once(Duration::ZERO);
    }

    /// Gives the driver an input.
    pub fn say(&mut self, input: Input) {
        self.line.send(input).expect("the driver lives");
    }

    /// The fleet wants a model.
    pub fn want(&mut self, model: &Model, version: u32, serial: u64) {
        let arm = Arm {
            upto: u32::MAX,
            run: Some(0),
            shadow: None,
        };
        self.say(Input::Desired(desired(
            &[(model, version)],
            arm,
            serial,
            self.url.as_deref(),
            &self.offers,
        )));
    }

    /// The fleet wants a model to run beside the active one.
    pub fn want_beside(&mut self, model: &Model, version: u32, serial: u64) {
        let arm = Arm {
            upto: u32::MAX,
            run: None,
            shadow: Some(0),
        };
        self.say(Input::Desired(desired(
            &[(model, version)],
            arm,
            serial,
            self.url.as_deref(),
            &self.offers,
        )));
    }

    /// The clock goes on by `time`, and everything that has a time is looked at.
    pub fn turn(&mut self, time: Duration) {
        self.now += time;
        self.once(Duration::ZERO);
    }

    /// One look around: an input, the clock, the fleet, and a frame.
    pub fn once(&mut self, patience: Duration) {
        if let Ok(input) = self.inputs.recv_timeout(patience) {
            self.driver.handle(input, self.now);
        }
        self.driver.tick(self.now);
        while let Ok(out) = self.outgoing.try_recv() {
            self.hear(&out);
        }
        if self.feeding && self.queue.waiting() == 0 && self.shared.input().is_some() {
            self.seq += 1;
            self.queue.push(Frame {
                seq: self.seq,
                entered: Instant::now(),
                truth: None,
                shape: None,
                data: (0..WIDTH as u8).collect(),
            });
        }
    }

    /// Goes on in real time until `over`.
    pub fn until(&mut self, what: &str, over: impl Fn(&Life) -> bool) {
        let end = Instant::now() + DEADLINE;
        let mut last = Instant::now();
        while !over(self) {
            let real = Instant::now();
            self.now += real - last;
            last = real;
            self.once(Duration::from_millis(1));
            assert!(Instant::now() < end, "no {what}: {:?}", self.states.last());
        }
    }

    /// What was told last about an update that went wrong or waits.
    pub fn failure(&self) -> Option<&wire::Failure> {
        self.states.last()?.failure.as_ref()
    }

    /// The robot says something about itself.
    pub fn tell(&mut self, words: &str) {
        let line = self.line.clone();
        sanderling_agent::local::take(words, &self.shared, &line)
            .expect("words that say something");
    }

    /// The digest of what serves.
    pub fn serving(&self) -> Option<[u8; 32]> {
        self.shared.evidence().summary().map(|seen| seen.release)
    }

    /// Whether the robot rests with this model.
    pub fn rests_with(&self, model: &Model) -> bool {
        self.states.last().is_some_and(|state| {
            state.phase == wire::Phase::Active
                && state
                    .running
                    .as_ref()
                    .is_some_and(|running| running.digest.0 == model.digest)
        })
    }

    fn hear(&mut self, out: &Outgoing) {
        match out.kind {
            Kind::State => {
                let state = wire::decode(&out.payload).expect("robots send sound states");
                self.states.push(state);
            }
            Kind::Need => {
                self.needs += 1;
                if self.reachable {
                    let need: Need = wire::decode(&out.payload).expect("a sound request");
                    self.serve(&need);
                }
            }
            _ => {}
        }
    }

    fn serve(&mut self, need: &Need) {
        let Some(model) = self.models.iter().find(|m| m.digest == need.release.0) else {
            if self.refuses {
                let refused = Input::Refused(need.release, wire::Refusal::Unknown);
                self.line.send(refused).expect("the driver lives");
            }
            return;
        };
        let layout =
            Layout::new(model.bytes.len() as u64, need.chunk_size).expect("a sound layout");
        for range in &need.ranges {
            for index in range.first..range.first + range.count {
                let place = layout.range(index).expect("robots ask for what there is");
                *self.served.entry(model.digest).or_default() += place.end - place.start;
                let chunk = Chunk {
                    release: need.release,
                    offset: place.start,
                    data: &model.bytes[place.start as usize..place.end as usize],
                };
                self.line
                    .send(Input::Chunk(encoded(&chunk)))
                    .expect("the driver lives");
            }
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.shared.stop();
        self.queue.close();
        self.queue.nudge();
        let threads = std::mem::take(&mut *self.threads.lock().expect("no thread panics"));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

/// What the group's topic holds when the fleet wants these models: the first is to run, the second beside it.
fn desired(
    models: &[(&Model, u32)],
    arm: Arm,
    serial: u64,
    url: Option<&str>,
    offers: &[wire::Delta],
) -> Vec<u8> {
    let releases: Vec<Vec<u8>> = models
        .iter()
        .map(|(model, version)| {
            let artifact = Artifact {
                target: name(model.target),
                digest: Digest(model.digest),
                size: model.bytes.len() as u64,
                arena: 64,
                flash: model.bytes.len() as u64,
                golden: Digest([0; 32]),
            };
            encoded(&Manifest {
                model: name("test"),
                version: *version,
                floor: 0,
                expires_s: None,
                artifacts: heapless::Vec::from_slice(&[artifact]).expect("room for one"),
                deltas: offers.iter().cloned().collect(),
                url: url.map(wire::Text::cut),
            })
        })
        .collect();
    let desired = Desired {
        group: name("all"),
        serial,
        issued_s: 0,
        expires_s: None,
        chunk_size: wire::MIN_CHUNK,
        salt: [0; 16],
        releases: releases
            .iter()
            .map(|release| Signed::unsigned(release))
            .collect(),
        arms: heapless::Vec::from_slice(&[arm]).expect("room for one"),
    };
    encoded(&Signed::<4>::unsigned(&encoded(&desired)))
}
