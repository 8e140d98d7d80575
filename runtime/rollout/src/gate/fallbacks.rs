//! Trial fallbacks: robots that served with the new version on trial and took it back.

use super::{Gates, Measure, among_robots};
use crate::tally::Tally;

pub(super) fn measure(gates: &Gates, tally: &Tally) -> Option<Measure> {
    among_robots(gates, tally, |cohort| cohort.fell_back)
}
