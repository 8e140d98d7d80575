//! The gateway and a microcontroller's own code, together: whole, then by delta, over a line that loses bytes.

use std::collections::{HashMap, VecDeque};

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use sanderling_agent::gateway::{Gateway, Out};
use sanderling_slots::nor::{Flash, Regions};
use sanderling_updates::{Belief, CHUNK, Identity, Node, Task, TrialLength};
use sanderling_wire::serial::{Decoder, MAX_FRAME};
use sanderling_wire::{
    Arm, Artifact, Chunk, Cmd, DEFAULT_CHUNK, Delta, Desired, Digest, Manifest, Need, Order, Phase,
    Refusal, Signed, State, decode,
};
use sha2::{Digest as _, Sha256};

use super::{name, written};

/// Turns after which the update must be over.
const DEADLINE: u32 = 60_000;

struct Nor(Vec<u8>);

impl ErrorType for Nor {
    type Error = core::convert::Infallible;
}

impl ReadNorFlash for Nor {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Nor {
    const WRITE_SIZE: usize = 8;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.0[from as usize..to as usize].fill(0xFF);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        let cells = &mut self.0[offset as usize..][..bytes.len()];
        cells
            .iter_mut()
            .zip(bytes)
            .for_each(|(cell, byte)| *cell &= byte);
        Ok(())
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// What the fleet would answer.
#[derive(Default)]
struct Fleet {
    files: HashMap<Digest, Vec<u8>>,
    state: Option<State>,
    sent: usize,
}

impl Fleet {
    /// A desired state for a plan, with a delta from another one.
    fn desired(&mut self, serial: u64, plan: &[u8], base: Option<&[u8]>) -> Vec<u8> {
        let size = plan.len() as u64;
        let artifact = Artifact {
            target: name("cortex-m4"),
            digest: digest(plan),
            size,
            arena: 1000,
            flash: size,
            golden: Digest([0; 32]),
        };
        self.files.insert(digest(plan), plan.to_vec());
        let delta = base.map(|base| {
            let bytes = sanderling_delta::make(base, plan, CHUNK).unwrap();
            let delta = Delta {
                artifact: 0,
                base: digest(base),
                digest: digest(&bytes),
                size: bytes.len() as u64,
            };
            self.files.insert(delta.digest, bytes);
            delta
        });
        let manifest = written(&Manifest {
            model: name("terrain"),
            version: serial as u32,
            floor: 0,
            expires_s: None,
            artifacts: [artifact].into_iter().collect(),
            deltas: delta.into_iter().collect(),
            url: None,
        });
        let arm = Arm {
            upto: u32::MAX,
            run: Some(0),
            shadow: None,
        };
        let desired = written(&Desired {
            group: name("arms"),
            serial,
            issued_s: 100,
            expires_s: None,
            chunk_size: DEFAULT_CHUNK,
            salt: [0; 16],
            releases: [Signed::unsigned(&manifest)].into_iter().collect(),
            arms: [arm].into_iter().collect(),
        });
        let signed: Signed<'_> = Signed::unsigned(&desired);
        written(&signed)
    }

    /// Takes a message of the gateway's and gives the answer: its topic and its bytes.
    fn hear(&mut self, topic: &str, payload: &[u8]) -> Option<(String, Vec<u8>)> {
        if topic.ends_with("/state") {
            self.state = Some(decode(payload).unwrap());
            return None;
        }
        let base = topic.strip_suffix("/need")?;
        let need: Need = decode(payload).unwrap();
        let from = (need.ranges[0].first * need.chunk_size) as usize;
        let Some(file) = self
            .files
            .get(&need.release)
            .filter(|file| from < file.len())
        else {
            let order = Order::Refused(need.release, Refusal::Unknown);
            return Some((format!("{base}/cmd"), written(&Cmd { id: 0, order })));
        };
        let data = &file[from..file.len().min(from + need.chunk_size as usize)];
        self.sent += data.len();
        let chunk = Chunk {
            release: need.release,
            offset: from as u64,
            data,
        };
        Some((format!("{base}/chunk"), written(&chunk)))
    }
}

struct Robot {
    node: Node<Nor>,
    decoder: Decoder<MAX_FRAME>,
    gateway: Gateway,
    fleet: Fleet,
    now_ms: u64,
    /// Numbers that look random: a loss at every so manieth byte would hit each long frame, or none.
    draw: u64,
    /// One byte in so many is lost.
    lossy: u64,
}

impl Robot {
    fn new(lossy: u64) -> Robot {
        let regions = Regions::lay_out(0, 4096, 1 << 17, 32).unwrap();
        let flash = Flash::new(Nor(vec![0xFF; 1 << 19]), regions).unwrap();
        let identity = Identity {
            device: name("mcu-1"),
            group: name("arms"),
            board: "test",
            software: "test",
            targets: [name("cortex-m4")].into_iter().collect(),
            arena_bytes: 10_000,
            part_bytes: 1024,
            boot: 1,
        };
        let trial = TrialLength {
            inferences: 5,
            millis: 60_000,
        };
        Robot {
            node: Node::start(identity, Belief::unsigned(), trial, flash, 0).unwrap(),
            decoder: Decoder::new(),
            gateway: Gateway::new(name("farm")),
            fleet: Fleet::default(),
            now_ms: 0,
            draw: 0x9E37_79B9_7F4A_7C15,
            lossy,
        }
    }

    fn passes(&mut self) -> bool {
        self.draw ^= self.draw << 13;
        self.draw ^= self.draw >> 7;
        self.draw ^= self.draw << 17;
        self.lossy == 0 || !self.draw.is_multiple_of(self.lossy)
    }

    fn act(&mut self, mut out: VecDeque<Out>) {
        while let Some(next) = out.pop_front() {
            match next {
                Out::Connect { .. } => out.extend(self.gateway.up(100)),
                Out::Post(post) => {
                    if let Some((topic, answer)) = self.fleet.hear(&post.topic, &post.payload) {
                        out.extend(self.gateway.fleet(&topic, &answer, self.now_ms, 100));
                    }
                }
                Out::Line(bytes) => {
                    for byte in bytes {
                        if self.passes()
                            && let Some(Ok(link)) = self.decoder.push(byte)
                        {
                            self.node.hear(&link, self.now_ms);
                        }
                    }
                }
            }
        }
    }

    fn turn(&mut self) {
        self.now_ms += 10;
        let mut buffer = [0; 1200];
        if let Some(frame) = self.node.say(self.now_ms, &mut buffer) {
            let frame: Vec<u8> = frame.iter().copied().filter(|_| self.passes()).collect();
            let out = self.gateway.line(&frame, self.now_ms, 100);
            self.act(out);
        }
        let out = self.gateway.beat(self.now_ms);
        self.act(out);
        match self.node.work(self.now_ms) {
            Task::Idle => {}
            Task::Run(_, image) => self.node.ran(&image, true, self.now_ms),
            Task::SelfTest(_, image) => self.node.tested(&image, Ok(()), self.now_ms),
        }
    }

    fn update(&mut self, desired: &[u8], plan: &[u8]) {
        let said = |robot: &mut Robot| {
            let out = robot.gateway.fleet(
                "sanderling/1/farm/g/arms/desired",
                desired,
                robot.now_ms,
                100,
            );
            robot.act(out);
        };
        for turn in 0..DEADLINE {
            // The fleet signs its wish anew now and then: what the line lost comes again.
            if turn % 5000 == 0 {
                said(self);
            }
            self.turn();
            let state = self.fleet.state.as_ref();
            let runs = state
                .filter(|state| state.phase == Phase::Active)
                .and_then(|state| state.running.as_ref());
            if runs.is_some_and(|running| running.digest == digest(plan)) {
                return;
            }
        }
        panic!(
            "no end, one byte in {} lost: {:?}",
            self.lossy, self.fleet.state
        );
    }
}

#[test]
fn a_microcontroller_is_updated_through_the_gateway() {
    for lossy in [0, 5_003, 2_003] {
        let mut robot = Robot::new(lossy);
        let first: Vec<u8> = (0..50_000u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let second: Vec<u8> = first
            .iter()
            .enumerate()
            .map(|(i, b)| b.wrapping_add(u8::from(i % 9 == 0)))
            .collect();
        let desired = robot.fleet.desired(1, &first, None);
        robot.update(&desired, &first);
        robot.fleet.sent = 0;
        let desired = robot.fleet.desired(2, &second, Some(&first));
        robot.update(&desired, &second);
        assert!(
            robot.fleet.sent < 20_000,
            "{} bytes by delta",
            robot.fleet.sent
        );
    }
}
