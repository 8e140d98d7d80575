//! Connections to the broker that failed, or ended soon after they stood: when to try again, and what is worth a line.
//!
//! That a broker accepts a connection is no success yet. Two coordinators with one client id throw each other out, each
//! time after a good connection: so waits begin anew only after one that stood for a while.

use std::fmt::Display;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A connection that stood for so long was a success; after a shorter one the waits go on growing.
const STEADY: Duration = Duration::from_secs(10);
/// After so many connections that ended soon after they stood, somebody else is thought to end them.
const SUSPICIOUS: u32 = 3;
/// After so many attempts, some seconds, an outage is long enough to be mentioned again.
const LONG: u32 = 8;

/// What became of the connections since the last success.
#[derive(Clone, Copy, Debug, Default)]
pub struct Failures {
    in_a_row: u32,
    /// Of these, connections that stood: the broker was there, and something ended them.
    stood: u32,
    taken_over: bool,
    /// Since when the present connection stands.
    stands_since: Option<Instant>,
}

impl Failures {
    /// The connection stands; true where that is worth a line.
    pub fn stands(&mut self) -> bool {
        self.stands_since = Some(Instant::now());
        self.is_worth_a_line()
    }

    /// The connection ended, or did not come about; `taken_over` where the broker gave its client id to another. True
    /// where that is worth a line.
    pub fn another(&mut self, taken_over: bool) -> bool {
        let stood = self.stands_since.take();
        if stood.is_some_and(|since| since.elapsed() >= STEADY) {
            *self = Failures::default();
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.stood += u32::from(stood.is_some());
        self.taken_over = taken_over;
        self.is_worth_a_line() || (stood.is_some() && self.stood == SUSPICIOUS)
    }

    /// One line for each outage, and for each doubling of a long one, not one for each attempt.
    fn is_worth_a_line(&self) -> bool {
        self.in_a_row <= 1 || (self.in_a_row >= LONG && self.in_a_row.is_power_of_two())
    }

    /// Why there is no connection; `why` is what the last one ended with, `client` the client id.
    pub fn why(&self, why: &dyn Display, client: &str) -> String {
        if self.taken_over {
            return format!(
                "another client connected as {client}: a second coordinator for this fleet? Stop one, or give it another \
                 --fleet"
            );
        }
        if self.stood >= SUSPICIOUS {
            return format!(
                "{why}, soon after it stood, {} times: a second coordinator as {client} does that; stop one, or give it \
                 another --fleet. The broker's log names other causes",
                self.stood
            );
        }
        why.to_string()
    }

    /// How long to wait for the next attempt: from 0.1 s doubling to 5 s, less up to half, so that clients of a broker
    /// that restarted do not all come at once.
    pub fn pause(&self) -> Duration {
        let doublings = self.in_a_row.saturating_sub(1).min(6);
        let full = Duration::from_millis(100 << doublings).min(Duration::from_secs(5));
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.subsec_nanos());
        full - full.mul_f64(f64::from(nanos % 1000) / 2000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_ends_soon_after_it_stood_is_a_failure() {
        let mut failures = Failures::default();
        let mut lines = 0;
        for _ in 0..40 {
            failures.stands();
            lines += u32::from(failures.another(false));
        }
        assert!(failures.pause() >= Duration::from_millis(2500));
        assert!(lines <= 8, "{lines}");
        let why = failures.why(&"closed", "sanderling-coordinator-main");
        assert!(why.contains("second coordinator"), "{why}");
        assert!(why.contains("sanderling-coordinator-main"), "{why}");
    }

    #[test]
    fn a_short_outage_is_one_line_and_a_long_one_a_line_for_each_doubling() {
        let mut failures = Failures::default();
        assert!(failures.another(false));
        let lines = (0..62).filter(|_| failures.another(false)).count();
        assert_eq!(lines, 3);
        assert_eq!(failures.why(&"refused", "c"), "refused");
        assert!(failures.another(true));
        assert!(failures.why(&"refused", "c").contains("another client"));
    }
}
