//! Strided copies and fills: transpose, slice, concat, pad, broadcast.

use super::check::{Check, require};
use super::word::parameters;
use crate::{StepFault, Tensor};

/// Axes of a strided copy; shapes with fewer have leading ones.
pub const AXES: usize = 6;

parameters! {
    /// Parameters of a strided copy of whole elements.
    ///
    /// For every index `i` below `shape`:
    /// `y[to + Σ i·to_strides] = x[from + Σ i·from_strides]`, counted in elements.
    pub struct Copy {
        /// Extent of each axis; unused ones are 1.
        pub shape: [u32; 6],
        /// Elements of x between two indices of an axis; negative to reverse, 0 to repeat.
        pub from_strides: [i32; 6],
        /// Elements of y between two indices of an axis.
        pub to_strides: [i32; 6],
        /// First element read.
        pub from: u32,
        /// First element written.
        pub to: u32,
    }
}

impl Copy {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.inputs_of::<1>()?;
        let y = check.output;
        require(x.dtype.bytes() == y.dtype.bytes(), StepFault::Dtype)?;
        let mut elements = 1u64;
        for extent in self.shape {
            require(extent > 0, StepFault::Parameter)?;
            elements = elements.saturating_mul(u64::from(extent));
        }
        // Bounds the work: a copy never writes an element of y twice.
        require(elements <= y.shape.elements() as u64, StepFault::Shape)?;
        inside(x, self.from, &self.shape, &self.from_strides)?;
        inside(y, self.to, &self.shape, &self.to_strides)
    }
}

fn inside(
    tensor: &Tensor,
    first: u32,
    shape: &[u32; AXES],
    strides: &[i32; AXES],
) -> Result<(), StepFault> {
    let (mut low, mut high) = (i64::from(first), i64::from(first));
    for (&extent, &stride) in shape.iter().zip(strides) {
        // The product fits: an extent is below 2³¹ by the bound on elements.
        let reach = (i64::from(extent) - 1) * i64::from(stride);
        low = low.saturating_add(reach.min(0));
        high = high.saturating_add(reach.max(0));
    }
    require(
        low >= 0 && high < tensor.shape.elements() as i64,
        StepFault::Shape,
    )
}

parameters! {
    /// Parameters of a fill: every byte of y becomes `value`.
    pub struct Fill {
        /// A byte.
        pub value: u32,
    }
}

impl Fill {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [] = check.inputs_of::<0>()?;
        require(self.value <= 0xff, StepFault::Parameter)
    }
}
