//! How long to wait before the next connection, and whether the last one was a success.
//!
//! That a broker accepts a connection proves little: it may refuse the subscriptions, close at once, or give the name to
//! another client. A connection has *proved itself* once the subscriptions stand and a message was confirmed; it is
//! *steady* once it has lasted or carried much. Only a steady one lets the waits begin anew. Where another client has
//! the same name, each connection ends the other's: then both take long turns, so that the results of both arrive.

use std::time::{Duration, Instant};

use crate::update::backoff;

const RECONNECT: Duration = Duration::from_millis(500);
const RECONNECT_MAX: Duration = Duration::from_secs(30);
/// A connection that proved itself waits at most as if so many before it had failed.
const PROVED_MAX: u32 = 4;
/// A connection is steady after so long, or after so many confirmed messages.
const STEADY: Duration = Duration::from_secs(10);
const STEADY_MESSAGES: u64 = 32;
/// How long another client of the same name is left its turn, at first and at most.
const TURN: Duration = Duration::from_secs(10);
const TURN_MAX: Duration = Duration::from_secs(120);
/// Without another client for so long there is none any more.
const ALONE: Duration = Duration::from_secs(300);

/// What was learned from the connections so far.
#[derive(Clone, Debug, Default)]
pub struct Steady {
    attempt: u32,
    turns: u32,
    proved: Option<Instant>,
    messages: u64,
    told: bool,
    rival: bool,
}

impl Steady {
    /// A connection begins.
    pub fn begins(&mut self) {
        self.proved = None;
        self.messages = 0;
        self.told = false;
        self.rival = false;
    }

    /// Looks at the connection; true at the moment at which it has proved itself.
    pub fn look(&mut self, subscribed: bool, confirmed: u64, now: Instant) -> bool {
        self.messages = confirmed;
        let proves = self.proved.is_none() && subscribed && confirmed > 0;
        if proves {
            self.proved = Some(now);
        }
        proves
    }

    fn is_steady(&self, now: Instant) -> bool {
        self.proved.is_some_and(|since| {
            self.messages >= STEADY_MESSAGES || now.saturating_duration_since(since) >= STEADY
        })
    }

    /// True once for each connection: when it has become steady, and no other client has the same name.
    pub fn became_steady(&mut self, now: Instant) -> bool {
        let became = !self.told && !self.rival && self.turns == 0 && self.is_steady(now);
        self.told |= became;
        became
    }

    /// Another client has the same name.
    pub fn meets_rival(&mut self) {
        self.rival = true;
    }

    /// The connection ended, or never came about: how long to wait for the next one. `roll` is from 0 to 1.
    pub fn ended(&mut self, now: Instant, roll: f64) -> Duration {
        let lasted = self
            .proved
            .map(|since| now.saturating_duration_since(since));
        if self.rival {
            let wait = backoff::wait(self.turns, TURN, TURN_MAX, roll);
            self.turns = self.turns.saturating_add(1);
            return wait;
        }
        if lasted.is_some_and(|lasted| lasted >= ALONE) {
            self.turns = 0;
        }
        if self.is_steady(now) {
            self.attempt = 0;
        } else if lasted.is_some() {
            self.attempt = self.attempt.min(PROVED_MAX);
        }
        let wait = backoff::wait(self.attempt, RECONNECT, RECONNECT_MAX, roll);
        self.attempt = self.attempt.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connections in a minute, where each lasts `lasts` and ends as `end` says.
    fn in_a_minute(lasts: Duration, end: impl Fn(&mut Steady, Instant)) -> u32 {
        let began = Instant::now();
        let (mut steady, mut now, mut connections) = (Steady::default(), began, 0);
        while now < began + Duration::from_secs(60) {
            steady.begins();
            connections += 1;
            end(&mut steady, now);
            now += lasts;
            now += steady.ended(now, 0.5);
        }
        connections
    }

    #[test]
    fn a_broker_that_accepts_and_closes_is_left_alone_more_and_more() {
        let closes = |_: &mut Steady, _| {};
        assert!(in_a_minute(Duration::ZERO, closes) <= 8);
        // Nor does a subscription without a confirmed message count, or the reverse.
        for (subscribed, confirmed) in [(true, 0), (false, 3)] {
            let half = |steady: &mut Steady, now| {
                assert!(!steady.look(subscribed, confirmed, now));
            };
            assert!(in_a_minute(Duration::from_millis(100), half) <= 8);
        }
    }

    #[test]
    fn a_network_that_drops_good_connections_is_tried_again_soon() {
        let works = |steady: &mut Steady, now| {
            assert!(steady.look(true, 1, now));
            assert!(!steady.look(true, 200, now));
        };
        assert!(in_a_minute(Duration::from_millis(600), works) >= 50);
        let short = |steady: &mut Steady, now| assert!(steady.look(true, 1, now));
        let count = in_a_minute(Duration::from_millis(600), short);
        assert!((8..20).contains(&count), "{count}");
    }

    #[test]
    fn two_of_one_name_take_long_turns() {
        let rival = |steady: &mut Steady, now| {
            steady.look(true, 100, now);
            steady.meets_rival();
        };
        assert!(in_a_minute(Duration::from_secs(5), rival) <= 4);
    }
}
