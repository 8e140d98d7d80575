//! When a model on approval has proved itself: N inferences or T seconds without a failure, whichever comes first.

/// The limits of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialLimits {
    /// Inferences without a failure that are enough.
    pub inferences: u64,
    /// Milliseconds without a failure that are enough: a robot whose sensor is still must not wait for ever.
    pub millis: u64,
    /// Inferences that may fail before the model is sent back.
    pub failures: u64,
}

/// How a trial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Neither limit was reached yet.
    Undecided,
    /// Enough inferences, or enough time.
    Passed,
    /// More failures than allowed.
    Failed,
}

impl TrialLimits {
    /// The verdict on `trial`. A failure beyond the allowed number counts more than any success.
    pub fn judge(&self, trial: &Trial) -> Verdict {
        if trial.failures > self.failures {
            Verdict::Failed
        } else if trial.inferences >= self.inferences || trial.millis >= self.millis {
            Verdict::Passed
        } else {
            Verdict::Undecided
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TrialLimits = TrialLimits {
        inferences: 10,
        millis: 1000,
        failures: 0,
    };

    #[test]
    fn passes_by_inferences_or_by_time() {
        assert_eq!(LIMITS.judge(&Trial::default()), Verdict::Undecided);
        assert_eq!(
            LIMITS.judge(&Trial {
                inferences: 10,
                ..Trial::default()
            }),
            Verdict::Passed
        );
        assert_eq!(
            LIMITS.judge(&Trial {
                millis: 1000,
                ..Trial::default()
            }),
            Verdict::Passed
        );
    }

    #[test]
    fn a_failure_outweighs_any_number_of_successes() {
        assert_eq!(
            LIMITS.judge(&Trial {
                inferences: 1000,
                failures: 1,
                millis: 5000
            }),
            Verdict::Failed
        );
    }
}
