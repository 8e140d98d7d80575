//! When a model on approval has proved itself: N inferences or T seconds without a failure, whichever comes first,
//! never stuck in an inference, and not slower than it may be.
//!
//! Pure: whoever serves counts and measures, [`TrialLimits::judge`] says what the figures mean.

/// How slow a model on approval may be: the 99th percentile of the time that one inference takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyLimit {
    /// Never above this, in µs; 0: no such bound.
    pub absolute_us: u32,
    /// Never above this many percent of the active model's 99th percentile; 0: no such bound. Without a model to
    /// compare with, this bound says nothing.
    pub percent: u32,
    /// What is added to the relative bound, in µs, so that a model of microseconds is not judged by the scheduler.
    pub slack_us: u32,
    /// Fewer inferences than this say nothing about a percentile, and the latency is not judged.
    pub samples: u64,
}

impl LatencyLimit {
    /// The bound in µs for a robot whose active model has this 99th percentile; none where there is no bound.
    pub fn bound(&self, active_p99_us: Option<u32>) -> Option<u32> {
        let absolute = (self.absolute_us > 0).then_some(self.absolute_us);
        let relative = active_p99_us.filter(|_| self.percent > 0).map(|active| {
            let share = u64::from(active) * u64::from(self.percent) / 100;
            u32::try_from(share + u64::from(self.slack_us)).unwrap_or(u32::MAX)
        });
        match (absolute, relative) {
            (Some(absolute), Some(relative)) => Some(absolute.min(relative)),
            (one, other) => one.or(other),
        }
    }
}

/// The limits of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialLimits {
    /// Inferences without a failure that are enough.
    pub inferences: u64,
    /// Milliseconds without a failure that are enough: a robot whose sensor is still must not wait for ever.
    pub millis: u64,
    /// Inferences that may fail before the model is sent back.
    pub failures: u64,
    /// How slow it may be.
    pub latency: LatencyLimit,
    /// Milliseconds after which an inference that has given no result is stuck, and the model is sent back; 0: never.
    pub watchdog_millis: u64,
}

/// Why a trial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// More inferences failed than may.
    Failures,
    /// An inference gave no result for so many milliseconds.
    Stuck(u64),
    /// The 99th percentile is above its bound, both in µs.
    Slow {
        /// What was measured.
        p99_us: u32,
        /// What is allowed.
        bound_us: u32,
    },
}

/// How a trial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Neither limit was reached yet.
    Undecided,
    /// Enough inferences, or enough time, and fast enough.
    Passed,
    /// The model is sent back.
    Failed(Reason),
}

impl TrialLimits {
    /// The verdict on `trial`. What speaks against the model counts more than any success.
    pub fn judge(&self, trial: &Trial) -> Verdict {
        if trial.failures > self.failures {
            return Verdict::Failed(Reason::Failures);
        }
        if self.watchdog_millis > 0 && trial.busy_millis >= self.watchdog_millis {
            return Verdict::Failed(Reason::Stuck(trial.busy_millis));
        }
        if trial.inferences < self.inferences && trial.millis < self.millis {
            return Verdict::Undecided;
        }
        // Only now: a percentile of the first few inferences, with cold caches, is no percentile.
        match self.latency.bound(trial.active_p99_us) {
            Some(bound_us)
                if trial.inferences >= self.latency.samples && trial.p99_us > bound_us =>
            {
                Verdict::Failed(Reason::Slow {
                    p99_us: trial.p99_us,
                    bound_us,
                })
            }
            _ => Verdict::Passed,
        }
    }
}

/// What was seen of a model since its trial began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// Inferences that gave a result.
    pub inferences: u64,
    /// Inferences that failed.
    pub failures: u64,
    /// Milliseconds since it began to serve.
    pub millis: u64,
    /// The 99th percentile of its inferences' time, in µs.
    pub p99_us: u32,
    /// The same of the active model, measured on this robot; none where there is no active model or no measurement.
    pub active_p99_us: Option<u32>,
    /// For how many milliseconds the inference that is running now has run; 0 between two inferences.
    pub busy_millis: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TrialLimits = TrialLimits {
        inferences: 10,
        millis: 1000,
        failures: 0,
        latency: LatencyLimit {
            absolute_us: 5000,
            percent: 200,
            slack_us: 100,
            samples: 5,
        },
        watchdog_millis: 300,
    };

    fn after(inferences: u64) -> Trial {
        Trial {
            inferences,
            ..Trial::default()
        }
    }

    #[test]
    fn passes_by_inferences_or_by_time() {
        assert_eq!(LIMITS.judge(&Trial::default()), Verdict::Undecided);
        assert_eq!(LIMITS.judge(&after(10)), Verdict::Passed);
        let still = Trial {
            millis: 1000,
            ..Trial::default()
        };
        assert_eq!(LIMITS.judge(&still), Verdict::Passed);
    }

    #[test]
    fn a_failure_outweighs_any_number_of_successes() {
        let trial = Trial {
            failures: 1,
            millis: 5000,
            ..after(1000)
        };
        assert_eq!(LIMITS.judge(&trial), Verdict::Failed(Reason::Failures));
    }

    #[test]
    fn the_stricter_of_both_latency_bounds_counts_at_the_end_of_the_trial() {
        let slow = |p99_us, active_p99_us| Trial {
            p99_us,
            active_p99_us,
            ..after(10)
        };
        let bound = |bound_us, p99_us| Verdict::Failed(Reason::Slow { p99_us, bound_us });
        // Twice the active model's 1000 µs and the slack.
        assert_eq!(LIMITS.judge(&slow(2100, Some(1000))), Verdict::Passed);
        assert_eq!(LIMITS.judge(&slow(2101, Some(1000))), bound(2100, 2101));
        // A slow active model does not lift the absolute bound, and the first model has no other.
        assert_eq!(LIMITS.judge(&slow(5001, Some(9000))), bound(5000, 5001));
        assert_eq!(LIMITS.judge(&slow(5001, None)), bound(5000, 5001));
        assert_eq!(LIMITS.judge(&slow(5000, None)), Verdict::Passed);
        // Not before the end, and not with too few inferences to speak of.
        let early = Trial {
            p99_us: 9000,
            ..after(9)
        };
        assert_eq!(LIMITS.judge(&early), Verdict::Undecided);
        let few = Trial {
            p99_us: 9000,
            millis: 1000,
            ..after(4)
        };
        assert_eq!(LIMITS.judge(&few), Verdict::Passed);
    }

    #[test]
    fn no_bound_is_no_judgement() {
        let limits = TrialLimits {
            latency: LatencyLimit::default(),
            watchdog_millis: 0,
            ..LIMITS
        };
        let trial = Trial {
            p99_us: u32::MAX,
            active_p99_us: Some(1),
            busy_millis: u64::MAX,
            ..after(10)
        };
        assert_eq!(limits.judge(&trial), Verdict::Passed);
        let huge = LatencyLimit {
            percent: u32::MAX,
            slack_us: u32::MAX,
            ..LatencyLimit::default()
        };
        assert_eq!(huge.bound(Some(u32::MAX)), Some(u32::MAX));
    }

    #[test]
    fn an_inference_without_an_end_is_a_failure_even_after_enough_good_ones() {
        let trial = |busy_millis| Trial {
            busy_millis,
            ..after(3)
        };
        assert_eq!(LIMITS.judge(&trial(299)), Verdict::Undecided);
        assert_eq!(
            LIMITS.judge(&trial(300)),
            Verdict::Failed(Reason::Stuck(300))
        );
    }
}
