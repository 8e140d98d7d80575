//! Whether a new version may take the old one's place: slice by slice, on one holdout.
//!
//! A slice counts where it has enough frames. It is worse when it loses more than allowed: percentage points of
//! accuracy and of IoU, percent of the old version's error. The frames all together count as a slice does.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::evaluate::{Measure, Score, Scores};

/// What a slice may lose.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    /// Percentage points of accuracy or IoU, or percent of an error.
    pub allow_worse: f64,
    /// Slices with fewer frames are shown and do not count.
    pub min_frames: u64,
}

impl Default for Rule {
    fn default() -> Rule {
        Rule {
            allow_worse: 1.0,
            min_frames: 30,
        }
    }
}

/// What came of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Better, as good, or worse by no more than allowed.
    Kept,
    /// Worse than allowed.
    Worse,
    /// It has too few frames to count.
    TooFew,
    /// The version in production is measured otherwise: its output or its kind is another.
    Incomparable,
    /// There is no version to compare with.
    First,
}

/// A slice of both versions.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Row {
    /// The slice; null: all frames.
    pub slice: Option<String>,
    /// How many frames.
    pub frames: u64,
    /// The value of the version in production.
    pub base: Option<f64>,
    /// The value of the new version.
    pub value: f64,
    /// What it gained, or lost where below 0: percentage points, or percent of the old error.
    pub gain: Option<f64>,
    /// What follows.
    pub verdict: Verdict,
}

/// Two versions on one holdout.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Comparison {
    /// The holdout's name.
    pub holdout: String,
    /// What the values are.
    pub measure: Measure,
    /// The version in production.
    pub base: Option<u32>,
    /// The new version.
    pub version: u32,
    /// What was allowed.
    pub rule: Rule,
    /// All frames first, then each slice.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// Slices that stand against the new version.
    pub fn worse(&self) -> impl Iterator<Item = &Row> {
        let against = |row: &&Row| matches!(row.verdict, Verdict::Worse | Verdict::Incomparable);
        self.rows.iter().filter(against)
    }

    /// Whether no slice has enough frames to count.
    pub fn is_void(&self) -> bool {
        self.rows
            .iter()
            .all(|row| row.frames < self.rule.min_frames)
    }
}

/// Compares a version with the one in production, where there is one.
pub fn compare(
    holdout: &str,
    base: Option<(u32, &Scores)>,
    new: (u32, &Scores),
    rule: Rule,
) -> Comparison {
    let (version, scores) = new;
    // An accuracy and an error have nothing to say to each other.
    let old = base
        .map(|(_, old)| old)
        .filter(|old| old.measure == scores.measure);
    let find = |slice: &Option<String>| {
        let old = old?;
        let all = std::iter::once(&old.all).chain(&old.slices);
        all.clone()
            .find(|score| score.slice == *slice)
            .map(|score| score.value)
    };
    let row = |score: &Score| {
        let before = find(&score.slice);
        let gain = before.map(|before| gain(scores.measure, before, score.value));
        let verdict = match gain {
            _ if score.frames < rule.min_frames => Verdict::TooFew,
            None if base.is_some() => Verdict::Incomparable,
            None => Verdict::First,
            // Both are quotients: what is equal on paper differs in the last bits.
            Some(gain) if gain < -rule.allow_worse - 1e-9 => Verdict::Worse,
            Some(_) => Verdict::Kept,
        };
        Row {
            slice: score.slice.clone(),
            frames: score.frames,
            base: before,
            value: score.value,
            gain,
            verdict,
        }
    };
    Comparison {
        holdout: holdout.to_owned(),
        measure: scores.measure,
        base: base.map(|(version, _)| version),
        version,
        rule,
        rows: std::iter::once(&scores.all)
            .chain(&scores.slices)
            .map(row)
            .collect(),
    }
}

fn gain(measure: Measure, before: f64, now: f64) -> f64 {
    match measure {
        Measure::Accuracy | Measure::MeanIou => (now - before) * 100.0,
        // From no error to any is as much worse as can be said in a number.
        Measure::MeanAbsoluteError if before == 0.0 => match now {
            0.0 => 0.0,
            _ => -1e9,
        },
        Measure::MeanAbsoluteError => (before - now) / before * 100.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(measure: Measure, slices: &[(&str, u64, f64)]) -> Scores {
        let score = |&(name, frames, value): &(&str, u64, f64)| Score {
            slice: Some(name.to_owned()),
            frames,
            value,
        };
        let frames: u64 = slices.iter().map(|s| s.1).sum();
        let sum: f64 = slices.iter().map(|s| s.1 as f64 * s.2).sum();
        Scores {
            measure,
            all: Score {
                slice: None,
                frames,
                value: sum / frames as f64,
            },
            slices: slices.iter().map(score).collect(),
        }
    }

    fn verdicts(comparison: &Comparison) -> Vec<Verdict> {
        comparison.rows.iter().map(|row| row.verdict).collect()
    }

    #[test]
    fn a_slice_that_loses_more_than_allowed_is_named_though_the_whole_gains() {
        let old = scores(
            Measure::Accuracy,
            &[("day", 100, 0.80), ("night", 100, 0.70)],
        );
        let new = scores(
            Measure::Accuracy,
            &[("day", 100, 0.95), ("night", 100, 0.68)],
        );
        let found = compare("h", Some((1, &old)), (2, &new), Rule::default());
        assert_eq!(
            verdicts(&found),
            [Verdict::Kept, Verdict::Kept, Verdict::Worse]
        );
        let worse: Vec<&Row> = found.worse().collect();
        assert_eq!(worse[0].slice.as_deref(), Some("night"));
        assert!((worse[0].gain.unwrap() + 2.0).abs() < 1e-9);
    }

    #[test]
    fn exactly_what_is_allowed_is_allowed() {
        let old = scores(Measure::Accuracy, &[("s", 100, 0.97)]);
        let new = scores(Measure::Accuracy, &[("s", 100, 0.96)]);
        let found = compare("h", Some((1, &old)), (2, &new), Rule::default());
        assert_eq!(found.worse().count(), 0);
        let rule = Rule {
            allow_worse: 0.99,
            ..Rule::default()
        };
        let found = compare("h", Some((1, &old)), (2, &new), rule);
        assert_eq!(found.worse().count(), 2);
    }

    #[test]
    fn small_slices_are_shown_and_do_not_count() {
        let old = scores(Measure::Accuracy, &[("few", 29, 1.0), ("many", 300, 0.5)]);
        let new = scores(Measure::Accuracy, &[("few", 29, 0.0), ("many", 300, 0.9)]);
        let found = compare("h", Some((1, &old)), (2, &new), Rule::default());
        assert_eq!(
            verdicts(&found),
            [Verdict::Kept, Verdict::TooFew, Verdict::Kept]
        );
        assert!(!found.is_void());
        let rule = Rule {
            min_frames: 1000,
            ..Rule::default()
        };
        assert!(compare("h", Some((1, &old)), (2, &new), rule).is_void());
    }

    #[test]
    fn errors_are_compared_by_percent_and_lower_is_better() {
        let old = scores(
            Measure::MeanAbsoluteError,
            &[("a", 50, 0.200), ("b", 50, 0.0)],
        );
        for (a, b, worse) in [(0.202, 0.0, 0), (0.203, 0.0, 2), (0.1, 0.001, 1)] {
            let new = scores(Measure::MeanAbsoluteError, &[("a", 50, a), ("b", 50, b)]);
            let found = compare("h", Some((1, &old)), (2, &new), Rule::default());
            assert_eq!(found.worse().count(), worse, "{a} {b}: {found:?}");
        }
    }

    #[test]
    fn a_first_version_is_compared_with_nothing() {
        let new = scores(Measure::Accuracy, &[("s", 100, 0.1)]);
        let found = compare("h", None, (1, &new), Rule::default());
        assert_eq!(verdicts(&found), [Verdict::First, Verdict::First]);
        // What cannot be compared was not shown to be as good.
        let old = scores(Measure::MeanIou, &[("s", 100, 0.1)]);
        let found = compare("h", Some((1, &old)), (2, &new), Rule::default());
        assert_eq!(found.worse().count(), 2);
    }
}
