//! Cortex-M4 and M7: two products of 16 bits in an instruction, weights of 8 bits.

#[cfg(target_arch = "arm")]
mod add;
mod depthwise;
mod frame;
mod gather;
#[cfg(target_arch = "arm")]
#[allow(unsafe_code, reason = "the dense loop needs all registers")]
mod one_pixel;
mod pixels;
#[cfg(target_arch = "arm")]
#[allow(unsafe_code, reason = "the dense loop needs all registers")]
mod three_pixels;
#[cfg(not(target_arch = "arm"))]
mod twin;
mod winograd;

#[cfg(target_arch = "arm")]
pub(crate) use add::{Terms, fused};

pub(crate) use winograd::{Columns, Patch, Tiles};

use super::{DepthwiseRow, Kernel, Linear, Rows};
use frame::{Block, STEP};
use sanderling_plan::Target;

/// The loops of Armv7E-M's digital signal processing instructions.
pub(crate) struct CortexM4;

impl Kernel for CortexM4 {
    // Two activations.
    type Activation = i32;
    const TARGET: Target = Target::CortexM4;

    const STAGED: usize = 256;

    fn as_they_lie(_: &[i8]) -> Option<&[i32]> {
        None
    }

    fn put(tile: &mut [i32], _: usize, pixel: usize, at: usize, x: &[i8]) {
        gather::put(tile, pixel, at, x);
    }

    fn put_strip(
        tile: &mut [i32],
        _: usize,
        pixel: usize,
        at: usize,
        x: &[i8],
        [count, step, len]: [usize; 3],
    ) {
        if count == 3 && gather::put_three(tile, at, x, step, len).is_some() {
            return;
        }
        for p in 0..count {
            let start = p.wrapping_mul(step);
            let x = x.get(start..start.wrapping_add(len)).unwrap_or(&[]);
            gather::put(tile, pixel.wrapping_add(p), at, x);
        }
    }

    fn stage(to: &mut [i8], x: &[i8]) {
        gather::stage(to, x);
    }

    fn fill(tile: &mut [i32], _: usize, pixel: usize, at: usize, count: usize, value: i8) {
        gather::fill(tile, pixel, at, count, value);
    }

    fn sum(rows: &Rows<'_, i32>, pixel: usize) -> i32 {
        gather::sum(rows.x, pixel, rows.k)
    }

    fn dense(
        rows: Rows<'_, i32>,
        linear: &Linear<'_>,
        y: &mut [i8],
        y_stride: usize,
    ) -> Option<()> {
        let x = rows.x.get(..(rows.k / 4).checked_mul(STEP)?)?;
        let paired = linear.bias.len() & !1;
        let (bias, last_bias) = linear.bias.split_at_checked(paired)?;
        let (multipliers, last_multiplier) = linear.multipliers.split_at_checked(paired)?;
        let (weights, last_weights) = linear
            .weights
            .split_at_checked(paired.checked_mul(rows.k)?)?;
        let block = Block {
            x,
            weights,
            bias,
            multipliers,
            start: [0, 1, 2].map(|pixel| rows.correction(pixel).wrapping_neg()),
            requantize: linear.requantize,
        };
        block.outputs(rows.count, y, y_stride)?;
        if let (&[bias], &[multiplier]) = (last_bias, last_multiplier) {
            // The last output of an odd number has a pair without biases of its own.
            let mut pairs = [0i8; 6];
            let block = Block {
                weights: last_weights,
                bias: &[bias, 0],
                multipliers: &[multiplier, 0.0],
                ..block
            };
            block.outputs(rows.count, &mut pairs, 2)?;
            let last = y.get_mut(paired..)?.iter_mut().step_by(y_stride.max(1));
            for (y, &output) in last.zip(pairs.iter().step_by(2)).take(rows.count) {
                *y = output;
            }
        }
        Some(())
    }

    fn depthwise(row: &DepthwiseRow<'_>, scratch: &mut [u8], y: &mut [i8]) -> Option<()> {
        depthwise::row(row, scratch, y)
    }
}
