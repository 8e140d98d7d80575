//! Free text with a bound: error lines, software versions, board names.

use core::fmt::{self, Write};
use core::ops::Deref;

use heapless::String;
use serde::{Deserialize, Serialize};

/// At most `N` bytes of UTF-8, for people to read. Longer text is cut, never refused, because
/// a cut error line is better than none.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text<const N: usize>(String<N>);

impl<const N: usize> Text<N> {
    /// As much of `text` as fits, cut between characters.
    pub fn cut(text: &str) -> Text<N> {
        Text::format(format_args!("{text}"))
    }

    /// As much as fits of what the arguments print: `Text::format(format_args!("{error}"))`.
    pub fn format(arguments: fmt::Arguments<'_>) -> Text<N> {
        let mut out = Cutter(String::new());
        // The cutter takes every write, so the only error could come from a Display that fails;
        // what it printed before that is kept.
        let _ = out.write_fmt(arguments);
        Text(out.0)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

struct Cutter<const N: usize>(String<N>);

impl<const N: usize> Write for Cutter<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.0.push(c).is_err() {
                break;
            }
        }
        Ok(())
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> From<&str> for Text<N> {
    fn from(text: &str) -> Text<N> {
        Text::cut(text)
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
