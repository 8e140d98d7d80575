//! A 256-entry table from byte to byte.

use super::check::{Check, require};
use super::word::parameters;
use crate::StepFault;

parameters! {
    /// Parameters of a table lookup: `y = table[x as u8]`, on bytes of either signedness.
    ///
    /// Every elementwise map from one quantized tensor to another is one of these:
    /// requantization, activations, and the change between `u8` and `i8`.
    pub struct Lookup {
        /// Offset of 256 bytes.
        pub table: u32,
    }
}

impl Lookup {
    /// Entries of a table.
    pub const ENTRIES: usize = 256;

    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.inputs_of::<1>()?;
        require(
            x.dtype.bytes() == 1 && check.output.dtype.bytes() == 1,
            StepFault::Dtype,
        )?;
        require(x.bytes == check.output.bytes, StepFault::Shape)?;
        check.constant(self.table, Self::ENTRIES).map(|_| ())
    }
}
