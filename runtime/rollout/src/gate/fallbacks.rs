//! Trial fallbacks: robots that served with the new version on trial and took it back.

use super::{Gates, Measure, among_robots};
use crate::tally::Tally;

pub(super) fn measure(gates: &Gates, tally: &Tally) -> Option<Measure> {
    let part = |c: &crate::tally::Cohort| (c.fell_back, c.settled, c.online);
    among_robots(gates, [part(&tally.stage), part(&tally.zone)])
}
