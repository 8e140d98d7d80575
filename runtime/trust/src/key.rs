//! Public keys: how they are named, and what they are asked.

use ed25519_dalek::{Signature as Edwards, VerifyingKey};
use sanderling_wire::{KeyId, Signature};
use sha2::{Digest as _, Sha256};

use crate::role::Role;

/// How a public key is named beside its signatures: the first 8 bytes of its SHA-256. Two keys of one
/// name harm nobody: the signature is checked with the whole key.
pub fn id(public: &[u8; 32]) -> KeyId {
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(public));
    [a, b, c, d, e, f, g, h]
}

/// What a key of this role signs for a statement: the domain's 24 bytes and the statement's digest.
pub(crate) fn message(role: Role, statement: &[u8]) -> [u8; 56] {
    let mut message = [0; 56];
    let (domain, digest) = message.split_at_mut(24);
    domain.copy_from_slice(role.domain());
    digest.copy_from_slice(&Sha256::digest(statement));
    message
}

/// Whether this key signed this message. Strict: weak keys and non-canonical signatures are refused.
pub(crate) fn signed(public: &[u8; 32], message: &[u8], signature: &Signature) -> bool {
    let [r, s] = signature.bytes;
    VerifyingKey::from_bytes(public).is_ok_and(|key| {
        key.verify_strict(message, &Edwards::from_components(r, s))
            .is_ok()
    })
}
