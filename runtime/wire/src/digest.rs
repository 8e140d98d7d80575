//! A SHA-256 digest as a value: 32 bytes on the wire, 64 hex digits for people.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// The SHA-256 of a file's bytes. This crate carries digests and never computes one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestError;

impl fmt::Display for DigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a digest is 64 hexadecimal digits (SHA-256)")
    }
}

impl core::error::Error for DigestError {}

impl Digest {
    /// The first four bytes in hex, enough for people to tell digests apart.
    pub fn short(&self) -> impl fmt::Display {
        Hex(self.0, 4)
    }
}

struct Hex([u8; 32], usize);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(self.1) {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(self.0, 32), f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Digest, DigestError> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return Err(DigestError);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = hex(pair[0])? << 4 | hex(pair[1])?;
        }
        Ok(Digest(bytes))
    }
}

fn hex(digit: u8) -> Result<u8, DigestError> {
    (digit as char)
        .to_digit(16)
        .map(|d| d as u8)
        .ok_or(DigestError)
}
