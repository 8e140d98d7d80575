//! The fleet's keys: a root with one key for each role, made from the seed.

use sanderling_trust::{Role, SigningKey, Trust};
use sanderling_wire::{MAX_MESSAGE, Message, RoleKeys, Root, Roots, Signed, encode};

use crate::chance::Chance;

/// Who signs what.
pub struct Keys {
    pub release: SigningKey,
    pub fleet: SigningKey,
    /// What every robot was enrolled with.
    pub trust: Trust,
}

/// A message in its envelope.
pub fn bytes<'a, M: Message<'a>>(message: &M) -> Vec<u8> {
    let mut buffer = vec![0; MAX_MESSAGE];
    match encode(message, &mut buffer) {
        Ok(bytes) => bytes.to_vec(),
        Err(error) => panic!("the simulation builds sound messages: {error}"),
    }
}

/// A statement with one signature over it, in its envelope.
pub fn signed(key: &SigningKey, role: Role, statement: &[u8]) -> Vec<u8> {
    let mut signed: Signed<'_> = Signed::unsigned(statement);
    let _ = signed.signatures.push(key.sign(role, statement));
    bytes(&signed)
}

impl Keys {
    pub fn new(seed: u64) -> Keys {
        let mut chance = Chance::new(seed, u64::MAX);
        let mut key = || {
            let mut secret = [0; 32];
            for part in secret.chunks_mut(8) {
                part.copy_from_slice(&chance.next().to_le_bytes());
            }
            SigningKey::from_secret(&secret)
        };
        let (root, release, fleet) = (key(), key(), key());
        let role = |index: u8| RoleKeys {
            threshold: 1,
            keys: [index].into_iter().collect(),
        };
        let statement = bytes(&Root {
            version: 1,
            epoch: 1,
            expires_s: None,
            keys: [root.public(), release.public(), fleet.public()]
                .into_iter()
                .collect(),
            root: role(0),
            release: role(1),
            fleet: role(2),
        });
        let mut over: Signed<'_, { sanderling_wire::MAX_ROOT_SIGNATURES }> =
            Signed::unsigned(&statement);
        let _ = over.signatures.push(root.sign(Role::Root, &statement));
        let link = bytes(&over);
        let length = u16::try_from(link.len()).unwrap_or(u16::MAX).to_le_bytes();
        let chain = [&length[..], &link].concat();
        let trust = match Trust::anchor(&bytes(&Roots { chain: &chain })) {
            Ok(trust) => trust,
            Err(refusal) => panic!("the simulation's root is sound: {refusal}"),
        };
        Keys {
            release,
            fleet,
            trust,
        }
    }
}
