//! Matrix products: two rows of activations by four outputs at a time.
//!
//! `vmladava.s8` adds sixteen products of bytes to an even general register. Eight of
//! those (all but the stack pointer) hold two rows' sums of four outputs; the odd ones
//! point to what is read. Sixteen values of `k` cost six loads and eight products, and
//! four such steps one decrement and one branch.

use crate::kernels::{Linear, Rows};
use crate::memory::copy;
use crate::numerics::Requantize;
use core::arch::naked_asm;

/// Values of `k` in one step, the width of a vector register.
const DEPTH: usize = 16;
/// Outputs whose weights are interleaved.
pub(super) const OUTPUTS: usize = 4;
/// Rows whose outputs are put aside where a block has fewer than four.
pub(super) const ASIDE: usize = 16;
/// Rows whose distance in `y` is below this are computed by twos: it is stored in 16 bits.
pub(super) const NEAR: usize = 1 << 15;

/// What [`pairs`] and [`singles`] are called with; passed by value, the first four words
/// in registers and the others on the stack.
#[repr(C)]
#[derive(Clone, Copy)]
struct Call {
    /// Row 0.
    x: *const i8,
    /// `[blocks][⌈k / 16⌉][4][16]`.
    weights: *const i8,
    /// `[blocks · 4]`.
    bias: *const i32,
    /// `[blocks · 4]`.
    multipliers: *const f32,
    /// Output 0 of row 0.
    y: *mut i8,
    zero_point: i32,
    /// Bytes from row to row.
    x_stride: usize,
    y_stride: usize,
    /// `k / 16` and `k % 16`, not both 0.
    steps: usize,
    tail: usize,
    /// Where `multipliers` ends.
    end: *const f32,
    /// Twos of rows in [`pairs`], rows in [`singles`]; at least 1.
    count: usize,
    low: i32,
    high: i32,
}

/// The outputs of all rows.
pub(super) fn dense(
    rows: Rows<'_, i8>,
    linear: &Linear<'_>,
    y: &mut [i8],
    y_stride: usize,
) -> Option<()> {
    let outputs = linear.bias.len();
    let whole = outputs - outputs % OUTPUTS;
    let row = rows.k.checked_next_multiple_of(DEPTH)?;
    if !rows.corrections.is_empty() {
        return corrected(rows, linear, y, y_stride);
    }
    if whole > 0 {
        let (bias, multipliers) = (linear.bias.get(..whole)?, linear.multipliers.get(..whole)?);
        blocks(
            rows,
            linear.weights,
            bias,
            multipliers,
            linear.requantize,
            y,
            y_stride,
        )?;
    }
    if whole < outputs {
        let weights = linear.weights.get(whole.checked_mul(row)?..)?;
        let (bias, multipliers) = (linear.bias.get(whole..)?, linear.multipliers.get(whole..)?);
        let (bias, multipliers) = part_of(bias, multipliers);
        for first in (0..rows.count).step_by(ASIDE) {
            let count = ASIDE.min(rows.count - first);
            let rows = Rows {
                x: rows.x.get(first.checked_mul(rows.stride)?..)?,
                count,
                ..rows
            };
            let mut aside = [0i8; ASIDE * OUTPUTS];
            let out = aside.get_mut(..count * OUTPUTS)?;
            blocks(
                rows,
                weights,
                &bias,
                &multipliers,
                linear.requantize,
                out,
                OUTPUTS,
            )?;
            let y = y.get_mut(first.checked_mul(y_stride)?..)?;
            put_part(out, y, y_stride, whole..outputs)?;
        }
    }
    Some(())
}

/// Biases and multipliers of a block that has fewer outputs.
pub(super) fn part_of(bias: &[i32], multipliers: &[f32]) -> ([i32; OUTPUTS], [f32; OUTPUTS]) {
    let (mut biases, mut scales) = ([0; OUTPUTS], [0.0; OUTPUTS]);
    copy(&mut biases, bias);
    copy(&mut scales, multipliers);
    (biases, scales)
}

/// Puts the outputs of such a block to the others, of which they are number `part`.
pub(super) fn put_part(
    out: &[i8],
    y: &mut [i8],
    y_stride: usize,
    part: core::ops::Range<usize>,
) -> Option<()> {
    for (out, y) in out.chunks_exact(OUTPUTS).zip(y.chunks_mut(y_stride.max(1))) {
        for (y, &out) in y.get_mut(part.clone())?.iter_mut().zip(out) {
            *y = out;
        }
    }
    Some(())
}

/// The same for weights with a zero point, which takes something of its own off every row.
#[cold]
fn corrected(rows: Rows<'_, i8>, linear: &Linear<'_>, y: &mut [i8], y_stride: usize) -> Option<()> {
    let outputs = linear.bias.len();
    let block = rows
        .k
        .checked_next_multiple_of(DEPTH)?
        .checked_mul(OUTPUTS)?;
    for pixel in 0..rows.count {
        let y = y
            .get_mut(pixel.checked_mul(y_stride)?..)?
            .get_mut(..outputs)?;
        let weights = linear.weights.chunks(block.max(1));
        let constants = linear
            .bias
            .chunks(OUTPUTS)
            .zip(linear.multipliers.chunks(OUTPUTS));
        for ((y, weights), (bias, multipliers)) in y.chunks_mut(OUTPUTS).zip(weights).zip(constants)
        {
            part(
                &rows,
                pixel,
                weights,
                bias,
                multipliers,
                linear.requantize,
                y,
            )?;
        }
    }
    Some(())
}

/// Up to four outputs of one row.
fn part(
    rows: &Rows<'_, i8>,
    pixel: usize,
    weights: &[i8],
    bias: &[i32],
    multipliers: &[f32],
    requantize: Requantize,
    y: &mut [i8],
) -> Option<()> {
    let row = Rows {
        x: rows.x.get(pixel.checked_mul(rows.stride)?..)?,
        count: 1,
        ..*rows
    };
    let (mut biases, scales) = part_of(bias, multipliers);
    for bias in &mut biases {
        *bias = bias.wrapping_sub(rows.correction(pixel));
    }
    let mut out = [0i8; OUTPUTS];
    blocks(
        row, weights, &biases, &scales, requantize, &mut out, OUTPUTS,
    )?;
    copy(y, &out);
    Some(())
}

/// Whole blocks of four outputs.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
fn blocks(
    rows: Rows<'_, i8>,
    weights: &[i8],
    bias: &[i32],
    multipliers: &[f32],
    requantize: Requantize,
    y: &mut [i8],
    y_stride: usize,
) -> Option<()> {
    let outputs = bias.len();
    let Rows {
        x,
        stride,
        count,
        k,
        ..
    } = rows;
    let last = count.checked_sub(1)?;
    let row = k.checked_next_multiple_of(DEPTH)?;
    let fits = x.len() >= last.checked_mul(stride)?.checked_add(k)?
        && y.len() >= last.checked_mul(y_stride)?.checked_add(outputs)?
        && weights.len() >= outputs.checked_mul(row)?
        && multipliers.len() == outputs
        && outputs.is_multiple_of(OUTPUTS)
        && outputs > 0
        && k > 0;
    if !fits {
        return None;
    }
    let [low, high, zero_point] = requantize.bounds();
    let twos = if y_stride < NEAR { count / 2 } else { 0 };
    let mut call = Call {
        x: x.as_ptr(),
        weights: weights.as_ptr(),
        bias: bias.as_ptr(),
        multipliers: multipliers.as_ptr(),
        y: y.as_mut_ptr(),
        zero_point,
        x_stride: stride,
        y_stride,
        steps: k / DEPTH,
        tail: k % DEPTH,
        end: multipliers.as_ptr_range().end,
        count: twos,
        low,
        high,
    };
    if twos > 0 {
        // SAFETY: all rows, weights, biases, multipliers, and outputs lie in their slices,
        // as was checked above; the function reads and writes nothing else.
        unsafe { pairs(call) };
    }
    let done = twos * 2;
    if done < count {
        // Within the slices, for `done` is at most `last`.
        call.x = call.x.wrapping_add(done.wrapping_mul(stride));
        call.y = call.y.wrapping_add(done.wrapping_mul(y_stride));
        call.count = count - done;
        // SAFETY: as above.
        unsafe { singles(call) };
    }
    Some(())
}

/// Twos of rows.
///
/// # Safety
///
/// For each of the `2 · count` rows: `k` readable bytes at `x`, `4 · blocks` writable ones
/// at `y`; constants as [`Call`] says; `y_stride` below 2¹⁵.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
#[unsafe(naked)]
unsafe extern "C" fn pairs(call: Call) {
    // Sums: r0 r2 r4 r6 of row 0, r8 r10 r12 lr of row 1.
    // r1, r3: the rows; r5: weights; r7: bias; r11: multipliers; r9: passes of the loop.
    // q4: zero point; q5: where the outputs of both rows go; q6, q7: bounds.
    naked_asm!(
        ".arch armv8.1-m.main",
        ".arch_extension mve.fp",
        "push {{r4-r11, lr}}",
        "vpush {{d8-d15}}",
        "sub sp, #48",
        // [0] passes [4] entry [8] exit [12] row 0 [16] row 1 [20] y, see below
        // [24] weights [28] bias [32] multipliers; the call's other words from 148 on.
        "strd r1, r2, [sp, #24]",
        "str r3, [sp, #32]",
        "ldr r1, [sp, #156]",
        "add r1, r0",
        "strd r0, r1, [sp, #12]",
        // Where in the loop a block begins, so that whole passes follow.
        "ldrd r0, r1, [sp, #164]",
        "adds r2, r0, #3",
        "lsrs r2, r2, #2",
        "rsbs r3, r0, #0",
        "and r3, r3, #3",
        "movs r4, #56",
        "muls r3, r4, r3",
        "adr.w r4, 3f + 1",
        "adds r3, r3, r4",
        "adr.w r5, 5f + 1",
        "adr.w r6, 4f + 1",
        "cmp r1, #0",
        "it ne",
        "movne r5, r6",
        "cmp r0, #0",
        "it eq",
        "moveq r3, r6",
        "str r2, [sp, #0]",
        "strd r3, r5, [sp, #4]",
        // Outputs of row 0 in even halves of words, of row 1 in odd ones.
        "movs r0, #0",
        "vidup.u32 q5, r0, #1",
        "mov r1, #0x10001",
        "vmul.i32 q5, q5, r1",
        "ldr r1, [sp, #160]",
        "lsls r1, r1, #16",
        "vadd.i32 q5, q5, r1",
        "ldr r0, [sp, #152]",
        "vdup.16 q4, r0",
        "ldrd r0, r1, [sp, #180]",
        "vdup.16 q6, r0",
        "vdup.16 q7, r1",
        "1:",
        "ldr r0, [sp, #148]",
        "ldrd r5, r7, [sp, #24]",
        // The place of a block's outputs less a fourth of where its biases end.
        "sub r0, r0, r7, lsr #2",
        "subs r0, #4",
        "str r0, [sp, #20]",
        "ldr r11, [sp, #32]",
        "2:",
        "ldrd r1, r3, [sp, #12]",
        "ldm r7!, {{r0, r2, r4, r6}}",
        "mov r8, r0",
        "mov r10, r2",
        "mov r12, r4",
        "mov lr, r6",
        "ldm sp, {{r9, pc}}",
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
        "ldr pc, [sp, #8]",
        // The values after the last sixteen; the lanes past them read 0.
        ".p2align 2",
        "4:",
        "ldr r9, [sp, #168]",
        "vctp.8 r9",
        "vpstt",
        "vldrbt.u8 q0, [r1]",
        "vldrbt.u8 q1, [r3]",
        "vldrb.u8 q2, [r5], #16",
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
        // Requantize.
        ".p2align 2",
        "5:",
        "vldrw.u32 q2, [r11], #16",
        "vmov d0, r0, r2",
        "vmov d1, r4, r6",
        "vmov d2, r8, r10",
        "vmov d3, r12, lr",
        "vcvt.f32.s32 q0, q0",
        "vcvt.f32.s32 q1, q1",
        "vmul.f32 q0, q0, q2",
        "vmul.f32 q1, q1, q2",
        "vcvtn.s32.f32 q0, q0",
        "vcvtn.s32.f32 q1, q1",
        "ldr r0, [sp, #20]",
        "ldr r2, [sp, #172]",
        "add r0, r0, r7, lsr #2",
        "vqmovnb.s32 q0, q0",
        "vqmovnt.s32 q0, q1",
        "vqadd.s16 q0, q0, q4",
        "vmax.s16 q0, q0, q6",
        "vmin.s16 q0, q0, q7",
        "vstrb.16 q0, [r0, q5]",
        "cmp r11, r2",
        "bne 2b",
        // The next two rows.
        "ldrd r0, r1, [sp, #156]",
        "ldrd r2, r3, [sp, #12]",
        "add r2, r2, r0, lsl #1",
        "add r3, r3, r0, lsl #1",
        "strd r2, r3, [sp, #12]",
        "ldr r0, [sp, #148]",
        "ldr r2, [sp, #176]",
        "add r0, r0, r1, lsl #1",
        "subs r2, #1",
        "str r0, [sp, #148]",
        "str r2, [sp, #176]",
        "bne 1b",
        "add sp, #48",
        "vpop {{d8-d15}}",
        "pop {{r4-r11, pc}}",
    )
}

/// Row by row.
///
/// # Safety
///
/// As [`pairs`] for `count` rows; any `y_stride`.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
#[unsafe(naked)]
unsafe extern "C" fn singles(call: Call) {
    // Sums: r0 r2 r4 r6. r1: the row; r5: weights; r9: bias; r11: multipliers;
    // r8: where multipliers end; r7: y; r3: steps; r10: zero point; r12: tail.
    // q6, q7: bounds.
    naked_asm!(
        ".arch armv8.1-m.main",
        ".arch_extension mve.fp",
        "push {{r4-r11, lr}}",
        "vpush {{d8-d15}}",
        "sub sp, #16",
        // [0] row [4] weights [8] bias [12] multipliers; the call's other words from 116 on.
        "stm sp, {{r0-r3}}",
        "ldrd r0, r1, [sp, #148]",
        "vdup.16 q6, r0",
        "vdup.16 q7, r1",
        "ldr r10, [sp, #120]",
        "ldrd r3, r12, [sp, #132]",
        "ldr r8, [sp, #140]",
        "1:",
        "ldr r7, [sp, #116]",
        "ldrd r5, r9, [sp, #4]",
        "ldr r11, [sp, #12]",
        "2:",
        "ldr r1, [sp]",
        "ldm r9!, {{r0, r2, r4, r6}}",
        "wls lr, r3, 4f",
        "3:",
        "vldrb.u8 q0, [r1], #16",
        "vldrb.u8 q1, [r5], #16",
        "vldrb.u8 q2, [r5], #16",
        "vmladava.s8 r0, q0, q1",
        "vldrb.u8 q3, [r5], #16",
        "vmladava.s8 r2, q0, q2",
        "vldrb.u8 q4, [r5], #16",
        "vmladava.s8 r4, q0, q3",
        "vmladava.s8 r6, q0, q4",
        "le lr, 3b",
        "4:",
        "cmp.w r12, #0",
        "beq 5f",
        "vctp.8 r12",
        "vpst",
        "vldrbt.u8 q0, [r1]",
        "vldrb.u8 q1, [r5], #16",
        "vldrb.u8 q2, [r5], #16",
        "vmladava.s8 r0, q0, q1",
        "vldrb.u8 q3, [r5], #16",
        "vmladava.s8 r2, q0, q2",
        "vldrb.u8 q4, [r5], #16",
        "vmladava.s8 r4, q0, q3",
        "vmladava.s8 r6, q0, q4",
        "5:",
        "vldrw.u32 q1, [r11], #16",
        "vmov d0, r0, r2",
        "vmov d1, r4, r6",
        "vcvt.f32.s32 q0, q0",
        "vmul.f32 q0, q0, q1",
        "vcvtn.s32.f32 q0, q0",
        "vqmovnb.s32 q0, q0",
        "vqadd.s16 q0, q0, r10",
        "vmax.s16 q0, q0, q6",
        "vmin.s16 q0, q0, q7",
        "vstrb.32 q0, [r7], #4",
        "cmp r11, r8",
        "bne 2b",
        "ldrd r0, r1, [sp, #124]",
        "ldr r2, [sp, #116]",
        "add r2, r1",
        "str r2, [sp, #116]",
        "ldr r2, [sp]",
        "add r2, r0",
        "str r2, [sp]",
        "ldr r2, [sp, #144]",
        "subs r2, #1",
        "str r2, [sp, #144]",
        "bne 1b",
        "add sp, #16",
        "vpop {{d8-d15}}",
        "pop {{r4-r11, pc}}",
    )
}
