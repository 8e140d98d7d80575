//! Rounded accumulators to outputs, as the loops in assembly do it.

use crate::numerics::Requantize;

/// What is added to rounded values, and their bounds.
///
/// `FCVTNS` rounds half to even and saturates, as does each narrowing after it, to ranges
/// that contain the bounds; clamping last gives what [`Requantize`], which clamps first,
/// gives.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Finish {
    zero_point: [i16; 8],
    low: [i8; 16],
    high: [i8; 16],
    /// Whether every `i8` lies within the bounds.
    unbounded: usize,
}

impl Finish {
    pub(super) fn new(requantize: Requantize) -> Self {
        let [low, high, zero_point] = requantize.bounds();
        Finish {
            zero_point: [zero_point as i16; 8],
            low: [low as i8; 16],
            high: [high as i8; 16],
            unbounded: usize::from(low <= -128 && high >= 127),
        }
    }
}

/// Sixteen rounded numbers to bytes in the first register, the zero point added.
macro_rules! narrow {
    ($zero:literal, $a:literal $b:literal $c:literal $d:literal) => {
        concat!(
            "sqxtn v", $a, ".4h, v", $a, ".4s\n", "sqxtn v", $c, ".4h, v", $c, ".4s\n", "sqxtn2 v",
            $a, ".8h, v", $b, ".4s\n", "sqxtn2 v", $c, ".8h, v", $d, ".4s\n", "sqadd v", $a,
            ".8h, v", $a, ".8h, v", $zero, ".8h\n", "sqadd v", $c, ".8h, v", $c, ".8h, v", $zero,
            ".8h\n", "sqxtn v", $a, ".8b, v", $a, ".8h\n", "sqxtn2 v", $a, ".16b, v", $c, ".8h\n",
        )
    };
}

pub(super) use narrow;
