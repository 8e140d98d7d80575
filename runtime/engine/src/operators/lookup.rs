//! A table from byte to byte.

use crate::memory::{Operands, Source};
use sanderling_plan::step::Lookup;

pub(super) fn run(p: &Lookup, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        constants,
        ..
    } = operands;
    let table: &[u8; Lookup::ENTRIES] = constants.array(p.table)?;
    #[cfg(target_arch = "aarch64")]
    {
        if let Source::Bytes(x) = x.source {
            crate::memory::copy(output, x);
        }
        crate::kernels::lookup(table, output);
        Some(())
    }
    #[cfg(not(target_arch = "aarch64"))]
    {
        each(table, x.source, output);
        Some(())
    }
}

#[cfg(not(target_arch = "aarch64"))]
fn each(table: &[u8; Lookup::ENTRIES], x: Source<'_>, output: &mut [u8]) {
    // A byte indexes 256 entries without a check.
    match x {
        Source::Bytes(x) => {
            for (y, &x) in output.iter_mut().zip(x) {
                *y = table[usize::from(x)];
            }
        }
        Source::Output(_) => {
            for y in output {
                *y = table[usize::from(*y)];
            }
        }
    }
}
