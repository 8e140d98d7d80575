//! Free text with a bound: error lines, software versions, board names.

use core::fmt::{self, Write};
use core::ops::Deref;

use heapless::String;
use serde::{Deserialize, Serialize};

/// Text from outside as a terminal or a log may show it: on one line, and with an escape (`\n`, `\u{1b}`) in place of each
/// character that is not printed where it stands, such as one that moves the cursor, ends the line, or turns the order of
/// the letters around.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'t>(pub &'t str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if is_unprintable(c) => write!(f, "{}", c.escape_unicode())?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Control characters (C0, DEL, C1), those that separate lines, and those that are invisible or change the direction.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

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
