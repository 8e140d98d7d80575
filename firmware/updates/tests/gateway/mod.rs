//! The agent's side of the link, for tests: it greets, hands on what the group has, and sends what is asked for.

use std::collections::HashMap;

use sanderling_delta::make;
use sanderling_trust::{Role, SigningKey};
use sanderling_updates::CHUNK;
use sanderling_wire::serial::{
    Assembly, Carried, Decoder, Greeting, Link, MAX_FRAME, MAX_WIRE, Part, encode_frame, pieces,
};
use sanderling_wire::{
    Arm, Artifact, DEFAULT_CHUNK, Delta, Desired, Digest, MAX_ROOT_SIGNATURES, MAX_SMALL_MESSAGE,
    Manifest, Message, Name, RoleKeys, Root, Roots, Session, Signed, State, decode, encode,
};
use sha2::{Digest as _, Sha256};

/// A fixed time for statements and greetings, in seconds since 1970.
pub const NOW: u64 = 1_800_000_000;

pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn encoded<'a, M: Message<'a>>(message: &M) -> Vec<u8> {
    let mut buffer = vec![0; MAX_SMALL_MESSAGE];
    encode(message, &mut buffer).expect("it fits").to_vec()
}

/// The fleet's owner: one key for each role.
pub struct Owner {
    root: SigningKey,
    release: SigningKey,
    fleet: SigningKey,
}

impl Owner {
    pub fn new(seed: u8) -> Owner {
        let key = |i| SigningKey::from_secret(&[seed + i; 32]);
        Owner {
            root: key(0),
            release: key(1),
            fleet: key(2),
        }
    }

    /// The chain of roots that a robot is built with.
    pub fn chain(&self) -> Vec<u8> {
        let role = |index| RoleKeys {
            threshold: 1,
            keys: [index].into_iter().collect(),
        };
        let keys = [&self.root, &self.release, &self.fleet].map(SigningKey::public);
        let root = encoded(&Root {
            version: 1,
            epoch: 1,
            expires_s: None,
            keys: keys.into_iter().collect(),
            root: role(0),
            release: role(1),
            fleet: role(2),
        });
        let mut signed: Signed<'_, MAX_ROOT_SIGNATURES> = Signed::unsigned(&root);
        signed
            .signatures
            .push(self.root.sign(Role::Root, &root))
            .expect("room");
        let link = encoded(&signed);
        let mut chain = (link.len() as u16).to_le_bytes().to_vec();
        chain.extend(link);
        encoded(&Roots { chain: &chain })
    }

    fn sign(&self, key: Option<&SigningKey>, role: Role, statement: &[u8]) -> Vec<u8> {
        let mut signed: Signed<'_> = Signed::unsigned(statement);
        signed
            .signatures
            .extend(key.map(|key| key.sign(role, statement)));
        encoded(&signed)
    }
}

/// A release and how it may be had.
#[derive(Clone)]
pub struct Release {
    pub version: u32,
    pub plan: Vec<u8>,
    /// Plans from which there is a delta to it.
    pub bases: Vec<Vec<u8>>,
    pub arena: u64,
}

/// The agent.
pub struct Gateway {
    owner: Option<Owner>,
    target: Name,
    /// What can be sent, by digest.
    pub files: HashMap<Digest, Vec<u8>>,
    desired: Option<Vec<u8>>,
    decoder: Box<Decoder<MAX_FRAME>>,
    assembly: Assembly<MAX_SMALL_MESSAGE>,
    number: u16,
    serial: u64,
    /// The newest state that the node said.
    pub state: Option<State>,
    /// Bytes of files that were sent.
    pub sent: u64,
    /// Frames that were dropped.
    pub dropped: u64,
    /// How often it was said hello to.
    pub hellos: u32,
}

impl Gateway {
    pub fn new(owner: Option<Owner>, target: &str) -> Gateway {
        Gateway {
            owner,
            target: name(target),
            files: HashMap::new(),
            desired: None,
            decoder: Box::default(),
            assembly: Assembly::new(),
            number: 0,
            serial: 0,
            state: None,
            sent: 0,
            dropped: 0,
            hellos: 0,
        }
    }

    /// From now on the group should run this release, whole or by delta. Gives the frames that say so.
    pub fn want(&mut self, release: &Release) -> Vec<u8> {
        let plan = digest(&release.plan);
        let mut deltas = Vec::new();
        for base in &release.bases {
            let delta = make(base, &release.plan, CHUNK).expect("a delta");
            let size = delta.len() as u64;
            deltas.push(Delta {
                artifact: 0,
                base: digest(base),
                digest: digest(&delta),
                size,
            });
            self.files.insert(digest(&delta), delta);
        }
        self.files.insert(plan, release.plan.clone());
        let size = release.plan.len() as u64;
        let artifact = Artifact {
            target: self.target.clone(),
            digest: plan,
            size,
            arena: release.arena,
            flash: size,
            golden: Digest([0; 32]),
        };
        let manifest = encoded(&Manifest {
            model: name("terrain"),
            version: release.version,
            floor: 0,
            expires_s: None,
            artifacts: [artifact].into_iter().collect(),
            deltas: deltas.into_iter().collect(),
            url: None,
        });
        self.serial += 1;
        let key = |pick: fn(&Owner) -> &SigningKey| self.owner.as_ref().map(pick);
        let nobody = Owner::new(0xF0);
        let owner = self.owner.as_ref().unwrap_or(&nobody);
        let signed = owner.sign(key(|o| &o.release), Role::Release, &manifest);
        let arm = Arm {
            upto: u32::MAX,
            run: Some(0),
            shadow: None,
        };
        let desired = encoded(&Desired {
            group: name("arms"),
            serial: self.serial,
            issued_s: NOW,
            expires_s: None,
            chunk_size: DEFAULT_CHUNK,
            salt: [0; 16],
            releases: [decode(&signed).expect("just encoded")]
                .into_iter()
                .collect(),
            arms: [arm].into_iter().collect(),
        });
        let desired = owner.sign(key(|o| &o.fleet), Role::Fleet, &desired);
        self.desired = Some(desired);
        self.retained()
    }

    /// A desired state that others made.
    pub fn replace_desired(&mut self, other: &Gateway) -> Vec<u8> {
        self.desired = other.desired.clone();
        self.files.extend(other.files.clone());
        self.retained()
    }

    fn retained(&mut self) -> Vec<u8> {
        let Some(desired) = &self.desired else {
            return Vec::new();
        };
        self.number = self.number.wrapping_add(1);
        pieces(Carried::Desired, self.number, desired)
            .flat_map(|piece| framed(&Link::Piece(piece)))
            .collect()
    }

    /// Takes a byte of the node's and gives what is sent for it.
    pub fn hear(&mut self, byte: u8) -> Vec<u8> {
        let mut out = Vec::new();
        let mut greet = false;
        match self.decoder.push(byte) {
            None => {}
            Some(Err(_)) => self.dropped += 1,
            Some(Ok(Link::Hello(hello))) => {
                self.hellos += 1;
                let session = Session::new(1, hello.boot);
                out = framed(&Link::Greeting(Greeting {
                    session,
                    now_s: NOW,
                    boot: hello.boot,
                }));
                greet = true;
            }
            Some(Ok(Link::Want(want))) => {
                let from = want.offset as usize;
                let data = self
                    .files
                    .get(&want.file)
                    .and_then(|file| file.get(from..from + usize::from(want.length)));
                out = framed(&match data {
                    Some(data) => Link::Part(Part {
                        file: want.file,
                        offset: want.offset,
                        data,
                    }),
                    None => Link::Absent(want.file),
                });
                self.sent += data.map_or(0, |data| data.len() as u64);
            }
            Some(Ok(Link::Piece(piece))) => {
                if let Some((Carried::State, bytes)) = self.assembly.push(&piece) {
                    self.state = Some(decode(bytes).expect("a state"));
                }
            }
            Some(Ok(_)) => {}
        }
        if greet {
            out.extend(self.retained());
        }
        out
    }
}

fn framed(link: &Link<'_>) -> Vec<u8> {
    let mut buffer = vec![0; MAX_WIRE];
    encode_frame(link, &mut buffer).expect("it fits").to_vec()
}
