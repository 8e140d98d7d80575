//! Failed installs: robots on which the new version never served.

use super::{Gates, Measure, among_robots};
use crate::tally::Tally;

pub(super) fn measure(gates: &Gates, tally: &Tally) -> Option<Measure> {
    among_robots(gates, tally, |cohort| cohort.failed)
}
