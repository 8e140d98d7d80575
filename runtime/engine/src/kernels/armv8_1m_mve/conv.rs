//! Convolutions that read windows in place: of each row under the window one run, out of a
//! ring of padded rows.

use super::dense::{self, ASIDE, OUTPUTS, part_of, put_part};
use super::moves::{copy_run, copy_runs, fill_run};
use crate::kernels::{ConvRow, Rows, Runs};
use core::arch::naked_asm;
use sanderling_plan::Target;
use sanderling_plan::packing::cortex_m55::{MAX_ROWS, Padded};

/// Values of a vector register.
const DEPTH: usize = 16;
/// Pixels of a tile.
const PIXELS: usize = Target::CortexM55.dense().pixels;

/// One row of outputs.
pub(super) fn row(row: &ConvRow<'_>, scratch: &mut [i8], y: &mut [i8]) -> Option<()> {
    let p = row.parameters;
    let padded = Padded::of(p, row.width, row.channels)?;
    let (ring, tile) = scratch.split_at_mut_checked(padded.ring()?)?;
    let tile = tile.get_mut(..padded.tile)?;
    if row.oy == 0 {
        // What is beyond the values of a tile's rows is and stays 0.
        fill_run(tile, 0);
    }
    let first = row.oy.checked_mul(p.stride_h as usize)?;
    // Rows before this one are there from the row of outputs before.
    let known = match row.oy {
        0 => 0,
        _ => first
            .checked_sub(p.stride_h as usize)?
            .checked_add(padded.rows)?,
    };
    for r in first.max(known)..first.checked_add(padded.rows)? {
        let start = (r % padded.rows).checked_mul(padded.row)?;
        let to = ring.get_mut(start..start.checked_add(padded.row)?)?;
        pad(row, (row.rows)(r), to)?;
    }
    let pixels = y.len().checked_div(row.outputs)?;
    let step = (p.stride_w as usize).checked_mul(row.channels)?;
    let run = padded.run;
    let last = padded.row.checked_sub(run)?;
    let inside = last.checked_div(step)?.checked_add(1)?.min(pixels);
    let (near, far) = y.split_at_mut_checked(inside.checked_mul(row.outputs)?)?;
    strip(row, &padded, (ring, first), (0, step), tile, near)?;
    if far.is_empty() {
        return Some(());
    }
    // Windows that start behind the image read padding alone. It takes the place of the last
    // column, which no window of this row reads any more.
    let mut rows = ring.chunks_exact_mut(padded.row.max(1));
    rows.try_for_each(|to| {
        fill_run(to.get_mut(last..)?, p.input_zero_point as i8);
        Some(())
    })?;
    for y in far.chunks_exact_mut(row.outputs.max(1)) {
        strip(row, &padded, (ring, first), (last, step), tile, y)?;
    }
    for r in first..first.checked_add(padded.rows)? {
        let start = (r % padded.rows).checked_mul(padded.row)?;
        let to = ring.get_mut(start..start.checked_add(padded.row)?)?;
        pad(row, (row.rows)(r), to)?;
    }
    Some(())
}

/// The pixels of `y`, whose windows start `step` apart from `start` on in each row; the
/// first row is number `first`.
fn strip(
    row: &ConvRow<'_>,
    padded: &Padded,
    (ring, first): (&[i8], usize),
    (start, step): (usize, usize),
    tile: &mut [i8],
    y: &mut [i8],
) -> Option<()> {
    if !padded.run.is_multiple_of(DEPTH) {
        return gathered(row, padded, ring, (start, step), tile, y);
    }
    let mut under = [&[] as &[i8]; MAX_ROWS];
    let under = under.get_mut(..padded.rows)?;
    for (ky, under) in under.iter_mut().enumerate() {
        let start = ((first + ky) % padded.rows).checked_mul(padded.row)?;
        *under = ring.get(start..start.checked_add(padded.row)?)?;
    }
    windows(row, under, (start, step), padded.run, y)
}

/// The pixels of `y`, whose windows start `step` apart from `start` on in each row, by way
/// of a tile.
fn gathered(
    row: &ConvRow<'_>,
    padded: &Padded,
    ring: &[i8],
    (start, step): (usize, usize),
    tile: &mut [i8],
    y: &mut [i8],
) -> Option<()> {
    let stride = padded.tile.checked_div(PIXELS)?;
    let slot = row.oy.checked_mul(row.parameters.stride_h as usize)? % padded.rows;
    let ys = y.chunks_mut(row.outputs.checked_mul(PIXELS)?.max(1));
    for (number, y) in ys.enumerate() {
        let count = y.len().checked_div(row.outputs)?;
        let runs = Runs {
            x: ring,
            row: padded.row,
            slot,
            row_step: 1,
            start: start.checked_add((number * PIXELS).checked_mul(step)?)?,
            step,
            len: padded.run,
            rows: padded.rows,
            count,
            to_row: padded.run,
            to_step: stride,
        };
        copy_runs(tile, &runs)?;
        let rows = Rows {
            x: tile,
            stride,
            count,
            k: stride,
            corrections: &[],
        };
        dense::dense(rows, &row.linear, y, row.outputs)?;
    }
    Some(())
}

/// Copies a row with its padding on both sides.
fn pad(row: &ConvRow<'_>, x: Option<&[i8]>, to: &mut [i8]) -> Option<()> {
    let p = row.parameters;
    let padding = p.input_zero_point as i8;
    let Some(x) = x else {
        fill_run(to, padding);
        return Some(());
    };
    let left = (p.pad_left as usize).checked_mul(row.channels)?;
    let (left, rest) = to.split_at_mut_checked(left)?;
    let (main, right) = rest.split_at_mut_checked(row.width.checked_mul(row.channels)?)?;
    fill_run(left, padding);
    copy_run(main, x);
    fill_run(right, padding);
    Some(())
}

/// The pixels of `y`, whose windows start `step` apart from `start` on in each row.
fn windows(
    row: &ConvRow<'_>,
    under: &[&[i8]],
    (start, step): (usize, usize),
    run: usize,
    y: &mut [i8],
) -> Option<()> {
    let pixels = y.len().checked_div(row.outputs)?;
    if pixels == 0 {
        return Some(());
    }
    let whole = row.outputs - row.outputs % OUTPUTS;
    let k = run.checked_mul(under.len())?;
    let (weights, rest) = row.linear.weights.split_at_checked(whole.checked_mul(k)?)?;
    let (bias, bias_rest) = row.linear.bias.split_at_checked(whole)?;
    let (multipliers, multipliers_rest) = row.linear.multipliers.split_at_checked(whole)?;
    let blocks = Blocks {
        under,
        start,
        step,
        run,
        requantize: row.linear.requantize,
    };
    if whole > 0 {
        blocks.all((weights, bias, multipliers), y, row.outputs, pixels)?;
    }
    if whole < row.outputs {
        let (bias, multipliers) = part_of(bias_rest, multipliers_rest);
        for first in (0..pixels).step_by(ASIDE) {
            let count = ASIDE.min(pixels - first);
            let blocks = Blocks {
                start: start.checked_add(first.checked_mul(step)?)?,
                ..blocks
            };
            let mut aside = [0i8; ASIDE * OUTPUTS];
            let out = aside.get_mut(..count * OUTPUTS)?;
            blocks.all((rest, &bias, &multipliers), out, OUTPUTS, count)?;
            let y = y.get_mut(first.checked_mul(row.outputs)?..)?;
            put_part(out, y, row.outputs, whole..row.outputs)?;
        }
    }
    Some(())
}

/// Whole blocks of four outputs.
#[derive(Clone, Copy)]
struct Blocks<'a> {
    under: &'a [&'a [i8]],
    start: usize,
    step: usize,
    run: usize,
    requantize: crate::numerics::Requantize,
}

impl Blocks<'_> {
    #[allow(unsafe_code, reason = "vectors that the compiler does not name")]
    fn all(
        &self,
        (weights, bias, multipliers): (&[i8], &[i32], &[f32]),
        y: &mut [i8],
        y_stride: usize,
        pixels: usize,
    ) -> Option<()> {
        let outputs = bias.len();
        let last = pixels.checked_sub(1)?;
        let reach = last.checked_mul(self.step)?.checked_add(self.run)?;
        let k = self.run.checked_mul(self.under.len())?;
        let mut from = [core::ptr::null(); MAX_ROWS];
        for (from, x) in from.iter_mut().zip(self.under) {
            let x = x.get(self.start..)?;
            if x.len() < reach {
                return None;
            }
            *from = x.as_ptr();
        }
        let fits = y.len() >= last.checked_mul(y_stride)?.checked_add(outputs)?
            && weights.len() >= outputs.checked_mul(k)?
            && multipliers.len() == outputs
            && outputs.is_multiple_of(OUTPUTS)
            && outputs > 0
            && self.run.is_multiple_of(DEPTH)
            && self.run > 0
            && (1..=MAX_ROWS).contains(&self.under.len())
            && (y_stride < dense::NEAR || pixels == 1);
        if !fits {
            return None;
        }
        let [low, high, zero_point] = self.requantize.bounds();
        let mut call = Call {
            from: from.as_ptr(),
            weights: weights.as_ptr(),
            bias: bias.as_ptr(),
            multipliers: multipliers.as_ptr(),
            y: y.as_mut_ptr(),
            zero_point,
            x_step: self.step,
            y_stride,
            steps: self.run / DEPTH,
            rows: self.under.len(),
            end: bias.as_ptr_range().end,
            count: pixels / 2,
            low,
            high,
            offset: 0,
        };
        if call.count > 0 {
            // SAFETY: rows, constants, and outputs are as long as was checked above.
            unsafe { pairs(call) };
        }
        if !pixels.is_multiple_of(2) {
            // The last pixel: with the one before it once more, or twice.
            call.count = 1;
            if pixels == 1 {
                (call.x_step, call.y_stride) = (0, 0);
            } else {
                call.offset = (last - 1).wrapping_mul(self.step);
                call.y = call.y.wrapping_add((last - 1).wrapping_mul(y_stride));
            }
            // SAFETY: as above; both pixels are among those, or one and the same.
            unsafe { pairs(call) };
        }
        Some(())
    }
}

/// What [`pairs`] is called with; by value, the first four words in registers.
#[repr(C)]
#[derive(Clone, Copy)]
struct Call {
    /// Where the first window starts in each row.
    from: *const *const i8,
    /// `[blocks][k / 16][4][16]`.
    weights: *const i8,
    bias: *const i32,
    multipliers: *const f32,
    y: *mut i8,
    zero_point: i32,
    /// Bytes from pixel to pixel.
    x_step: usize,
    y_stride: usize,
    /// Sixteens of a run.
    steps: usize,
    rows: usize,
    /// Where `bias` ends.
    end: *const i32,
    /// Twos of pixels.
    count: usize,
    low: i32,
    high: i32,
    /// What is added to `from`.
    offset: usize,
}

/// Twos of pixels, as `dense::pairs` computes them, but with a run of each of `rows` rows.
///
/// # Safety
///
/// All runs, constants, and outputs are there; numbers are at least 1, rows at most
/// [`MAX_ROWS`], and `y_stride` is below 2¹⁵.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
#[unsafe(naked)]
unsafe extern "C" fn pairs(call: Call) {
    // Registers as in `dense::pairs`, but r11: the list of runs. q4: zero point.
    naked_asm!(
        ".arch armv8.1-m.main",
        ".arch_extension mve.fp",
        "push {{r4-r11, lr}}",
        "vpush {{d8-d15}}",
        "sub sp, #304",
        // [8] y, see below [12] weights [16] bias [20] from bias to multipliers [24] from
        // [32] for each row: a run of each pixel, passes of the loop, where in it they
        // begin; then the place behind the loop. The call's other words from 404 on.
        "strd r1, r2, [sp, #12]",
        "subs r3, r3, r2",
        "str r3, [sp, #20]",
        "str r0, [sp, #24]",
        "ldr r0, [sp, #420]",
        "adds r2, r0, #3",
        "lsrs r2, r2, #2",
        "rsbs r3, r0, #0",
        "and r3, r3, #3",
        "movs r4, #56",
        "muls r3, r4, r3",
        "adr.w r4, 3f + 1",
        "adds r3, r3, r4",
        "ldr r0, [sp, #424]",
        "add r4, sp, #32",
        "8:",
        "strd r2, r3, [r4, #8]",
        "adds r4, #16",
        "subs r0, #1",
        "bne 8b",
        "adr.w r3, 7f + 1",
        "str r3, [r4, #12]",
        "movs r0, #0",
        "vidup.u32 q5, r0, #1",
        "mov r1, #0x10001",
        "vmul.i32 q5, q5, r1",
        "ldr r1, [sp, #416]",
        "lsls r1, r1, #16",
        "vadd.i32 q5, q5, r1",
        "ldr r0, [sp, #408]",
        "vdup.16 q4, r0",
        "ldrd r0, r1, [sp, #436]",
        "vdup.16 q6, r0",
        "vdup.16 q7, r1",
        "1:",
        "ldr r0, [sp, #24]",
        "ldr r1, [sp, #424]",
        "ldr r2, [sp, #444]",
        "ldr r3, [sp, #412]",
        "add r4, sp, #32",
        "6:",
        "ldr r5, [r0], #4",
        "add r5, r2",
        "add r6, r5, r3",
        "strd r5, r6, [r4], #16",
        "subs r1, #1",
        "bne 6b",
        "ldr r0, [sp, #404]",
        "ldrd r5, r7, [sp, #12]",
        // The place of a block's outputs less a fourth of where its biases end.
        "sub r0, r0, r7, lsr #2",
        "subs r0, #4",
        "str r0, [sp, #8]",
        "2:",
        "add r11, sp, #32",
        "ldm r7!, {{r0, r2, r4, r6}}",
        "mov r8, r0",
        "mov r10, r2",
        "mov r12, r4",
        "mov lr, r6",
        "ldm r11!, {{r1, r3, r9, pc}}",
        ".p2align 2",
        "3:",
        ".rept 4",
        "vldrb.u8 q0, [r1], #16",
        "vldrb.u8 q2, [r5], #16",
        "vldrb.u8 q1, [r3], #16",
        "vmladava.s8 r0, q0, q2",
        "vldrb.u8 q3, [r5], #16",
        "vmladava.s8 r8, q1, q2",
        "vmladava.s8 r2, q0, q3",
        "vldrb.u8 q2, [r5], #16",
        "vmladava.s8 r10, q1, q3",
        "vmladava.s8 r4, q0, q2",
        "vldrb.u8 q3, [r5], #16",
        "vmladava.s8 r12, q1, q2",
        "vmladava.s8 r6, q0, q3",
        "vmladava.s8 lr, q1, q3",
        ".endr",
        "subs.w r9, r9, #1",
        "bne 3b",
        "ldm r11!, {{r1, r3, r9, pc}}",
        // Requantize.
        ".p2align 2",
        "7:",
        "vmov d0, r0, r2",
        "vmov d1, r4, r6",
        "vmov d2, r8, r10",
        "vmov d3, r12, lr",
        "ldr r0, [sp, #20]",
        "add r0, r7",
        "vldrw.u32 q2, [r0, #-16]",
        "vcvt.f32.s32 q0, q0",
        "vcvt.f32.s32 q1, q1",
        "vmul.f32 q0, q0, q2",
        "vmul.f32 q1, q1, q2",
        "vcvtn.s32.f32 q0, q0",
        "vcvtn.s32.f32 q1, q1",
        "ldr r0, [sp, #8]",
        "ldr r2, [sp, #428]",
        "vqmovnb.s32 q0, q0",
        "add r0, r0, r7, lsr #2",
        "vqmovnt.s32 q0, q1",
        "vqadd.s16 q0, q0, q4",
        "vmax.s16 q0, q0, q6",
        "vmin.s16 q0, q0, q7",
        "vstrb.16 q0, [r0, q5]",
        "cmp r7, r2",
        "bne 2b",
        // The next two pixels.
        "ldrd r0, r1, [sp, #412]",
        "ldr r2, [sp, #444]",
        "ldr r3, [sp, #404]",
        "add r2, r2, r0, lsl #1",
        "add r3, r3, r1, lsl #1",
        "ldr r0, [sp, #432]",
        "str r2, [sp, #444]",
        "str r3, [sp, #404]",
        "subs r0, #1",
        "str r0, [sp, #432]",
        "bne 1b",
        "add sp, #304",
        "vpop {{d8-d15}}",
        "pop {{r4-r11, pc}}",
    )
}
