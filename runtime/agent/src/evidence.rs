//! What is seen of a release while it serves: sums since it began to run here, so that a report that is lost costs
//! nothing. Without a clock, a thread, or a message of its own.

use std::time::Duration;

use crate::answer::Said;
use crate::latency::{Latencies, Quantiles, between};

/// Bins of the histogram of classes; classes beyond share the last one.
pub const CLASSES: usize = 16;

/// The sums about one release.
#[derive(Debug)]
pub struct Evidence {
    release: Option<[u8; 32]>,
    /// Below this, an answer counts as one of low confidence.
    threshold: f32,
    inferences: u64,
    failures: u64,
    low_confidence: u64,
    classes: [u64; CLASSES],
    /// How many bins are in use; 0 where answers are no classes.
    bins: usize,
    times: Latencies,
    rewards: u64,
    reward_milli: i64,
    /// The release before, and its times: what a new one is compared with.
    before: Option<([u8; 32], Quantiles)>,
}

/// The sums as they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// SHA-256 of the release.
    pub release: [u8; 32],
    /// Inferences that gave an answer.
    pub inferences: u64,
    /// Inferences that failed.
    pub failures: u64,
    /// Quantiles of the time that one inference took.
    pub times: Quantiles,
    /// Answers below the threshold of confidence.
    pub low_confidence: u64,
    /// How often each class was the answer, up to the highest that was; empty where answers are no classes.
    pub classes: Vec<u64>,
    /// Rewards that were reported.
    pub rewards: u64,
    /// Their sum, in thousandths.
    pub reward_milli: i64,
}

impl Default for Evidence {
    fn default() -> Evidence {
        Evidence::new(None, 0.0)
    }
}

impl Evidence {
    /// Nothing yet about a release; none where nothing serves.
    pub fn new(release: Option<[u8; 32]>, threshold: f32) -> Evidence {
        Evidence {
            release,
            threshold,
            inferences: 0,
            failures: 0,
            low_confidence: 0,
            classes: [0; CLASSES],
            bins: 0,
            times: Latencies::default(),
            rewards: 0,
            reward_milli: 0,
            before: None,
        }
    }

    /// Begins anew with another release. The threshold stays, and the times of the release before are kept.
    pub fn begin(&mut self, release: Option<[u8; 32]>) {
        let before = match self.release {
            Some(digest) if self.inferences > 0 => Some((digest, self.times())),
            _ => self.before,
        };
        *self = Evidence {
            before,
            ..Evidence::new(release, self.threshold)
        };
    }

    /// The times of the release before, where it is this one and at least `samples` inferences were seen.
    pub fn times_before(&self, release: [u8; 32], samples: u64) -> Option<Quantiles> {
        self.before
            .filter(|(digest, times)| *digest == release && times.count >= samples)
            .map(|(_, times)| times)
    }

    /// Below which confidence an answer is counted.
    pub fn set_threshold(&mut self, threshold: f32) {
        self.threshold = threshold;
    }

    /// Counts an answer and the time that the inference took.
    pub fn answered(&mut self, said: &Said, took: Duration) {
        self.inferences += 1;
        self.times.record(took);
        if let Said::Class { top, confidence } = said {
            let bin = usize::from(*top).min(CLASSES - 1);
            if let Some(count) = self.classes.get_mut(bin) {
                *count += 1;
            }
            self.bins = self.bins.max(bin + 1);
            self.low_confidence += u64::from(*confidence < self.threshold);
        }
    }

    /// Counts an inference that failed.
    pub fn failed(&mut self) {
        self.failures += 1;
    }

    /// Counts a reward, in thousandths. What does not fit any more stops at the bound.
    pub fn rewarded(&mut self, milli: i64) {
        self.rewards += 1;
        self.reward_milli = self.reward_milli.saturating_add(milli);
    }

    /// The sums so far; none where nothing serves.
    pub fn summary(&self) -> Option<Summary> {
        Some(Summary {
            release: self.release?,
            inferences: self.inferences,
            failures: self.failures,
            times: self.times(),
            low_confidence: self.low_confidence,
            classes: self
                .classes
                .get(..self.bins)
                .map(<[u64]>::to_vec)
                .unwrap_or_default(),
            rewards: self.rewards,
            reward_milli: self.reward_milli,
        })
    }

    /// Quantiles of the inferences' time.
    pub fn times(&self) -> Quantiles {
        between(&[], &self.times.counts())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(top: u16, confidence: f32) -> Said {
        Said::Class { top, confidence }
    }

    #[test]
    fn sums_of_a_release() {
        let mut evidence = Evidence::new(Some([1; 32]), 0.5);
        for (top, confidence) in [(0, 0.9), (2, 0.4), (2, 0.5), (15, 0.1), (40, 0.9)] {
            evidence.answered(&class(top, confidence), Duration::from_micros(100));
        }
        evidence.failed();
        for milli in [250, -1000] {
            evidence.rewarded(milli);
        }
        let summary = evidence.summary().expect("something serves");
        assert_eq!(
            (summary.inferences, summary.failures, summary.low_confidence),
            (5, 1, 2)
        );
        assert_eq!((summary.rewards, summary.reward_milli), (2, -750));
        assert_eq!(summary.classes.len(), CLASSES);
        assert_eq!(
            (summary.classes[0], summary.classes[2], summary.classes[15]),
            (1, 2, 2)
        );
        assert!((100..=107).contains(&summary.times.p99_us), "{summary:?}");
    }

    #[test]
    fn the_histogram_is_as_long_as_it_must_be() {
        let mut evidence = Evidence::new(Some([1; 32]), 0.5);
        assert_eq!(
            evidence.summary().expect("it serves").classes,
            Vec::<u64>::new()
        );
        evidence.answered(&class(3, 1.0), Duration::ZERO);
        assert_eq!(evidence.summary().expect("it serves").classes, [0, 0, 0, 1]);
    }

    #[test]
    fn another_release_begins_at_nothing() {
        let mut evidence = Evidence::new(Some([1; 32]), 0.5);
        evidence.answered(&class(1, 0.1), Duration::from_secs(1));
        evidence.rewarded(i64::MAX);
        evidence.rewarded(1);
        assert_eq!(
            evidence.summary().map(|summary| summary.reward_milli),
            Some(i64::MAX)
        );
        evidence.begin(Some([2; 32]));
        evidence.answered(&class(1, 0.1), Duration::ZERO);
        let summary = evidence.summary().expect("it serves");
        assert_eq!(
            (
                summary.inferences,
                summary.low_confidence,
                summary.times.p99_us,
                summary.rewards
            ),
            (1, 1, 0, 0)
        );
        // What came before is what the new one is compared with, if it is that model and was seen often enough.
        assert!(
            evidence
                .times_before([1; 32], 1)
                .is_some_and(|times| times.p99_us >= 1_000_000)
        );
        assert_eq!(evidence.times_before([1; 32], 2), None);
        assert_eq!(evidence.times_before([3; 32], 1), None);
        evidence.begin(None);
        assert_eq!(evidence.summary(), None);
    }
}
