//! How fast this coordinator may send models: a token bucket, so that a fleet that updates leaves room on the
//! network for results. Pure: the time is told.

use std::time::{Duration, Instant};

/// A bucket of bytes. What is sent may overdraw it by one message, and the next one waits until the debt is paid, so
/// that over any time no more than `rate × time + burst + one message` goes out.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Bytes per second; 0: no limit.
    rate: u64,
    /// The most bytes that an idle time saves up.
    burst: f64,
    /// Bytes that may go out now; below zero: a debt.
    level: f64,
    last: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: u64, burst: u64, now: Instant) -> Bucket {
        Bucket {
            rate,
            burst: burst as f64,
            level: burst as f64,
            last: now,
        }
    }

    /// How long the next message has to wait; zero where it may go now.
    pub fn wait(&mut self, now: Instant) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        let passed = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = self.last.max(now);
        self.level = (self.level + passed * self.rate as f64).min(self.burst);
        if self.level >= 0.0 {
            return Duration::ZERO;
        }
        // A millisecond is what timers can do; a shorter wait would be a busy loop.
        Duration::from_secs_f64(-self.level / self.rate as f64).max(Duration::from_millis(1))
    }

    /// Takes out what was sent.
    pub fn take(&mut self, bytes: usize) {
        if self.rate > 0 {
            self.level -= bytes as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends messages of `size` for `seconds`, as a supplier does; gives the bytes that went out.
    fn sent(rate: u64, burst: u64, size: usize, seconds: u64) -> u64 {
        let start = Instant::now();
        let (mut bucket, mut now, mut bytes) = (Bucket::new(rate, burst, start), start, 0);
        let end = start + Duration::from_secs(seconds);
        while now < end {
            match bucket.wait(now) {
                Duration::ZERO => {
                    bucket.take(size);
                    bytes += size as u64;
                }
                wait => now += wait,
            }
        }
        bytes
    }

    #[test]
    fn the_rate_holds_over_a_minute_and_is_used() {
        for (rate, burst, size) in [
            (1_000_000, 0, 32_768),
            (1_000_000, 500_000, 1024),
            (10_000, 1000, 65_536),
            (7, 0, 1),
        ] {
            let bytes = sent(rate, burst, size, 60);
            let bound = 60 * rate + burst + 2 * size as u64;
            assert!(bytes <= bound, "{bytes} of {bound}");
            assert!(
                bytes + size as u64 >= 60 * rate * 99 / 100,
                "{bytes} of {bound}"
            );
        }
    }

    #[test]
    fn idle_time_saves_up_no_more_than_the_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1000, 5000, start);
        let later = start + Duration::from_secs(3600);
        let mut bytes = 0;
        while bucket.wait(later).is_zero() {
            bucket.take(100);
            bytes += 100;
        }
        assert_eq!(bytes, 5100);
        assert_eq!(bucket.wait(later), Duration::from_millis(100));
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let start = Instant::now();
        let mut bucket = Bucket::new(0, 0, start);
        bucket.take(usize::MAX);
        assert_eq!(bucket.wait(start), Duration::ZERO);
    }
}
