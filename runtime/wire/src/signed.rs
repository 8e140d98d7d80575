//! A statement with the signatures over it: what stands on a group's `desired` topic, and inside of it.
//!
//! ```text
//! +---------+--------------------------------------+-------------------------+
//! | version | statement: length, envelope bytes    | signatures: count, each |
//! |  0x02   | (what a signature covers, untouched) | key id 8, signature 64  |
//! +---------+--------------------------------------+-------------------------+
//! ```
//!
//! The statement is carried as bytes, so that a signature covers exactly what was received and no
//! re-encoding stands between. An empty list of signatures is an unsigned statement.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::envelope::{DecodeError, MAX_SMALL_MESSAGE, Message, decode};
use crate::inference::as_bytes;

/// The most signatures on one manifest or desired state.
pub const MAX_SIGNATURES: usize = 4;

/// The first 8 bytes of the SHA-256 of an ed25519 public key.
pub type KeyId = [u8; 8];

/// One key's word for a statement's bytes. This crate carries signatures and does not check them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Which key signed.
    pub key: KeyId,
    /// The two halves of the ed25519 signature.
    pub bytes: [[u8; 32]; 2],
}

/// A statement and at most `N` signatures over its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<'a, const N: usize = MAX_SIGNATURES> {
    /// A message in its envelope, as [`crate::encode`] wrote it.
    #[serde(borrow, serialize_with = "as_bytes")]
    pub statement: &'a [u8],
    /// Who signed these bytes.
    pub signatures: Vec<Signature, N>,
}

impl<'a, const N: usize> Signed<'a, N> {
    /// Wraps a statement's bytes without a signature.
    pub fn unsigned(statement: &'a [u8]) -> Signed<'a, N> {
        Signed {
            statement,
            signatures: Vec::new(),
        }
    }

    /// Reads the statement. Whether its signatures are to be believed is asked before.
    pub fn read<M: Message<'a>>(&self) -> Result<M, DecodeError> {
        decode(self.statement)
    }

    /// True when no key signed twice: a second signature of one key says nothing more.
    pub(crate) fn names_each_key_once(&self) -> bool {
        let keys = self.signatures.iter().enumerate();
        keys.into_iter().all(|(i, signature)| {
            let others = self.signatures.iter().skip(i + 1);
            others.into_iter().all(|other| other.key != signature.key)
        })
    }
}

impl<'a, const N: usize> Message<'a> for Signed<'a, N> {
    const MAX_LEN: usize = MAX_SMALL_MESSAGE;

    fn is_sound(&self) -> bool {
        self.names_each_key_once()
    }
}
