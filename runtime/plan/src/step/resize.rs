//! Nearest-neighbour resize of NHWC.

use super::check::{Check, nhwc, require};
use super::word::parameters;
use crate::bytes::u16_at;
use crate::{Dtype, StepFault};

parameters! {
    /// Parameters of a nearest-neighbour resize: `y[h][w] = x[rows[h]][columns[w]]`, the
    /// rule for coordinates and rounding being resolved into the two tables.
    pub struct ResizeNearest {
        /// Offset of `u16[output height]`: which input row.
        pub rows: u32,
        /// Offset of `u16[output width]`: which input column.
        pub columns: u32,
    }
}

impl ResizeNearest {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.operands::<1>(Dtype::I8)?;
        let [n, h, w, c] = nhwc(&x.shape)?;
        let [batch, out_h, out_w, channels] = nhwc(&check.output.shape)?;
        require(n == batch && c == channels, StepFault::Shape)?;
        for (offset, count, limit) in [(self.rows, out_h, h), (self.columns, out_w, w)] {
            let table = check.constant(offset, count as usize * 2)?;
            let inside = (0..count as usize)
                .all(|i| u16_at(table, 2 * i).is_some_and(|source| u32::from(source) < limit));
            require(inside, StepFault::Parameter)?;
        }
        Ok(())
    }
}
