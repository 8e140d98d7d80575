//! The dense loop: four pixels times sixteen outputs at a time, requantization included.

use super::finish::{Finish, narrow};
use crate::numerics::Requantize;
use core::arch::naked_asm;

/// Outputs and pixels of a block.
pub(super) const OUTPUTS: usize = 16;
pub(super) const PIXELS: usize = 4;
/// Most rows of a window.
pub(super) const ROWS: usize = 8;
/// Outputs whose weights are interleaved.
const BLOCK: usize = 8;

/// Pixels whose windows begin `step` apart, and outputs to compute for them.
#[derive(Clone, Copy)]
pub(super) struct Strip<'a> {
    /// The rows of the first pixel's window and whatever follows, at most [`ROWS`].
    pub(super) rows: &'a [&'a [i8]],
    /// Values of a row of a window, a multiple of 4.
    pub(super) run: usize,
    pub(super) step: usize,
    /// Pixels, at least [`PIXELS`].
    pub(super) count: usize,
    /// Two blocks of weights for each sixteen outputs.
    pub(super) weights: &'a [i8],
    pub(super) bias: &'a [[i32; OUTPUTS]],
    pub(super) multipliers: &'a [[f32; OUTPUTS]],
    pub(super) requantize: Requantize,
}

/// What the loop reads, where it reads it.
#[repr(C)]
struct Frame {
    rows: *const *const i8,
    runs: usize,
    run: usize,
    step: usize,
    /// Where the last block of pixels begins; it may overlap the one before.
    last: usize,
    weights: *const i8,
    /// Bytes of a block of weights.
    block: usize,
    bias: *const i32,
    multipliers: *const f32,
    y: *mut i8,
    y_stride: usize,
    /// Times sixteen outputs.
    groups: usize,
    finish: Finish,
}

impl Strip<'_> {
    /// Writes the outputs of each pixel, `y_stride` apart; `None` where lengths do not go
    /// together.
    #[allow(unsafe_code, reason = "a loop in assembly")]
    pub(super) fn outputs(&self, y: &mut [i8], y_stride: usize) -> Option<()> {
        let (runs, groups) = (self.rows.len(), self.bias.len());
        let last = self.count.checked_sub(PIXELS)?;
        let before = self.count.checked_sub(1)?;
        let reach = before.checked_mul(self.step)?.checked_add(self.run)?;
        let block = self.run.checked_mul(runs)?.checked_mul(BLOCK)?;
        let written = before
            .checked_mul(y_stride)?
            .checked_add(groups.checked_mul(OUTPUTS)?)?;
        let fits = (1..=ROWS).contains(&runs)
            && self.run > 0
            && self.run.is_multiple_of(4)
            && self.rows.iter().all(|row| row.len() >= reach)
            && groups > 0
            && groups == self.multipliers.len()
            && block.checked_mul(2)?.checked_mul(groups)? <= self.weights.len()
            && written <= y.len();
        if !fits {
            return None;
        }
        let mut rows = [core::ptr::null(); ROWS];
        for (to, row) in rows.iter_mut().zip(self.rows) {
            *to = row.as_ptr();
        }
        let frame = Frame {
            rows: rows.as_ptr(),
            runs,
            run: self.run,
            step: self.step,
            last,
            weights: self.weights.as_ptr(),
            block,
            bias: self.bias.as_ptr().cast(),
            multipliers: self.multipliers.as_ptr().cast(),
            y: y.as_mut_ptr(),
            y_stride,
            groups,
            finish: Finish::new(self.requantize),
        };
        // SAFETY: every row has `run` values for each of `count` pixels, `count` is
        // `last + 4`, `run` is a multiple of 4 and not 0; there are two blocks of weights,
        // sixteen biases and multipliers for each of `groups`, and `y` has sixteen bytes for
        // each of them at each pixel. `Isa::of` lets these kernels run only on processors
        // that have the dot product.
        unsafe { blocks(&frame) }
        Some(())
    }
}

/// `acc += w · x[lane]` for four vectors of weights and one pixel.
macro_rules! sdot {
    ($lane:literal, [$x:literal: $a:literal $b:literal $c:literal $d:literal],
     [$w0:literal $w1:literal $w2:literal $w3:literal]) => {
        concat!(
            sdot!(1, $a, $w0, $x, $lane),
            sdot!(1, $b, $w1, $x, $lane),
            sdot!(1, $c, $w2, $x, $lane),
            sdot!(1, $d, $w3, $x, $lane),
        )
    };
    (1, $acc:literal, $w:literal, $x:literal, $lane:literal) => {
        concat!(
            "sdot v", $acc, ".4s, v", $w, ".16b, v", $x, ".4b[", $lane, "]\n"
        )
    };
}

/// Four activations of each of four pixels with the weights of sixteen outputs.
macro_rules! four {
    ($lane:literal, [$x0:literal $x1:literal $x2:literal $x3:literal], $w:tt) => {
        concat!(
            sdot!($lane, [$x0: 16 17 18 19], $w),
            sdot!($lane, [$x1: 20 21 22 23], $w),
            sdot!($lane, [$x2: 24 25 26 27], $w),
            sdot!($lane, [$x3: 28 29 30 31], $w),
        )
    };
}

/// Sixteen activations of each of four pixels.
macro_rules! sixteen {
    ($x:tt) => {
        concat!(
            "ld1 {{v8.16b-v11.16b}}, [x15], #64\n",
            "ld1 {{v12.16b-v15.16b}}, [x16], #64\n",
            four!(0, $x, [8 9 12 13]),
            four!(1, $x, [10 11 14 15]),
            "ld1 {{v8.16b-v11.16b}}, [x15], #64\n",
            "ld1 {{v12.16b-v15.16b}}, [x16], #64\n",
            four!(2, $x, [8 9 12 13]),
            four!(3, $x, [10 11 14 15]),
        )
    };
}

/// One instruction on every accumulator, with the multiplier of its output (`"m"`) or without.
macro_rules! each {
    ($name:literal, $end:tt) => {
        concat!(
            each!($name, "16", "4", $end),
            each!($name, "17", "5", $end),
            each!($name, "18", "6", $end),
            each!($name, "19", "7", $end),
            each!($name, "20", "4", $end),
            each!($name, "21", "5", $end),
            each!($name, "22", "6", $end),
            each!($name, "23", "7", $end),
            each!($name, "24", "4", $end),
            each!($name, "25", "5", $end),
            each!($name, "26", "6", $end),
            each!($name, "27", "7", $end),
            each!($name, "28", "4", $end),
            each!($name, "29", "5", $end),
            each!($name, "30", "6", $end),
            each!($name, "31", "7", $end),
        )
    };
    ($name:literal, $acc:literal, $m:literal, "") => {
        concat!($name, " v", $acc, ".4s, v", $acc, ".4s\n")
    };
    ($name:literal, $acc:literal, $m:literal, "m") => {
        concat!($name, " v", $acc, ".4s, v", $acc, ".4s, v", $m, ".4s\n")
    };
}

/// Bytes between the bounds.
macro_rules! clamp {
    ($a:literal) => {
        concat!(
            "smax v",
            $a,
            ".16b, v",
            $a,
            ".16b, v1.16b\n",
            "smin v",
            $a,
            ".16b, v",
            $a,
            ".16b, v2.16b\n",
        )
    };
}

/// Computes all outputs of all pixels, which it rounds and narrows as [`Finish`] says.
///
/// # Safety
///
/// Everything that `frame` points to is there, and the processor has the dot product.
#[unsafe(naked)]
#[allow(unsafe_code, reason = "a loop in assembly")]
unsafe extern "C" fn blocks(frame: &Frame) {
    naked_asm!(
        ".arch_extension dotprod",
        "stp d8, d9, [sp, #-128]!",
        "stp d10, d11, [sp, #16]",
        "stp d12, d13, [sp, #32]",
        "stp d14, d15, [sp, #48]",
        "stp x19, x20, [sp, #64]",
        "stp x21, x22, [sp, #80]",
        "stp x23, x24, [sp, #96]",
        "stp x25, x26, [sp, #112]",
        "ldp x1, x2, [x0]",
        "ldp x3, x4, [x0, #16]",
        "ldp x6, x7, [x0, #32]",
        "ldp x5, x9, [x0, #48]",
        "ldp x10, x11, [x0, #64]",
        "ldp x12, x13, [x0, #80]",
        "add x26, x0, #144",
        // Sixteen outputs: the weights of the first eight in x7, of the others in x8.
        "2:",
        "add x8, x7, x5",
        "mov x14, #0",
        "mov x24, #0",
        "mov x25, x11",
        // Four pixels: from byte x24 of each row, to x25.
        "3:",
        "ld1 {{v16.4s-v19.4s}}, [x9]",
        "ld1 {{v20.4s-v23.4s}}, [x9]",
        "ld1 {{v24.4s-v27.4s}}, [x9]",
        "ld1 {{v28.4s-v31.4s}}, [x9]",
        "mov x15, x7",
        "mov x16, x8",
        "mov x17, x1",
        "mov x23, x2",
        // A row of their windows.
        "4:",
        "ldr x19, [x17], #8",
        "add x19, x19, x24",
        "add x20, x19, x4",
        "add x21, x20, x4",
        "add x22, x21, x4",
        "subs x0, x3, #32",
        "b.lo 6f",
        "5:",
        "ldp q0, q1, [x19], #32",
        "ldp q2, q3, [x20], #32",
        "ldp q4, q5, [x21], #32",
        "ldp q6, q7, [x22], #32",
        sixteen!([0 2 4 6]),
        sixteen!([1 3 5 7]),
        "subs x0, x0, #32",
        "b.hs 5b",
        // Less than 32 are left, as many as the low bits say.
        "6:",
        "tbz x0, #4, 7f",
        "ldr q0, [x19], #16",
        "ldr q2, [x20], #16",
        "ldr q4, [x21], #16",
        "ldr q6, [x22], #16",
        sixteen!([0 2 4 6]),
        "7:",
        "ands x0, x0, #15",
        "b.eq 9f",
        "8:",
        "ld1r {{v0.4s}}, [x19], #4",
        "ld1r {{v2.4s}}, [x20], #4",
        "ld1r {{v4.4s}}, [x21], #4",
        "ld1r {{v6.4s}}, [x22], #4",
        "ldp q8, q9, [x15], #32",
        "ldp q12, q13, [x16], #32",
        four!(0, [0 2 4 6], [8 9 12 13]),
        "subs x0, x0, #4",
        "b.ne 8b",
        "9:",
        "subs x23, x23, #1",
        "b.ne 4b",
        // Accumulators to outputs.
        "ld1 {{v4.4s-v7.4s}}, [x10]",
        "ldur q0, [x26, #-48]",
        each!("scvtf", ""),
        each!("fmul", "m"),
        each!("fcvtns", ""),
        narrow!("0", "16" "17" "18" "19"),
        narrow!("0", "20" "21" "22" "23"),
        narrow!("0", "24" "25" "26" "27"),
        narrow!("0", "28" "29" "30" "31"),
        "ldr x0, [x26]",
        "cbnz x0, 10f",
        "ldp q1, q2, [x26, #-32]",
        clamp!("16"),
        clamp!("20"),
        clamp!("24"),
        clamp!("28"),
        "10:",
        "st1 {{v16.16b}}, [x25], x12",
        "st1 {{v20.16b}}, [x25], x12",
        "st1 {{v24.16b}}, [x25], x12",
        "st1 {{v28.16b}}, [x25]",
        // The next pixels, which begin no later than the last four.
        "cmp x14, x6",
        "b.eq 11f",
        "add x14, x14, #4",
        "cmp x14, x6",
        "csel x14, x14, x6, lo",
        "mul x24, x14, x4",
        "madd x25, x14, x12, x11",
        "b 3b",
        "11:",
        "add x7, x8, x5",
        "add x9, x9, #64",
        "add x10, x10, #64",
        "add x11, x11, #16",
        "subs x13, x13, #1",
        "b.ne 2b",
        "ldp d10, d11, [sp, #16]",
        "ldp d12, d13, [sp, #32]",
        "ldp d14, d15, [sp, #48]",
        "ldp x19, x20, [sp, #64]",
        "ldp x21, x22, [sp, #80]",
        "ldp x23, x24, [sp, #96]",
        "ldp x25, x26, [sp, #112]",
        "ldp d8, d9, [sp], #128",
        "ret",
    );
}

#[cfg(test)]
mod tests {
    use super::{OUTPUTS, ROWS, Strip};
    use crate::numerics::Requantize;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// The loop in portable Rust.
    fn portable(strip: &Strip<'_>, y: &mut [i8], y_stride: usize) {
        let k = strip.rows.len() * strip.run;
        for pixel in 0..strip.count {
            for o in 0..strip.bias.len() * OUTPUTS {
                let mut acc = strip.bias[o / OUTPUTS][o % OUTPUTS];
                for at in 0..k {
                    let x = strip.rows[at / strip.run][pixel * strip.step + at % strip.run];
                    let w = strip.weights[o / 8 * 8 * k + at / 4 * 32 + o % 8 * 4 + at % 4];
                    acc = acc.wrapping_add(i32::from(x) * i32::from(w));
                }
                let multiplier = strip.multipliers[o / OUTPUTS][o % OUTPUTS];
                y[pixel * y_stride + o] = strip.requantize.accumulator(acc, multiplier);
            }
        }
    }

    fn byte() -> impl Strategy<Value = i8> {
        prop_oneof![Just(i8::MIN), Just(i8::MAX), any::<i8>()]
    }

    proptest! {
        #[test]
        fn the_loop_does_what_its_portable_twin_does(
            [runs, fours, step, count, groups] in
                (1..=ROWS, 1..26usize, 0..70usize, 4..19usize, 1..4usize)
                    .prop_map(|(a, b, c, d, e)| [a, b, c, d, e]),
            bytes in proptest::collection::vec(byte(), 997),
            bias in any::<[[i32; OUTPUTS]; 4]>(),
            multiplier in prop_oneof![Just(0.5f32), 1e-6f32..1.0, Just(-0.25), Just(f32::MAX)],
            (low, high) in (-128..=127i32, -128..=127i32),
            whole in any::<bool>(),
            zero_point in -255..=255i32,
            apart in 0..5usize,
        ) {
            if !crate::runs(sanderling_plan::Target::Aarch64Dotprod) {
                return Ok(());
            }
            let run = 4 * fours;
            let some = |seed: usize, len: usize| -> Vec<i8> {
                (0..len).map(|i| bytes[(seed * 131 + i * 7 + i / 997) % 997]).collect()
            };
            let rows: Vec<Vec<i8>> = (0..runs).map(|r| some(r, (count - 1) * step + run)).collect();
            let rows: Vec<&[i8]> = rows.iter().map(|row| &row[..]).collect();
            let weights = some(9, groups * OUTPUTS * runs * run);
            let multipliers = [[multiplier; OUTPUTS]; 4];
            let (low, high) = if whole { (-128, 127) } else { (low.min(high), low.max(high)) };
            let strip = Strip {
                rows: &rows,
                run,
                step,
                count,
                weights: &weights,
                bias: &bias[..groups],
                multipliers: &multipliers[..groups],
                requantize: Requantize::new(low, high, zero_point),
            };
            let y_stride = groups * OUTPUTS + apart;
            let len = (count - 1) * y_stride + groups * OUTPUTS;
            let (mut y, mut expected) = (vec![7; len], vec![7; len]);
            portable(&strip, &mut expected, y_stride);
            prop_assert!(strip.outputs(&mut y, y_stride).is_some());
            prop_assert_eq!(&y, &expected);
            // One value less of anything is refused.
            prop_assert!(strip.outputs(&mut y[..len - 1], y_stride).is_none());
            let fewer = &weights[..weights.len() - 1];
            let short = Strip { weights: fewer, ..strip };
            prop_assert!(short.outputs(&mut y, y_stride).is_none());
            let more = Strip { count: count + 1, ..strip };
            let mut more_y = vec![0; len + y_stride];
            prop_assert!(step == 0 || more.outputs(&mut more_y, y_stride).is_none());
        }
    }
}
