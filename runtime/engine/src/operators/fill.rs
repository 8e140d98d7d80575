//! One value everywhere.

use crate::memory::Operands;
use sanderling_plan::step::Fill;

pub(super) fn run(p: &Fill, operands: Operands<'_>) -> Option<()> {
    operands.output.fill(p.value as u8);
    Some(())
}
