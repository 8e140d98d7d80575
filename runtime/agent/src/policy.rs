//! When this robot may be updated: conditions that its owner sets, and what the robot says about itself. Pure, but for
//! the rules of a time zone, which are looked up when a condition is read.
//!
//! A condition about which nothing is known does not hold. Conditions come as words, `docked=true battery=0.8
//! mission=false`, from a program on the robot (`sanderling-agent tell`) or on the robot's own MQTT topic `condition`.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The robot stands in its dock.
    Docked,
    /// Its battery holds more than this part of its capacity, 0 to 1.
    Battery(f32),
    /// It is not on a mission.
    NoMission,
    /// It is a time of day within a window.
    Between(Window),
}

/// A part of each day, by the clocks of one place: it moves with them when daylight saving begins and ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Its first minute.
    from: u16,
    /// The minute after its last one; it may be after midnight.
    to: u16,
    /// The place's name, as it was written; none: UTC.
    zone: Option<(String, TimeZone)>,
}

impl Window {
    /// True at `now_s`, in seconds since 1970; none where no clock shows that time.
    fn holds(&self, now_s: u64) -> Option<bool> {
        let now_s = i64::try_from(now_s).ok()?;
        let ahead = match &self.zone {
            Some((_, zone)) => {
                let now = Timestamp::from_second(now_s).ok()?;
                i64::from(zone.to_offset(now).seconds())
            }
            None => 0,
        };
        let minute = now_s.checked_add(ahead)?.div_euclid(60);
        let minute = u16::try_from(minute.rem_euclid(i64::from(DAY))).ok()?;
        Some(match self.from < self.to {
            true => (self.from..self.to).contains(&minute),
            false => minute >= self.from || minute < self.to,
        })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window { from, to, zone } = self;
        let (h, m) = (from / 60, from % 60);
        write!(f, "{h:02}:{m:02}-{:02}:{:02}", to / 60, to % 60)?;
        match zone {
            Some((name, _)) => write!(f, " {name}"),
            None => Ok(()),
        }
    }
}

/// A condition that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// It is none.
    #[error(
        "{0:?} is no condition; write docked, battery>0.5, no-mission, or a time of day like 01:00-05:00 (in UTC) or 01:00-05:00 Europe/Berlin"
    )]
    Unknown(String),
    /// This system does not know the place's clocks.
    #[error(
        "{zone:?} is no time zone that this robot knows; write one like Europe/Berlin (and install tzdata), local for the system's own, or a rule like CET-1CEST,M3.5.0,M10.5.0/3 (in the configuration file)"
    )]
    Zone {
        /// What was written.
        zone: String,
    },
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Condition, ConditionError> {
        let wrong = || ConditionError::Unknown(text.to_owned());
        match text.trim() {
            "docked" => return Ok(Condition::Docked),
            "no-mission" => return Ok(Condition::NoMission),
            _ => {}
        }
        if let Some(level) = text.trim().strip_prefix("battery>") {
            let level: f32 = level.trim().parse().map_err(|_| wrong())?;
            return match (0.0..1.0).contains(&level) {
                true => Ok(Condition::Battery(level)),
                false => Err(wrong()),
            };
        }
        let (window, zone) = match text.trim().split_once(char::is_whitespace) {
            Some((window, zone)) => (window, Some(zone.trim())),
            None => (text.trim(), None),
        };
        let (from, to) = window.split_once('-').ok_or_else(wrong)?;
        match (minute(from), minute(to)) {
            (Some(from), Some(to)) if from != to => Ok(Condition::Between(Window {
                from,
                to,
                zone: zone.map(clocks_of).transpose()?.flatten(),
            })),
            _ => Err(wrong()),
        }
    }
}

/// The rules of a place's clocks; none: UTC.
fn clocks_of(zone: &str) -> Result<Option<(String, TimeZone)>, ConditionError> {
    let found = match zone {
        "UTC" => return Ok(None),
        "local" => TimeZone::try_system(),
        // A rule in the form of POSIX has the winter's and the summer's offsets in it; no name of a place has digits first.
        rule if rule.contains(',') => TimeZone::posix(rule),
        name => TimeZone::get(name),
    };
    match found {
        Ok(clocks) => Ok(Some((zone.to_owned(), clocks))),
        Err(_) => Err(ConditionError::Zone {
            zone: zone.to_owned(),
        }),
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Docked => f.write_str("docked"),
            Condition::Battery(level) => write!(f, "battery>{level}"),
            Condition::NoMission => f.write_str("no-mission"),
            Condition::Between(window) => write!(f, "{window}"),
        }
    }
}

/// The minute of the day that `text` (`01:30`) names.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// What the robot says about itself; none: it has not said it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Facts {
    /// Whether it stands in its dock.
    pub docked: Option<bool>,
    /// How full its battery is, 0 to 1.
    pub battery: Option<f32>,
    /// Whether it is on a mission.
    pub mission: Option<bool>,
}

/// Words that were told and cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} says nothing about this robot; write docked=true, battery=0.8, mission=false, or reward=0.5"
)]
pub struct ToldError(String);

/// What was told: facts, and rewards in thousandths.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// The facts that were named.
    pub facts: Facts,
    /// Rewards for the model that serves.
    pub rewards: Vec<i64>,
}

impl FromStr for Told {
    type Err = ToldError;

    fn from_str(text: &str) -> Result<Told, ToldError> {
        let mut told = Told::default();
        for word in text.split_whitespace() {
            let wrong = || ToldError(word.chars().take(64).collect());
            let (key, value) = word.split_once('=').ok_or_else(wrong)?;
            let is = || value.parse::<bool>().map_err(|_| wrong());
            let number = || {
                let number: f64 = value.parse().map_err(|_| wrong())?;
                number.is_finite().then_some(number).ok_or_else(wrong)
            };
            match key {
                "docked" => told.facts.docked = Some(is()?),
                "mission" => told.facts.mission = Some(is()?),
                "battery" => {
                    let level = number()?;
                    if !(0.0..=1.0).contains(&level) {
                        return Err(wrong());
                    }
                    told.facts.battery = Some(level as f32);
                }
                "reward" => told.rewards.push((number()? * 1000.0).round() as i64),
                _ => return Err(wrong()),
            }
        }
        Ok(told)
    }
}

impl Facts {
    /// Takes over what `newer` says.
    pub fn learn(&mut self, newer: &Facts) {
        self.docked = newer.docked.or(self.docked);
        self.battery = newer.battery.or(self.battery);
        self.mission = newer.mission.or(self.mission);
    }
}

/// Why an update has to wait, in words that name the condition and what is known; none where every condition holds.
/// `now_s` is the time in seconds since 1970, none where the robot's clock was never set.
pub fn held(conditions: &[Condition], facts: &Facts, now_s: Option<u64>) -> Option<String> {
    conditions
        .iter()
        .find_map(|condition| why_not(condition, facts, now_s))
}

fn why_not(condition: &Condition, facts: &Facts, now_s: Option<u64>) -> Option<String> {
    let unknown = |what: &str| {
        Some(format!(
            "held until {condition}: the robot has not said {what}"
        ))
    };
    match condition {
        Condition::Docked => match facts.docked {
            Some(true) => None,
            Some(false) => Some(format!("held until {condition}")),
            None => unknown("whether it is docked"),
        },
        Condition::NoMission => match facts.mission {
            Some(false) => None,
            Some(true) => Some(format!("held until {condition}: the robot is on a mission")),
            None => unknown("whether it is on a mission"),
        },
        Condition::Battery(level) => match facts.battery {
            Some(battery) if battery > *level => None,
            Some(battery) => Some(format!(
                // In tenths: a level that moves is not worth a message each time.
                "held until {condition}: it is about {battery:.1}"
            )),
            None => unknown("how full its battery is"),
        },
        Condition::Between(window) => {
            let utc = if window.zone.is_none() { " UTC" } else { "" };
            match now_s.and_then(|now_s| window.holds(now_s)) {
                Some(true) => None,
                Some(false) => Some(format!("held until {condition}{utc}")),
                None => Some(format!(
                    "held until {condition}{utc}: this robot's clock is not set"
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(text: &str) -> Vec<Condition> {
        text.split(',')
            .map(|word| word.parse().expect("a condition"))
            .collect()
    }

    fn facts(text: &str) -> Facts {
        text.parse::<Told>().expect("facts").facts
    }

    #[test]
    fn conditions_are_read_and_written() {
        for text in [
            "docked",
            "battery>0.5",
            "no-mission",
            "22:30-05:00",
            "22:30-05:00 CET-1CEST,M3.5.0,M10.5.0/3",
        ] {
            let condition: Condition = text.parse().expect("a condition");
            assert_eq!(condition.to_string(), text);
        }
        for text in [
            "",
            "dock",
            "battery>1",
            "battery>-0.1",
            "battery>x",
            "battery",
            "25:00-01:00",
            "01:00-01:00",
            "01:60-02:00",
            "1-2",
        ] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_unknown_does_not_hold() {
        for text in ["docked", "battery>0.5", "no-mission", "01:00-05:00"] {
            let why = held(&conditions(text), &Facts::default(), None);
            assert!(why.is_some_and(|why| why.contains(text)), "{text}");
        }
        assert_eq!(held(&[], &Facts::default(), None), None);
    }

    #[test]
    fn every_condition_must_hold() {
        let all = conditions("docked,battery>0.5,no-mission");
        let good = "docked=true battery=0.6 mission=false";
        assert_eq!(held(&all, &facts(good), None), None);
        for (bad, named) in [
            ("docked=false battery=0.6 mission=false", "docked"),
            ("docked=true battery=0.5 mission=false", "battery>0.5"),
            ("docked=true battery=0.6 mission=true", "no-mission"),
            ("docked=true battery=0.6", "no-mission"),
        ] {
            let why = held(&all, &facts(bad), None).expect("it does not hold");
            assert!(why.contains(named), "{why}");
        }
    }

    #[test]
    fn a_window_may_reach_over_midnight() {
        let at = |text, hour: u64| {
            held(
                &conditions(text),
                &Facts::default(),
                Some(86_400 * 20_000 + hour * 3600),
            )
        };
        assert_eq!(at("01:00-05:00", 1), None);
        assert!(at("01:00-05:00", 5).is_some_and(|why| why.contains("01:00-05:00")));
        for (hour, inside) in [(21, false), (22, true), (23, true), (0, true), (5, false)] {
            assert_eq!(at("22:00-05:00", hour).is_none(), inside, "{hour}");
        }
    }

    /// The clocks of Berlin go forward on 2026-03-29 at 01:00 UTC, and back on 2026-10-25 at 01:00 UTC.
    #[test]
    fn a_window_holds_by_the_clocks_of_its_place_in_summer_and_winter() {
        let window: Condition = "01:00-05:00 CET-1CEST,M3.5.0,M10.5.0/3"
            .parse()
            .expect("a rule needs no database");
        let open = |text: &str| {
            let now: Timestamp = text.parse().expect("a time");
            let now_s = u64::try_from(now.as_second()).ok();
            held(std::slice::from_ref(&window), &Facts::default(), now_s).is_none()
        };
        for (time, inside) in [
            ("2026-01-15T23:59:00Z", false),
            ("2026-01-15T00:00:00Z", true),
            ("2026-01-15T03:59:00Z", true),
            ("2026-01-15T04:00:00Z", false),
            ("2026-07-15T22:59:00Z", false),
            ("2026-07-15T23:00:00Z", true),
            ("2026-07-15T02:59:00Z", true),
            ("2026-07-15T03:00:00Z", false),
            // The night in which an hour is left out, and the one in which it comes twice.
            ("2026-03-29T00:00:00Z", true),
            ("2026-03-29T02:59:00Z", true),
            ("2026-03-29T03:00:00Z", false),
            ("2026-10-24T23:00:00Z", true),
            ("2026-10-25T03:59:00Z", true),
            ("2026-10-25T04:00:00Z", false),
        ] {
            assert_eq!(open(time), inside, "{time}");
        }
    }

    #[test]
    fn a_place_that_is_not_known_is_named() {
        let error = "01:00-05:00 Mars/Olympus".parse::<Condition>().unwrap_err();
        assert!(error.to_string().contains("Mars/Olympus"), "{error}");
        let utc: Condition = "01:00-05:00 UTC".parse().expect("needs no database");
        assert_eq!(utc, "01:00-05:00".parse().expect("the same"));
    }

    #[test]
    fn what_is_told_adds_to_what_is_known() {
        let mut known = facts("docked=true battery=0.4");
        known.learn(&facts("battery=0.9 mission=false"));
        assert_eq!(known, facts("docked=true battery=0.9 mission=false"));
        let told: Told = "reward=0.5 reward=-1 docked=true"
            .parse()
            .expect("two rewards");
        assert_eq!(told.rewards, [500, -1000]);
        for wrong in [
            "docked",
            "docked=yes",
            "battery=1.5",
            "battery=NaN",
            "reward=inf",
            "speed=3",
        ] {
            assert!(wrong.parse::<Told>().is_err(), "{wrong}");
        }
    }
}
