//! Low confidence: by how much the part of answers below the robots' confidence limit grew.

use super::{Gates, Measure, surely};
use crate::tally::Tally;

pub(super) fn measure(gates: &Gates, tally: &Tally) -> Option<Measure> {
    let (old, new) = (tally.old_side(gates.min_inferences), &tally.new);
    let samples = old.inferences.min(new.inferences);
    if samples == 0 || samples < gates.min_inferences {
        return None;
    }
    let before = old.low_confidence as f64 / old.inferences as f64;
    Some(Measure {
        value: new.low_confidence as f64 / new.inferences as f64 - before,
        sure: surely(new.low_confidence, new.inferences) - before,
        samples,
        enough: true,
    })
}
