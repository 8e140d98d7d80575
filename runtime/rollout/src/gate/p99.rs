//! Latency: the new version's 99th percentile as a multiple of the old one's.
//!
//! Robots that reported both are compared with themselves, and the median of their ratios counts; boards differ too
//! much for anything else. Where none did, the medians of the two groups of robots are compared, if both are large
//! enough to be mixed.

use super::{Gates, Measure};
use crate::tally::Tally;

pub(super) fn measure(gates: &Gates, tally: &Tally) -> Option<Measure> {
    let few = u64::from(gates.min_robots);
    let mut ratios = tally.p99_ratios.clone();
    if let Some(value) = median(&mut ratios) {
        let samples = ratios.len() as u64;
        let enough = samples >= few.min(tally.zone.online.max(1));
        return Some(Measure {
            value,
            sure: value,
            samples,
            enough,
        });
    }
    let (mut new, mut old) = (tally.p99_new.clone(), tally.p99_old.clone());
    let samples = new.len().min(old.len()) as u64;
    if samples < few {
        return None;
    }
    let value = median(&mut new)? / median(&mut old)?;
    Some(Measure {
        value,
        sure: value,
        samples,
        enough: true,
    })
}

/// The lower median.
fn median(values: &mut [f64]) -> Option<f64> {
    let at = values.len().checked_sub(1)? / 2;
    let (_, value, _) = values.select_nth_unstable_by(at, f64::total_cmp);
    Some(*value)
}
