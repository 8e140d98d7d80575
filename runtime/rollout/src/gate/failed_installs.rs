//! Failed installs: robots on which the new version never served.

use super::{Gates, Measure, among_robots};
use crate::tally::Tally;

pub(super) fn measure(gates: &Gates, tally: &Tally) -> Option<Measure> {
    let part = |c: &crate::tally::Cohort| (c.failed, c.settled, c.online);
    among_robots(gates, [part(&tally.stage), part(&tally.zone)])
}
