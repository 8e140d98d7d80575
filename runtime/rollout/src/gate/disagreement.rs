//! Disagreement: inputs on which the new version, in the shadow, answered otherwise than the old one, or not at all.

use super::{Gates, Measure, surely};
use crate::tally::Tally;

pub(super) fn measure(gates: &Gates, tally: &Tally) -> Option<Measure> {
    let shadow = &tally.shadow;
    let all = shadow.compared.saturating_add(shadow.failures);
    if all == 0 {
        return None;
    }
    let differ = shadow.disagreed.saturating_add(shadow.failures);
    Some(Measure {
        value: differ as f64 / all as f64,
        sure: surely(differ, all),
        samples: all,
        enough: all >= gates.min_inferences,
    })
}
