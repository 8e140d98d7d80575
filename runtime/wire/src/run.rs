//! Which start of which robot a message is of: 128 random bits beside the message, as an MQTT 5 user property.
//!
//! A boot counter tells one start of a robot from its next one. It does not tell a robot from the copy of its card, nor
//! from itself after its storage was wiped and its clock began at 1970 again. So each start draws a number of its own
//! and says it with births, wills and results; a receipt names the start whose results it confirms. Programs that do
//! not know the property ignore it, and a message without it is told apart by its boot counter alone.

use core::fmt;
use core::str::FromStr;

/// The user property's name.
pub const RUN_PROPERTY: &str = "sanderling-run";

/// One start of a robot's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub [u8; 16]);

/// The text is not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunIdError;

impl fmt::Display for RunIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a start is named by 32 hexadecimal digits")
    }
}

impl core::error::Error for RunIdError {}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<RunId, RunIdError> {
        let text = text.as_bytes();
        if text.len() != 32 {
            return Err(RunIdError);
        }
        let digit = |byte: u8| (byte as char).to_digit(16).ok_or(RunIdError);
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(RunId(bytes))
    }
}
