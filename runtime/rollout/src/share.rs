//! A part of a fleet: so many per cent of all places, or so many robots.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// `"5%"`, `"0.5%"`, or a number of robots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Thousandths of a per cent, 1 to 100,000.
    Percent(u32),
    /// Robots, at least one.
    Count(u32),
}

/// The text is neither a percentage nor a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a share is a percentage as text, \"0.001%\" to \"100%\", or a number of robots from 1 on")]
pub struct ShareError;

impl Share {
    /// All of the fleet.
    pub const ALL: Share = Share::Percent(100_000);

    /// The largest place that belongs to the share. A percentage is that part of all places; a count is the place of
    /// the robot with that rank among `places`, which are sorted. None where no robot is known to count.
    pub fn upto(self, places: &[u32]) -> Option<u32> {
        match self {
            Share::Percent(part) => {
                let all = 1u64 << 32;
                let end = (all * u64::from(part)).div_ceil(100_000).clamp(1, all);
                u32::try_from(end - 1).ok()
            }
            Share::Count(count) => {
                let rank = usize::try_from(count)
                    .unwrap_or(usize::MAX)
                    .min(places.len());
                places.get(rank.checked_sub(1)?).copied()
            }
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Share::Percent(part) if part % 1000 == 0 => write!(f, "{}%", part / 1000),
            Share::Percent(part) => {
                let text = format!("{}.{:03}", part / 1000, part % 1000);
                write!(f, "{}%", text.trim_end_matches('0'))
            }
            Share::Count(count) => write!(f, "{count}"),
        }
    }
}

impl FromStr for Share {
    type Err = ShareError;
    fn from_str(text: &str) -> Result<Share, ShareError> {
        let text = text.trim();
        let Some(percent) = text.strip_suffix('%') else {
            let count = text.parse().map_err(|_| ShareError)?;
            return if count == 0 {
                Err(ShareError)
            } else {
                Ok(Share::Count(count))
            };
        };
        let (whole, fraction) = percent
            .trim()
            .split_once('.')
            .unwrap_or((percent.trim(), "0"));
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 3 || whole.len() > 3 {
            return Err(ShareError);
        }
        let padded: u32 = format!("{fraction:0<3}").parse().map_err(|_| ShareError)?;
        let whole: u32 = whole.parse().map_err(|_| ShareError)?;
        match whole * 1000 + padded {
            part @ 1..=100_000 => Ok(Share::Percent(part)),
            _ => Err(ShareError),
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Share::Percent(_) => serializer.collect_str(self),
            Share::Count(count) => serializer.serialize_u32(*count),
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Share;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{ShareError}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Share, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Share, E> {
                match u32::try_from(count) {
                    Ok(count) if count > 0 => Ok(Share::Count(count)),
                    _ => Err(E::custom(ShareError)),
                }
            }
            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Share, E> {
                self.visit_u64(u64::try_from(count).map_err(|_| E::custom(ShareError))?)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_parts_of_all_places() {
        let upto = |text: &str| text.parse::<Share>().unwrap().upto(&[]);
        assert_eq!(upto("100%"), Some(u32::MAX));
        assert_eq!(upto("50%"), Some(u32::MAX / 2));
        assert_eq!(upto("0.001%"), Some(42949));
        for wrong in ["0%", "101%", "%", "-1%", "1.2345%", "0", "", "x"] {
            assert_eq!(wrong.parse::<Share>(), Err(ShareError), "{wrong}");
        }
        for text in ["1%", "0.5%", "99.999%", "12", "100%"] {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_count_ends_at_the_place_of_that_robot() {
        let places = [10, 20, 30];
        assert_eq!(Share::Count(2).upto(&places), Some(20));
        assert_eq!(Share::Count(9).upto(&places), Some(30));
        assert_eq!(Share::Count(1).upto(&[]), None);
    }
}
