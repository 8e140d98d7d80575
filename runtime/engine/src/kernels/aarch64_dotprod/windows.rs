//! The depthwise loop: 3×3 windows one pixel apart, sixteen channels at a time.

use super::finish::{Finish, narrow};
use core::arch::naked_asm;
use sanderling_plan::packing::aarch64::LANES;

/// Vectors of weights of sixteen channels, `[kw][16][4]`.
const BLOCK: usize = 12;

/// A row of windows, and what they are multiplied with.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// The input rows, from the first window on.
    pub(super) rows: [&'a [i8]; 3],
    pub(super) channels: usize,
    /// Windows, at least one.
    pub(super) count: usize,
    /// Blocks of sixteen channels, of which the last ends with the last channel.
    pub(super) weights: &'a [[[i8; LANES]; BLOCK]],
    pub(super) bias: &'a [i32],
    pub(super) multipliers: &'a [f32],
    pub(super) finish: Finish,
}

/// What the loop reads, where it reads it.
#[repr(C)]
struct Frame<'a> {
    rows: [*const i8; 3],
    channels: usize,
    count: usize,
    weights: *const i8,
    bias: *const i32,
    multipliers: *const f32,
    y: *mut i8,
    finish: &'a Finish,
}

impl Row<'_> {
    /// Writes `[count][channels]` outputs; `None` where lengths do not go together.
    #[allow(unsafe_code, reason = "a loop in assembly")]
    pub(super) fn outputs(&self, y: &mut [i8]) -> Option<()> {
        let read = self.count.checked_add(2)?.checked_mul(self.channels)?;
        let fits = self.count > 0
            && self.channels >= LANES
            && self.rows.iter().all(|row| row.len() >= read)
            && self.weights.len() >= self.channels.div_ceil(LANES)
            && self.bias.len() >= self.channels
            && self.multipliers.len() >= self.channels
            && y.len() >= self.count.checked_mul(self.channels)?;
        if !fits {
            return None;
        }
        let frame = Frame {
            rows: self.rows.map(<[i8]>::as_ptr),
            channels: self.channels,
            count: self.count,
            weights: self.weights.as_ptr().cast(),
            bias: self.bias.as_ptr(),
            multipliers: self.multipliers.as_ptr(),
            y: y.as_mut_ptr(),
            finish: &self.finish,
        };
        // SAFETY: every row has two pixels more than there are windows, of at least sixteen
        // channels; every sixteen channels, and those that are left, have a block of weights;
        // there are biases, multipliers, and room for the outputs of all channels. `Isa::of`
        // lets these kernels run only on processors that have the dot product.
        unsafe { blocks(&frame) }
        Some(())
    }
}

/// The next column of the window: three taps of each channel, and any fourth value, whose
/// weight is 0.
macro_rules! column {
    ($a:literal $b:literal $c:literal $d:literal) => {
        concat!(
            "ldr q28, [x1, x9]\n",
            "ldr q29, [x2, x9]\n",
            "ldr q30, [x3, x9]\n",
            "add x9, x9, x4\n",
            "zip2 v31.16b, v28.16b, v29.16b\n",
            "zip1 v28.16b, v28.16b, v29.16b\n",
            "zip2 v29.16b, v30.16b, v30.16b\n",
            "zip1 v30.16b, v30.16b, v30.16b\n",
            "zip1 v",
            $a,
            ".8h, v28.8h, v30.8h\n",
            "zip2 v",
            $b,
            ".8h, v28.8h, v30.8h\n",
            "zip1 v",
            $c,
            ".8h, v31.8h, v29.8h\n",
            "zip2 v",
            $d,
            ".8h, v31.8h, v29.8h\n",
        )
    };
}

/// A column times its weights.
macro_rules! sdot {
    ([$x0:literal $x1:literal $x2:literal $x3:literal], [$w0:literal $w1:literal $w2:literal $w3:literal]) => {
        concat!(
            "sdot v24.4s, v",
            $x0,
            ".16b, v",
            $w0,
            ".16b\n",
            "sdot v25.4s, v",
            $x1,
            ".16b, v",
            $w1,
            ".16b\n",
            "sdot v26.4s, v",
            $x2,
            ".16b, v",
            $w2,
            ".16b\n",
            "sdot v27.4s, v",
            $x3,
            ".16b, v",
            $w3,
            ".16b\n",
        )
    };
}

/// The outputs of a window of three columns.
macro_rules! window {
    ($first:tt $second:tt $third:tt) => {
        concat!(
            "ld1 {{v24.4s-v27.4s}}, [x6]\n",
            sdot!($first, [12 13 14 15]),
            sdot!($second, [16 17 18 19]),
            sdot!($third, [20 21 22 23]),
            "ld1 {{v28.4s-v31.4s}}, [x7]\n",
            "scvtf v24.4s, v24.4s\n",
            "scvtf v25.4s, v25.4s\n",
            "scvtf v26.4s, v26.4s\n",
            "scvtf v27.4s, v27.4s\n",
            "fmul v24.4s, v24.4s, v28.4s\n",
            "fmul v25.4s, v25.4s, v29.4s\n",
            "fmul v26.4s, v26.4s, v30.4s\n",
            "fmul v27.4s, v27.4s, v31.4s\n",
            "ldp q28, q29, [x12]\n",
            "fcvtns v24.4s, v24.4s\n",
            "fcvtns v25.4s, v25.4s\n",
            "fcvtns v26.4s, v26.4s\n",
            "fcvtns v27.4s, v27.4s\n",
            "ldr q30, [x12, #32]\n",
            narrow!("28", "24" "25" "26" "27"),
            "smax v24.16b, v24.16b, v29.16b\n",
            "smin v24.16b, v24.16b, v30.16b\n",
            "st1 {{v24.16b}}, [x10], x4\n",
        )
    };
}

/// Computes all outputs of all windows, which it rounds and narrows as [`Finish`] says.
///
/// # Safety
///
/// Everything that `frame` points to is there, and the processor has the dot product.
#[unsafe(naked)]
#[allow(unsafe_code, reason = "a loop in assembly")]
unsafe extern "C" fn blocks(frame: &Frame<'_>) {
    naked_asm!(
        ".arch_extension dotprod",
        "stp d8, d9, [sp, #-64]!",
        "stp d10, d11, [sp, #16]",
        "stp d12, d13, [sp, #32]",
        "stp d14, d15, [sp, #48]",
        "ldp x1, x2, [x0]",
        "ldp x3, x4, [x0, #16]",
        "ldp x11, x5, [x0, #32]",
        "ldp x13, x14, [x0, #48]",
        "ldp x15, x12, [x0, #64]",
        // Sixteen channels from number x8 on, the last of which begin no later than x16.
        "mov x8, #0",
        "sub x16, x4, #16",
        "2:",
        "add x6, x13, x8, lsl #2",
        "add x7, x14, x8, lsl #2",
        "add x10, x15, x8",
        "mov x9, x8",
        "mov x17, x11",
        "ld1 {{v12.16b-v15.16b}}, [x5], #64",
        "ld1 {{v16.16b-v19.16b}}, [x5], #64",
        "ld1 {{v20.16b-v23.16b}}, [x5], #64",
        column!(0 1 2 3),
        column!(4 5 6 7),
        // Three windows a turn, so that columns stay in the registers they are in.
        "3:",
        column!(8 9 10 11),
        window!([0 1 2 3] [4 5 6 7] [8 9 10 11]),
        "subs x17, x17, #1",
        "b.eq 4f",
        column!(0 1 2 3),
        window!([4 5 6 7] [8 9 10 11] [0 1 2 3]),
        "subs x17, x17, #1",
        "b.eq 4f",
        column!(4 5 6 7),
        window!([8 9 10 11] [0 1 2 3] [4 5 6 7]),
        "subs x17, x17, #1",
        "b.ne 3b",
        "4:",
        "cmp x8, x16",
        "b.eq 5f",
        "add x8, x8, #16",
        "cmp x8, x16",
        "csel x8, x8, x16, lo",
        "b 2b",
        "5:",
        "ldp d10, d11, [sp, #16]",
        "ldp d12, d13, [sp, #32]",
        "ldp d14, d15, [sp, #48]",
        "ldp d8, d9, [sp], #64",
        "ret",
    );
}

#[cfg(test)]
mod tests {
    use super::{Finish, LANES, Row};
    use crate::numerics::Requantize;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// The loop in portable Rust, with the weights `[kh][kw][channels]`.
    fn portable(row: &Row<'_>, weights: &[i8], requantize: Requantize, y: &mut [i8]) {
        let channels = row.channels;
        for (at, y) in y.iter_mut().enumerate() {
            let (window, channel) = (at / channels, at % channels);
            let acc = (0..9).fold(row.bias[channel], |acc: i32, tap| {
                let x = row.rows[tap / 3][(window + tap % 3) * channels + channel];
                let w = weights[tap * channels + channel];
                acc.wrapping_add(i32::from(x) * i32::from(w))
            });
            *y = requantize.accumulator(acc, row.multipliers[channel]);
        }
    }

    fn byte() -> impl Strategy<Value = i8> {
        prop_oneof![Just(i8::MIN), Just(i8::MAX), any::<i8>()]
    }

    proptest! {
        #[test]
        fn the_loop_does_what_its_portable_twin_does(
            channels in 16..70usize,
            count in 1..9usize,
            bytes in proptest::collection::vec(byte(), 997),
            bias in proptest::collection::vec(prop_oneof![any::<i32>(), -9999..9999i32], 70),
            multiplier in prop_oneof![Just(0.5f32), 1e-6f32..1.0, Just(-0.25), Just(f32::MAX)],
            (low, high) in (-128..=127i32, -128..=127i32),
            zero_point in -255..=255i32,
        ) {
            if !crate::runs(sanderling_plan::Target::Aarch64Dotprod) {
                return Ok(());
            }
            let some = |seed: usize, len: usize| -> Vec<i8> {
                (0..len).map(|i| bytes[(seed * 131 + i * 7 + i / 997) % 997]).collect()
            };
            let rows = [0, 1, 2].map(|r| some(r, (count + 2) * channels));
            let weights = some(9, 9 * channels);
            let blocks: Vec<i8> = (0..channels.div_ceil(LANES))
                .map(|block| (block * LANES).min(channels - LANES))
                .flat_map(|first| (0..3 * LANES).map(move |at| (at / LANES, first + at % LANES)))
                .flat_map(|(kx, channel)| (0..4).map(move |ky| (ky, kx, channel)))
                .map(|(ky, kx, channel)| match ky {
                    3 => 0,
                    ky => weights[(ky * 3 + kx) * channels + channel],
                })
                .collect();
            let multipliers = vec![multiplier; channels];
            let requantize = Requantize::new(low.min(high), low.max(high), zero_point);
            let row = Row {
                rows: [&rows[0], &rows[1], &rows[2]],
                channels,
                count,
                weights: blocks.as_chunks().0.as_chunks().0,
                bias: &bias,
                multipliers: &multipliers,
                finish: Finish::new(requantize),
            };
            let (mut y, mut expected) = (vec![7; count * channels], vec![7; count * channels]);
            portable(&row, &weights, requantize, &mut expected);
            prop_assert!(row.outputs(&mut y).is_some());
            prop_assert_eq!(&y, &expected);
            // One value less of anything is refused.
            let len = y.len();
            prop_assert!(row.outputs(&mut y[..len - 1]).is_none());
            let more = Row { count: count + 1, ..row };
            prop_assert!(more.outputs(&mut vec![0; len + channels]).is_none());
        }
    }
}
