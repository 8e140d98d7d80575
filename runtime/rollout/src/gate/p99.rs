//! Latency: the new version's 99th percentile as a multiple of the old one's.
//!
//! Robots that reported both are compared with themselves, and the median of their ratios counts; boards differ too
//! much for anything else. Where none did, the medians of the two groups of robots are compared.

use super::{Gates, Measure};
use crate::tally::Tally;

pub(super) fn measure(gates: &Gates, tally: &Tally) -> Option<Measure> {
    let mut ratios = tally.p99_ratios.clone();
    let (value, samples) = match median(&mut ratios) {
        Some(ratio) => (ratio, ratios.len()),
        None => {
            let (mut new, mut old) = (tally.p99_new.clone(), tally.p99_old.clone());
            (
                median(&mut new)? / median(&mut old)?,
                new.len().min(old.len()),
            )
        }
    };
    let samples = samples as u64;
    let there = tally.zone.online.max(1);
    Some(Measure {
        value,
        sure: value,
        samples,
        enough: samples >= u64::from(gates.min_robots).min(there),
    })
}

/// The lower median.
fn median(values: &mut [f64]) -> Option<f64> {
    let at = values.len().checked_sub(1)? / 2;
    let (_, value, _) = values.select_nth_unstable_by(at, f64::total_cmp);
    Some(*value)
}
