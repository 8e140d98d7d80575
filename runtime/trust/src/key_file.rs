//! A private key as a text file that says what it is.
//!
//! ```text
//! sanderling key 1
//! role release
//! public 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29
//! secret 0000000000000000000000000000000000000000000000000000000000000000
//! ```

use core::fmt;

use crate::role::Role;
use crate::sign::SigningKey;

/// The first line.
const FIRST: &str = "sanderling key 1";

/// A key and what it may sign.
#[derive(Clone, Debug)]
pub struct KeyFile {
    /// What it may sign.
    pub role: Role,
    /// The key.
    pub key: SigningKey,
}

/// Why a text is no key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFileError {
    /// The first line is another.
    NotAKey,
    /// A line is missing or cannot be read.
    Line(&'static str),
    /// The public key does not belong to the secret one.
    Mismatch,
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFileError::NotAKey => write!(
                f,
                "this is no key file, which begins with `{FIRST}`; `sanderling keys init` makes them"
            ),
            KeyFileError::Line(name) => write!(
                f,
                "the line `{name}` of the key file is missing or wrong; restore the file from a copy"
            ),
            KeyFileError::Mismatch => f.write_str(
                "the key file's public and secret halves do not belong together; restore it from a copy",
            ),
        }
    }
}

impl core::error::Error for KeyFileError {}

impl KeyFile {
    /// Reads the text of a key file.
    pub fn parse(text: &str) -> Result<KeyFile, KeyFileError> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST) {
            return Err(KeyFileError::NotAKey);
        }
        let mut line = |name: &'static str| {
            let line = lines.next().and_then(|line| line.split_once(' '));
            match line {
                Some((found, value)) if found == name => Ok(value.trim_end()),
                _ => Err(KeyFileError::Line(name)),
            }
        };
        let role = line("role")?;
        let public = line("public")?;
        let secret = line("secret")?;
        let role = Role::ALL.into_iter().find(|r| r.as_str() == role);
        let role = role.ok_or(KeyFileError::Line("role"))?;
        let public = bytes(public).ok_or(KeyFileError::Line("public"))?;
        let secret = bytes(secret).ok_or(KeyFileError::Line("secret"))?;
        let key = SigningKey::from_secret(&secret);
        if key.public() != public {
            return Err(KeyFileError::Mismatch);
        }
        Ok(KeyFile { role, key })
    }
}

/// 64 hexadecimal digits.
fn bytes(hex: &str) -> Option<[u8; 32]> {
    let digest: Result<sanderling_wire::Digest, _> = hex.parse();
    digest.ok().map(|digest| digest.0)
}

impl fmt::Display for KeyFile {
    /// The text of the file, secret included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = sanderling_wire::Digest;
        writeln!(f, "{FIRST}")?;
        writeln!(f, "role {}", self.role)?;
        writeln!(f, "public {}", hex(self.key.public()))?;
        writeln!(f, "secret {}", hex(self.key.secret()))
    }
}
