//! A fleet's owner: keys, a root, and what they sign.

use sanderling_trust::{Accepted, Clock, Refusal, Role, SigningKey, Trust};
use sanderling_wire::*;

/// Some day in 2026, in seconds since 1970.
pub const NOW: u64 = 1_790_000_000;
pub const WEEK: u64 = 7 * 24 * 3600;
pub const YEAR: u64 = 365 * 24 * 3600;

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn encoded<'a, M: Message<'a>>(message: &M) -> Vec<u8> {
    let mut buffer = [0; MAX_SMALL_MESSAGE];
    encode(message, &mut buffer).unwrap().to_vec()
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_secret(&[seed; 32])
}

/// A statement with signatures as one role's keys.
pub fn sign(role: Role, keys: &[&SigningKey], statement: &[u8]) -> Vec<u8> {
    let mut signed: Signed<'_> = Signed::unsigned(statement);
    for key in keys {
        signed.signatures.push(key.sign(role, statement)).unwrap();
    }
    encoded(&signed)
}

pub fn signed_root(root: &Root, keys: &[&SigningKey]) -> Vec<u8> {
    let statement = encoded(root);
    let mut signed: Signed<'_, MAX_ROOT_SIGNATURES> = Signed::unsigned(&statement);
    for key in keys {
        let signature = key.sign(Role::Root, &statement);
        signed.signatures.push(signature).unwrap();
    }
    encoded(&signed)
}

pub fn manifest() -> Manifest {
    let artifact = Artifact {
        target: name("generic"),
        digest: Digest([1; 32]),
        size: 65537,
        arena: 5000,
        flash: 65537,
        golden: Digest([2; 32]),
    };
    Manifest {
        model: name("terrain"),
        version: 2,
        floor: 1,
        expires_s: None,
        artifacts: [artifact].into_iter().collect(),
        deltas: Default::default(),
        url: None,
    }
}

/// What is to be signed as a desired state.
#[derive(Clone)]
pub struct Wish {
    pub group: &'static str,
    pub serial: u64,
    pub issued_s: u64,
    pub expires_s: Option<u64>,
    pub release: Vec<u8>,
}

pub fn wish(serial: u64) -> Wish {
    Wish {
        group: "all",
        serial,
        issued_s: NOW,
        expires_s: Some(NOW + WEEK),
        release: Party::new(1).release(&manifest()),
    }
}

/// A fleet's owner and a robot that believes the owner's root.
#[derive(Clone)]
pub struct Party {
    pub root_keys: Vec<SigningKey>,
    pub release_keys: Vec<SigningKey>,
    pub fleet_key: SigningKey,
    pub root: Root,
    /// Roots before the newest, signed.
    pub links: Vec<Vec<u8>>,
    pub trust: Trust,
}

impl Party {
    pub fn new(seed: u8) -> Party {
        let root_keys = vec![key(seed)];
        let release_keys = vec![key(seed + 1), key(seed + 2)];
        let fleet_key = key(seed + 3);
        let role = |threshold, keys: &[u8]| RoleKeys {
            threshold,
            keys: keys.iter().copied().collect(),
        };
        let root = Root {
            version: 1,
            epoch: 1,
            expires_s: None,
            keys: (seed..seed + 4).map(|i| key(i).public()).collect(),
            root: role(1, &[0]),
            release: role(1, &[1, 2]),
            fleet: role(1, &[3]),
        };
        let chain = chain(&[signed_root(&root, &[&root_keys[0]])]);
        Party {
            trust: Trust::anchor(&chain).unwrap(),
            root_keys,
            release_keys,
            fleet_key,
            root,
            links: Vec::new(),
        }
    }

    /// The chain up to the root as it is now.
    pub fn chain(&self) -> Vec<u8> {
        let mut links = self.links.clone();
        if links.len() < self.root.version as usize
            && decode::<Signed<'_, MAX_ROOT_SIGNATURES>>(links.last().unwrap_or(&vec![]))
                .and_then(|signed| signed.read::<Root>())
                .as_ref()
                != Ok(&self.root)
        {
            links.push(signed_root(&self.root, &[&self.root_keys[0]]));
        }
        chain(&links)
    }

    fn next(&self, change: impl FnOnce(&mut Party)) -> Party {
        let mut next = self.clone();
        if next.links.is_empty() {
            next.links
                .push(signed_root(&self.root, &[&self.root_keys[0]]));
        }
        next.root.version += 1;
        change(&mut next);
        let signed = signed_root(&next.root, &[&self.root_keys[0]]);
        next.links.push(signed);
        next
    }

    pub fn rotated_fleet_key(&self, seed: u8) -> Party {
        self.next(|next| {
            next.fleet_key = key(seed);
            next.root.keys[3] = next.fleet_key.public();
            next.root.epoch += 1;
        })
    }

    pub fn rotated_release_key(&self, seed: u8) -> Party {
        self.next(|next| {
            next.release_keys = vec![key(seed), key(seed + 1)];
            next.root.keys[1] = next.release_keys[0].public();
            next.root.keys[2] = next.release_keys[1].public();
        })
    }

    pub fn release(&self, manifest: &Manifest) -> Vec<u8> {
        sign(Role::Release, &[&self.release_keys[0]], &encoded(manifest))
    }

    pub fn statement(&self, wish: &Wish) -> Vec<u8> {
        let arm = Arm {
            upto: u32::MAX,
            run: Some(0),
            shadow: None,
        };
        encoded(&Desired {
            group: name(wish.group),
            serial: wish.serial,
            issued_s: wish.issued_s,
            expires_s: wish.expires_s,
            chunk_size: DEFAULT_CHUNK,
            salt: [0; 16],
            releases: [decode(&wish.release).unwrap()].into_iter().collect(),
            arms: [arm].into_iter().collect(),
        })
    }

    pub fn desired(&self, wish: &Wish) -> Vec<u8> {
        sign(Role::Fleet, &[&self.fleet_key], &self.statement(wish))
    }

    /// Asks the robot, which has seen no time yet.
    pub fn ask<'a>(&self, bytes: &'a [u8], held: u64, own_s: u64) -> Result<Accepted<'a>, Refusal> {
        let mut clock = Clock::default();
        self.trust
            .desired(bytes, &name("all"), held, own_s, &mut clock)
    }
}

pub fn chain(links: &[Vec<u8>]) -> Vec<u8> {
    let mut chain = Vec::new();
    for link in links {
        chain.extend((link.len() as u16).to_le_bytes());
        chain.extend(link);
    }
    encoded(&Roots { chain: &chain })
}
