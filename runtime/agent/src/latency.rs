//! A histogram of latencies that one thread fills and another reads, without a lock and without the heap.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Steps per doubling: a figure read back is at most 1/16 too high.
const STEPS: usize = 16;
/// Powers of two of a microsecond that are told apart: up to 2³¹ µs, over half an hour.
const POWERS: usize = 32;

/// Counts per bucket of microseconds.
#[derive(Debug)]
pub struct Latencies {
    buckets: [AtomicU32; STEPS * POWERS],
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies {
            buckets: [const { AtomicU32::new(0) }; STEPS * POWERS],
        }
    }
}

/// What was seen between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// How many were counted.
    pub count: u64,
    /// The median, in µs.
    pub p50_us: u32,
    /// The 99th percentile, in µs.
    pub p99_us: u32,
}

impl Latencies {
    /// Counts one.
    pub fn record(&self, latency: Duration) {
        self.buckets[bucket(micros(latency))].fetch_add(1, Ordering::Relaxed);
    }

    /// The counts so far.
    pub fn counts(&self) -> Vec<u32> {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .collect()
    }
}

/// The quantiles of what was counted from `before` to `now`; give an empty `before` for everything.
pub fn between(before: &[u32], now: &[u32]) -> Quantiles {
    let new =
        |index: usize| u64::from(now[index].wrapping_sub(before.get(index).copied().unwrap_or(0)));
    let count: u64 = (0..now.len()).map(new).sum();
    let at = |share: f64| {
        let rank = ((count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        (0..now.len()).find(|&index| {
            seen += new(index);
            seen >= rank
        })
    };
    Quantiles {
        count,
        p50_us: at(0.50).map_or(0, upper),
        p99_us: at(0.99).map_or(0, upper),
    }
}

/// A duration in whole microseconds, as much as fits.
pub fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// The bucket of a latency: exact below 16 µs, then 16 steps per doubling.
fn bucket(us: u32) -> usize {
    let us = us as usize;
    if us < STEPS {
        return us;
    }
    let power = us.ilog2() as usize;
    let step = (us >> (power - 4)) & (STEPS - 1);
    ((power - 3) * STEPS + step).min(STEPS * POWERS - 1)
}

/// The largest latency that falls into a bucket.
fn upper(bucket: usize) -> u32 {
    if bucket < STEPS {
        return bucket as u32;
    }
    let (power, step) = (bucket / STEPS + 3, bucket % STEPS);
    let end = (((STEPS + step + 1) as u64) << (power - 4)) - 1;
    u32::try_from(end).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_falls_into_a_bucket_that_bounds_it() {
        for us in (0..4096).chain([65_535, 65_536, 1 << 20, u32::MAX - 1, u32::MAX]) {
            let end = upper(bucket(us));
            assert!(end >= us, "{us} is above its bucket's end {end}");
            assert!(
                u64::from(end) <= u64::from(us) + u64::from(us) / 16 + 1,
                "{us} {end}"
            );
        }
    }

    #[test]
    fn quantiles_of_a_period() {
        let latencies = Latencies::default();
        latencies.record(Duration::from_secs(3));
        let before = latencies.counts();
        (1..=100).for_each(|ms| latencies.record(Duration::from_micros(ms)));
        let seen = between(&before, &latencies.counts());
        assert_eq!(seen.count, 100);
        assert!((50..=53).contains(&seen.p50_us), "{seen:?}");
        assert!((99..=106).contains(&seen.p99_us), "{seen:?}");
        assert_eq!(between(&before, &before), Quantiles::default());
    }
}
