//! What a slot can hold: a model, named by the digest of its bytes.

use core::fmt;

/// SHA-256 of a model's bytes.
pub type Digest = [u8; 32];

/// One of the two places for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The first place.
    A,
    /// The second place.
    B,
}

impl Slot {
    /// The other of the two.
    pub const fn other(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    /// 0 for A, 1 for B: for tables with one entry per slot.
    pub const fn index(self) -> usize {
        match self {
            Slot::A => 0,
            Slot::B => 1,
        }
    }
}

/// The longest [`Label`], in bytes.
pub const LABEL_BYTES: usize = 48;

/// A model's name, zero-padded, so that a robot without a heap can keep it in its record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label([u8; LABEL_BYTES]);

impl Label {
    /// As much of `text` as fits, cut between characters.
    pub fn cut(text: &str) -> Label {
        let mut bytes = [0; LABEL_BYTES];
        let mut end = text.len().min(LABEL_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
        Label(bytes)
    }

    /// The name; empty where the stored bytes are not text.
    pub fn as_str(&self) -> &str {
        let end = self
            .0
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(LABEL_BYTES);
        core::str::from_utf8(&self.0[..end]).unwrap_or("")
    }

    pub(crate) const fn from_bytes(bytes: [u8; LABEL_BYTES]) -> Label {
        Label(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; LABEL_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A model as the fleet names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// SHA-256 of the model's bytes. Two images with the same digest are the same model.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u32,
    /// The model's version number. A newer one makes a digest worth another try.
    pub version: u64,
    /// The model's name, for people and reports.
    pub name: Label,
}
