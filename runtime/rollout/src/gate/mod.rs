//! Gates: how much worse the new version may be, each measure in a file of its own.
//!
//! While a stage runs, a rate trips its gate as soon as it is above the limit beyond doubt: its lower confidence bound
//! (Wilson, "Probable inference, the law of succession, and statistical inference", 1927; one-sided 95 %) is. Between
//! stages the plain rate decides. So ten robots with one failure do not stop a stage of a thousand in its first
//! minute, and still no stage follows one that was worse than allowed.

mod disagreement;
mod failed_installs;
mod fallbacks;
mod low_confidence;
mod p99;
mod psi;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::policy::PolicyError;
use crate::state::Head;
use crate::tally::{Cohort, Tally};

pub use psi::psi;

/// The quantile of the normal distribution for a one-sided 95 %.
const Z: f64 = 1.644_853_627;

/// A gate's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateName {
    /// Robots on which the new version never served.
    FailedInstalls,
    /// Robots that took the new version back from its trial.
    Fallbacks,
    /// Latency.
    P99Ratio,
    /// Answers that differ from the old version's on the same input.
    Disagreement,
    /// Answers without confidence.
    LowConfidence,
    /// Shift of the distribution over classes.
    Psi,
}

impl GateName {
    /// As it stands in a policy.
    pub fn word(self) -> &'static str {
        match self {
            GateName::FailedInstalls => "failed_installs",
            GateName::Fallbacks => "fallbacks",
            GateName::P99Ratio => "p99_ratio",
            GateName::Disagreement => "disagreement",
            GateName::LowConfidence => "low_confidence",
            GateName::Psi => "psi",
        }
    }
}

/// A number, or `"off"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit(pub Option<f64>);

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(value) => serializer.serialize_f64(value),
            None => serializer.serialize_str("off"),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Limit, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Limit;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or \"off\"")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Limit, E> {
                Ok(Limit(Some(value)))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Limit, E> {
                Ok(Limit(Some(value as f64)))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Limit, E> {
                Ok(Limit(Some(value as f64)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit, E> {
                if text == "off" {
                    Ok(Limit(None))
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// The limits. Each one can be `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gates {
    /// Robots of a stage on which the new version never served, as a part of those that settled.
    pub failed_installs: Limit,
    /// Robots of a stage that took it back from its trial, as a part of those that settled.
    pub fallbacks: Limit,
    /// The new version's 99th percentile of latency as a multiple of the old one's.
    pub p99_ratio: Limit,
    /// Answers in the shadow that differ from those that acted, as a part of those compared.
    pub disagreement: Limit,
    /// By how much the part of answers without confidence may grow.
    pub low_confidence: Limit,
    /// Population stability index of the answers' classes; 0.1 is a small shift, 0.25 a large one.
    pub psi: Limit,
    /// Robots that a rate needs before it can stop a running stage; never more than the stage has.
    pub min_robots: u32,
    /// Inferences that measures over answers need, on each side.
    pub min_inferences: u64,
}

impl Default for Gates {
    fn default() -> Gates {
        Gates {
            failed_installs: Limit(Some(0.05)),
            fallbacks: Limit(Some(0.05)),
            p99_ratio: Limit(Some(1.5)),
            disagreement: Limit(Some(0.1)),
            low_confidence: Limit(Some(0.1)),
            psi: Limit(Some(0.25)),
            min_robots: 5,
            min_inferences: 500,
        }
    }
}

impl Gates {
    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        let rates = [
            ("gates.failed_installs", self.failed_installs),
            ("gates.fallbacks", self.fallbacks),
            ("gates.disagreement", self.disagreement),
            ("gates.low_confidence", self.low_confidence),
        ];
        for (field, limit) in rates {
            if limit.0.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
                return Err(PolicyError::new(
                    field,
                    "is a part of one: give 0 to 1, or \"off\"",
                ));
            }
        }
        if self
            .p99_ratio
            .0
            .is_some_and(|ratio| !(0.1..=1000.0).contains(&ratio))
        {
            let why = "is a multiple of the old version's latency: give 0.1 to 1000, or \"off\"";
            return Err(PolicyError::new("gates.p99_ratio", why));
        }
        if self.psi.0.is_some_and(|psi| !(psi > 0.0 && psi <= 100.0)) {
            return Err(PolicyError::new(
                "gates.psi",
                "must be above 0 and at most 100, or \"off\"",
            ));
        }
        if self.min_robots == 0 {
            return Err(PolicyError::new("gates.min_robots", "must be at least 1"));
        }
        Ok(())
    }
}

/// What a gate measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Which.
    pub gate: GateName,
    /// The measure.
    pub value: f64,
    /// What it may be.
    pub limit: f64,
    /// Robots or inferences that it rests on.
    pub samples: u64,
    /// The new version is worse than allowed.
    pub tripped: bool,
}

/// When a gate is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// While the stage runs.
    Running,
    /// Before the next one.
    Between,
}

/// A measure: its value, what it rests on, and whether it is `value` beyond doubt or with luck.
#[derive(Clone, Copy, Debug)]
struct Measure {
    value: f64,
    /// The lowest that the true value can reasonably be.
    sure: f64,
    samples: u64,
    /// Enough to stop a running stage.
    enough: bool,
}

/// Asks every gate that is on. One that nothing is known about says nothing.
pub fn ask(head: &Head, tally: &Tally, when: When) -> Vec<Finding> {
    let gates = &head.policy.gates;
    let asked = [
        (
            GateName::FailedInstalls,
            gates.failed_installs,
            failed_installs::measure(gates, tally),
        ),
        (
            GateName::Fallbacks,
            gates.fallbacks,
            fallbacks::measure(gates, tally),
        ),
        (
            GateName::P99Ratio,
            gates.p99_ratio,
            p99::measure(gates, tally),
        ),
        (
            GateName::Disagreement,
            gates.disagreement,
            disagreement::measure(gates, tally),
        ),
        (
            GateName::LowConfidence,
            gates.low_confidence,
            low_confidence::measure(gates, tally),
        ),
        (GateName::Psi, gates.psi, psi::measure(gates, tally)),
    ];
    let finding = |(gate, limit, measure): (GateName, Limit, Option<Measure>)| {
        let (limit, measure) = (limit.0?, measure?);
        let accepted = head.accepted.get(&gate).map(|value| *value as f64 / 1e6);
        let limit = accepted.map_or(limit, |accepted| accepted.max(limit));
        let tripped = match when {
            When::Running => measure.enough && measure.sure > limit,
            When::Between => measure.value > limit,
        };
        Some(Finding {
            gate,
            value: measure.value,
            limit,
            samples: measure.samples,
            tripped,
        })
    };
    asked.into_iter().filter_map(finding).collect()
}

/// Wilson's lower bound of a rate.
fn surely(hits: u64, of: u64) -> f64 {
    if hits == 0 || of == 0 {
        return 0.0;
    }
    let (n, p) = (of as f64, hits as f64 / of as f64);
    let z2 = Z * Z;
    let middle = p + z2 / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((middle - half) / (1.0 + z2 / n)).max(0.0)
}

/// A rate among robots: the worse of the stage's own and of all that have the new version so far. Between stages it is
/// the part of the settled ones; while a stage runs, the part of those that have begun.
fn among_robots(gates: &Gates, tally: &Tally, hits: impl Fn(&Cohort) -> u64) -> Option<Measure> {
    let mut worst: Option<Measure> = None;
    for cohort in [&tally.stage, &tally.zone] {
        if cohort.settled == 0 {
            continue;
        }
        let enough = cohort.begun >= u64::from(gates.min_robots).min(cohort.online.max(1));
        let value = hits(cohort) as f64 / cohort.settled as f64;
        let sure = if enough {
            surely(hits(cohort), cohort.begun)
        } else {
            0.0
        };
        let other = worst.get_or_insert(Measure {
            value,
            sure,
            samples: cohort.settled,
            enough,
        });
        if value > other.value {
            (other.value, other.samples) = (value, cohort.settled);
        }
        other.sure = other.sure.max(sure);
        other.enough |= enough;
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_bound_is_wilsons() {
        // Wilson's interval for 10 of 100 at 90 % two-sided: 0.0604 to 0.1611 (Newcombe 1998's method 3).
        assert!(
            (surely(10, 100) - 0.0604).abs() < 5e-4,
            "{}",
            surely(10, 100)
        );
        assert_eq!(surely(0, 10), 0.0);
        assert!(surely(2, 2) > 0.4);
    }
}
