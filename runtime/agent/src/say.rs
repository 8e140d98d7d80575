//! What the agent tells a person: single lines on standard error, and no line over and over.

use std::fmt;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sanderling_wire::Printable;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The agent goes its way.
    Info,
    /// Something is wrong and the agent coped.
    Warn,
    /// Something is wrong and needs somebody.
    Error,
}

/// Writes one line: time (UTC), level, area, text, as a terminal may show it.
pub fn line(level: Level, area: &str, text: fmt::Arguments<'_>) {
    let level = match level {
        Level::Info => "info ",
        Level::Warn => "warn ",
        Level::Error => "error",
    };
    let text = text.to_string();
    let line = format!("{} {level} {area}: {}\n", Utc::now(), Printable(&text));
    // Standard error may be closed or full; the agent's work does not depend on it.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// Says a line at level info.
#[macro_export]
macro_rules! info {
    ($area:expr, $($text:tt)*) => { $crate::say::line($crate::say::Level::Info, $area, format_args!($($text)*)) };
}

/// Says a line at level warn.
#[macro_export]
macro_rules! warn {
    ($area:expr, $($text:tt)*) => { $crate::say::line($crate::say::Level::Warn, $area, format_args!($($text)*)) };
}

/// Says a line at level error.
#[macro_export]
macro_rules! error {
    ($area:expr, $($text:tt)*) => { $crate::say::line($crate::say::Level::Error, $area, format_args!($($text)*)) };
}

/// Lets a line of each kind through once a minute and counts the others: a bad sensor at 1 kHz must give one line, not
/// a thousand a second.
#[derive(Debug, Default)]
pub struct Hush {
    kinds: Vec<Kind>,
}

#[derive(Debug)]
struct Kind {
    name: String,
    said: Instant,
    held_back: u64,
}

impl Hush {
    /// How long lines of a kind are held back after one was said.
    pub const PAUSE: Duration = Duration::from_secs(60);
    /// Kinds that are remembered; the one that was silent longest makes room.
    const KINDS: usize = 16;

    /// What to say for `text` of the kind `name` at `now`, if anything: the text, with the number of lines of that
    /// kind that were held back.
    pub fn pass(&mut self, name: &str, text: &str, now: Instant) -> Option<String> {
        if let Some(kind) = self.kinds.iter_mut().find(|kind| kind.name == name) {
            if now.duration_since(kind.said) < Hush::PAUSE {
                kind.held_back += 1;
                return None;
            }
            kind.said = now;
            return Some(match std::mem::take(&mut kind.held_back) {
                0 => text.to_owned(),
                n => format!("{text} ({n} lines like this were held back)"),
            });
        }
        if self.kinds.len() >= Hush::KINDS {
            let oldest = (0..self.kinds.len()).min_by_key(|&index| self.kinds[index].said);
            self.kinds.swap_remove(oldest.unwrap_or(0));
        }
        self.kinds.push(Kind {
            name: name.to_owned(),
            said: now,
            held_back: 0,
        });
        Some(text.to_owned())
    }

    /// Forgets everything, so that the next line of each kind is said: the trouble had ended in between.
    pub fn clear(&mut self) {
        self.kinds.clear();
    }

    /// Says a line of the kind `name` at level warn if it passes.
    pub fn warn(&mut self, area: &str, name: &str, text: fmt::Arguments<'_>) {
        self.line(Level::Warn, area, name, text);
    }

    /// Says a line of the kind `name` at level info if it passes.
    pub fn info(&mut self, area: &str, name: &str, text: fmt::Arguments<'_>) {
        self.line(Level::Info, area, name, text);
    }

    fn line(&mut self, level: Level, area: &str, name: &str, text: fmt::Arguments<'_>) {
        if let Some(text) = self.pass(name, &text.to_string(), Instant::now()) {
            line(level, area, format_args!("{text}"));
        }
    }
}

/// A moment as `2026-11-23T05:07:09Z`.
struct Utc {
    seconds: u64,
}

impl Utc {
    fn now() -> Utc {
        Utc {
            seconds: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
        }
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds / 86_400, self.seconds % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

/// The Gregorian date of a day counted from 1970-01-01. Years begin in March here, so that the leap day is last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(Utc { seconds: 0 }.to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(
            Utc {
                seconds: 951_782_400
            }
            .to_string(),
            "2000-02-29T00:00:00Z"
        );
        assert_eq!(
            Utc {
                seconds: 1_795_413_661
            }
            .to_string(),
            "2026-11-23T06:01:01Z"
        );
    }

    #[test]
    fn a_repeated_line_is_held_back_and_counted() {
        let mut hush = Hush::default();
        let start = Instant::now();
        assert_eq!(
            hush.pass("nan", "NaN at 3", start).as_deref(),
            Some("NaN at 3")
        );
        assert_eq!(hush.pass("nan", "NaN at 4", start), None);
        assert_eq!(hush.pass("shape", "shape", start).as_deref(), Some("shape"));
        assert_eq!(hush.pass("nan", "NaN at 5", start), None);
        assert_eq!(
            hush.pass("nan", "NaN at 6", start + Hush::PAUSE).as_deref(),
            Some("NaN at 6 (2 lines like this were held back)")
        );
        for kind in 0..100 {
            assert!(hush.pass(&kind.to_string(), "another", start).is_some());
        }
    }
}
