//! A group's desired state as it stands on the broker: a manifest's exact bytes, and who vouches for them.
//!
//! ```text
//! +---------+--------------------------------------+-------------------------+
//! | version | manifest: length, envelope bytes     | signatures: count, each |
//! |  0x01   | (what a signature covers, untouched) | key id 8, signature 64  |
//! +---------+--------------------------------------+-------------------------+
//! ```
//!
//! The manifest is carried as bytes, so that a signature covers exactly what was received and no
//! re-encoding stands between. An empty list of signatures is an unsigned manifest.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::envelope::{DecodeError, MAX_SMALL_MESSAGE, Message, decode};
use crate::inference::as_bytes;
use crate::manifest::{MAX_MANIFEST, Manifest};

/// The most signatures on one manifest.
pub const MAX_SIGNATURES: usize = 4;

/// One key's word for the manifest's bytes. This crate carries signatures and does not check them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Which key signed.
    pub key: [u8; 8],
    /// The two halves of the signature.
    pub bytes: [[u8; 32]; 2],
}

/// What is retained on a group's `desired` topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired<'a> {
    /// A [`Manifest`] in its envelope, as [`crate::encode`] wrote it.
    #[serde(borrow, serialize_with = "as_bytes")]
    pub manifest: &'a [u8],
    /// Who signed these bytes.
    pub signatures: Vec<Signature, MAX_SIGNATURES>,
}

impl<'a> Desired<'a> {
    /// Wraps a manifest's bytes without a signature.
    pub fn unsigned(manifest: &'a [u8]) -> Desired<'a> {
        Desired {
            manifest,
            signatures: Vec::new(),
        }
    }

    /// Reads the manifest. Whether its signatures are to be believed is asked before.
    pub fn read(&self) -> Result<Manifest, DecodeError> {
        decode(self.manifest)
    }
}

impl<'a> Message<'a> for Desired<'a> {
    const MAX_LEN: usize = MAX_SMALL_MESSAGE;

    fn is_sound(&self) -> bool {
        self.manifest.len() <= MAX_MANIFEST
    }
}
