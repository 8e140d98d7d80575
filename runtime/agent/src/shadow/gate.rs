//! How much of the robot's time a candidate may take: pure.

use std::time::{Duration, Instant};

/// Lets a candidate begin only where its share of the time allows it.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    percent: u32,
    closed_until: Option<Instant>,
}

impl Gate {
    /// A gate that gives the candidate at most this share of one processor's time, 1 to 100 percent.
    pub fn new(percent: u32) -> Gate {
        Gate {
            percent: percent.clamp(1, 100),
            closed_until: None,
        }
    }

    /// Whether the candidate may begin now. Never while frames wait for the model that acts.
    pub fn is_open(&self, now: Instant, frames_wait: bool) -> bool {
        !frames_wait && self.closed_until.is_none_or(|until| until <= now)
    }

    /// Says that the candidate ran until `ended` and took so long: it rests until its share is right again.
    pub fn ran(&mut self, ended: Instant, took: Duration) {
        let rest = took.saturating_mul(100 - self.percent) / self.percent;
        self.closed_until = ended.checked_add(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_holds_over_any_time() {
        let start = Instant::now();
        for percent in [1, 10, 25, 50, 100] {
            let mut gate = Gate::new(percent);
            let (mut now, mut busy) = (start, Duration::ZERO);
            // A frame every millisecond, and a candidate that needs three of them.
            while now < start + Duration::from_secs(10) {
                if gate.is_open(now, false) {
                    let took = Duration::from_millis(3);
                    busy += took;
                    gate.ran(now + took, took);
                    now += took;
                }
                now += Duration::from_millis(1);
            }
            let share = busy.as_secs_f64() / (now - start).as_secs_f64();
            assert!(
                share <= f64::from(percent) / 100.0 + 0.001,
                "{share} of {percent} %"
            );
            assert!(share > f64::from(percent) / 200.0, "{share} of {percent} %");
        }
    }

    #[test]
    fn frames_that_wait_come_first() {
        let gate = Gate::new(100);
        assert!(!gate.is_open(Instant::now(), true));
        assert!(gate.is_open(Instant::now(), false));
    }
}
