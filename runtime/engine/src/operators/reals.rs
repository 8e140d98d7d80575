//! Real operands and results, each `f32` or bytes with a scale and a zero point.

use super::wide::words;
use crate::memory::{Input, signed_mut};
use crate::numerics::Requantize;

/// The elements of a real operand.
#[derive(Clone, Copy)]
pub(super) enum Reals<'a> {
    /// As they are.
    Plain(&'a [f32]),
    /// `f32(q - zero) · scale`.
    Steps {
        bytes: &'a [i8],
        scale: f32,
        zero: i32,
    },
    /// The same in 16 bits.
    Wide {
        words: &'a [i16],
        scale: f32,
        zero: i32,
    },
}

impl<'a> Reals<'a> {
    pub(super) fn of(input: &Input<'a>, scale: f32, zero: i32) -> Option<Self> {
        Some(match input.width {
            1 => Reals::Steps {
                bytes: input.i8()?,
                scale,
                zero,
            },
            2 => Reals::Wide {
                words: words(input)?,
                scale,
                zero,
            },
            _ => Reals::Plain(plain(input)?),
        })
    }

    pub(super) fn get(self, at: usize) -> Option<f32> {
        Some(match self {
            Reals::Plain(reals) => *reals.get(at)?,
            Reals::Steps { bytes, scale, zero } => {
                i32::from(*bytes.get(at)?).wrapping_sub(zero) as f32 * scale
            }
            Reals::Wide { words, scale, zero } => {
                i32::from(*words.get(at)?).wrapping_sub(zero) as f32 * scale
            }
        })
    }
}

/// The elements of an `f32` operand.
pub(super) fn plain<'a>(input: &Input<'a>) -> Option<&'a [f32]> {
    bytemuck::try_cast_slice(input.bytes()?).ok()
}

/// Where real results go.
pub(super) enum Results<'a> {
    /// As they are.
    Plain(&'a mut [f32]),
    /// Quantized.
    Steps {
        bytes: &'a mut [i8],
        scale: f32,
        requantize: Requantize,
    },
}

impl<'a> Results<'a> {
    /// `output` has `elements` elements, of one byte or of four.
    pub(super) fn of(
        output: &'a mut [u8],
        elements: usize,
        scale: f32,
        zero_point: i32,
    ) -> Option<Self> {
        Some(if output.len() == elements {
            Results::Steps {
                bytes: signed_mut(output),
                scale,
                requantize: Requantize::new(-128, 127, zero_point),
            }
        } else {
            Results::Plain(bytemuck::try_cast_slice_mut(output).ok()?)
        })
    }

    pub(super) fn set(&mut self, at: usize, real: f32) -> Option<()> {
        match self {
            // Processors differ in the sign of the NaN that 0 / 0 gives.
            Results::Plain(reals) if real.is_nan() => *reals.get_mut(at)? = f32::NAN,
            Results::Plain(reals) => *reals.get_mut(at)? = real,
            Results::Steps {
                bytes,
                scale,
                requantize,
            } => *bytes.get_mut(at)? = requantize.real(real / *scale),
        }
        Some(())
    }
}

/// `real` within `low..=high`; a NaN stays one.
pub(super) fn within(real: f32, low: f32, high: f32) -> f32 {
    if real < low {
        low
    } else if real > high {
        high
    } else {
        real
    }
}
