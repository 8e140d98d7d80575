//! Making signatures, for the command and the coordinator.

use core::fmt;

use ed25519_dalek::{Signer as _, SigningKey as Edwards};
use sanderling_wire::{KeyId, Signature};

use crate::key;
use crate::role::Role;

/// A private key. Its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct SigningKey(Edwards);

impl fmt::Debug for SigningKey {
    /// Only the key's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:02x?})", self.id())
    }
}

impl SigningKey {
    /// The key of 32 secret random bytes.
    pub fn from_secret(secret: &[u8; 32]) -> SigningKey {
        SigningKey(Edwards::from_bytes(secret))
    }

    /// The 32 secret bytes.
    pub fn secret(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public key.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The public key's name.
    pub fn id(&self) -> KeyId {
        key::id(&self.public())
    }

    /// Signs a statement in its envelope as one of this role's keys.
    pub fn sign(&self, role: Role, statement: &[u8]) -> Signature {
        let signature = self.0.sign(&key::message(role, statement));
        Signature {
            key: self.id(),
            bytes: [*signature.r_bytes(), *signature.s_bytes()],
        }
    }
}
