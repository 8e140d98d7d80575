//! The depthwise loop: four channels after the other, of each one output pixel after the
//! other.

use super::depthwise::CHANNELS;
use crate::numerics::Requantize;

/// Taps that a step of the loop takes.
const STEP: usize = 2;
/// Steps of a turn of the loop: a 3×3 kernel's.
#[cfg(target_arch = "arm")]
const TURN: usize = 5;
/// Rows of a kernel, at most.
pub(super) const ROWS: usize = 11;

/// Output pixels of consecutive channels.
pub(super) struct Pixels<'a> {
    /// Room for the widened weights of four channels, two words for each tap, `[kw][kh]`;
    /// an even number of taps, of which one too many is 0.
    pub(super) wide: &'a mut [i32],
    /// Room for the widened input of four channels, `[columns][kh][2]`. What the input
    /// does not fill is what padding reads.
    pub(super) strip: &'a mut [i32],
    /// Input rows from the first column on that is filled, and the words of the strip
    /// that they go to.
    pub(super) rows: &'a [(&'a [i8], usize)],
    /// Columns that are filled, and bytes between them.
    pub(super) columns: usize,
    pub(super) column_bytes: usize,
    /// `[kh][kw][channels]` from the first channel on.
    pub(super) weights: &'a [i8],
    pub(super) weight_zero_point: i32,
    pub(super) kernel: [usize; 2],
    /// Bytes between the weights of two taps, or two input columns.
    pub(super) channels: usize,
    /// Columns of the strip from pixel to pixel.
    pub(super) step: usize,
    pub(super) count: usize,
    pub(super) blocks: usize,
    /// Four for each block.
    pub(super) bias: &'a [i32],
    pub(super) multipliers: &'a [f32],
    pub(super) requantize: Requantize,
}

/// What the loop reads.
#[cfg(target_arch = "arm")]
#[repr(C)]
struct Frame {
    /// Steps that the first turn leaves out.
    skip: usize,
    x: *const i32,
    wide: *const i32,
    wide_end: *const i32,
    bias: *const i32,
    offset: i32,
    range: u32,
    low: u32,
    y_stride: usize,
    /// Bytes from pixel to pixel.
    x_step: usize,
    y: *mut i8,
    count: usize,
    multipliers: *const f32,
    strip: *const i32,
    y_block: *mut i8,
    block_count: usize,
    blocks: usize,
    weights: *const i8,
    weight_column: usize,
    weight_row: usize,
    kernel_w: usize,
    kernel_h: usize,
    /// In each half.
    weight_zero: i32,
    rows: *mut (*const i8, *mut i32),
    row_count: usize,
    columns: usize,
    column_bytes: usize,
    /// Bytes between columns of the strip.
    strip_column: usize,
}

impl Pixels<'_> {
    /// Writes the outputs of each pixel, `y_stride` apart; `None` where lengths do not go
    /// together.
    pub(super) fn outputs(mut self, y: &mut [i8], y_stride: usize) -> Option<()> {
        let [kh, kw] = self.kernel;
        let taps = kh.checked_mul(kw)?;
        let channels = self.blocks.checked_mul(CHANNELS)?;
        let pixels = self.count.checked_sub(1)?;
        let step = self.step.checked_mul(kh)?.checked_mul(2)?;
        let read = pixels.checked_mul(step)?.checked_add(self.wide.len())?;
        let fits = taps > 0
            && channels > 0
            && self.wide.len() == taps.checked_next_multiple_of(STEP)?.checked_mul(2)?
            && read <= self.strip.len()
            && pixels.checked_mul(y_stride)?.checked_add(channels)? <= y.len()
            && (taps - 1)
                .checked_mul(self.channels)?
                .checked_add(channels)?
                <= self.weights.len()
            && channels <= self.bias.len()
            && channels <= self.multipliers.len()
            && self.rows.len() <= ROWS;
        if !fits {
            return None;
        }
        let columns = self.columns.saturating_sub(1);
        let (bytes, words) = (
            columns.checked_mul(self.column_bytes)?,
            columns.checked_mul(kh)?,
        );
        for (x, to) in self.rows {
            let written = words.checked_mul(2)?.checked_add(*to)?.checked_add(2)?;
            if bytes.checked_add(channels)? > x.len() || written > self.strip.len() {
                return None;
            }
        }
        if self.columns == 0 {
            self.rows = &[];
        }
        self.run(y, y_stride);
        Some(())
    }

    /// [`outputs`](Self::outputs) has checked the lengths.
    #[cfg(target_arch = "arm")]
    #[allow(unsafe_code, reason = "a loop in assembly")]
    fn run(self, y: &mut [i8], y_stride: usize) {
        let [kernel_h, kernel_w] = self.kernel;
        let [low, high, zero_point] = self.requantize.bounds();
        let bytes = |value: i32| u32::from_ne_bytes([value as u8; 4]);
        let steps = self.wide.len() / (STEP * 2);
        let wide = self.wide.as_mut_ptr_range();
        let strip = self.strip.as_mut_ptr();
        let mut rows = [(core::ptr::null(), core::ptr::null_mut()); ROWS];
        for (row, (x, to)) in rows.iter_mut().zip(self.rows) {
            *row = (x.as_ptr(), strip.wrapping_add(*to));
        }
        let frame = Frame {
            skip: steps.next_multiple_of(TURN) - steps,
            x: strip,
            wide: wide.start,
            wide_end: wide.end,
            bias: self.bias.as_ptr(),
            offset: zero_point.wrapping_sub(low),
            range: bytes(high.wrapping_sub(low)),
            low: bytes(low),
            y_stride,
            x_step: self.step * kernel_h * 8,
            y: y.as_mut_ptr(),
            count: self.count,
            multipliers: self.multipliers.as_ptr(),
            strip,
            y_block: y.as_mut_ptr(),
            block_count: self.count,
            blocks: self.blocks,
            weights: self.weights.as_ptr(),
            weight_column: self.channels,
            weight_row: self.channels * kernel_w,
            kernel_w,
            kernel_h,
            weight_zero: self.weight_zero_point & 0xffff | self.weight_zero_point << 16,
            rows: rows.as_mut_ptr(),
            row_count: self.rows.len(),
            columns: self.columns,
            column_bytes: self.column_bytes,
            strip_column: kernel_h * 8,
        };
        // SAFETY: `outputs` has seen that every block has its weights, biases and
        // multipliers, every row its columns of all channels and room in the strip, every
        // pixel its words of the strip and four bytes of output for each block; there is
        // at least one block, pixel, tap, and, where there are rows, column.
        unsafe { blocks(&frame) }
    }

    /// The same on processors that do not have these instructions.
    #[cfg(not(target_arch = "arm"))]
    fn run(self, y: &mut [i8], y_stride: usize) {
        super::twin::depthwise(self, y, y_stride);
    }
}

/// Requantizes as [`three_pixels`](super::three_pixels) does.
///
/// # Safety
///
/// Everything that `frame` points to is there.
#[cfg(target_arch = "arm")]
#[allow(unsafe_code, reason = "the loop needs all registers")]
#[unsafe(naked)]
unsafe extern "C" fn blocks(frame: &Frame) {
    core::arch::naked_asm!(
        // Naked functions are assembled without the target's features.
        ".fpu fpv4-sp-d16",
        "push {{r4-r11, lr}}",
        "sub sp, #116",
        // The frame, each word at four times its place.
        "mov r12, sp",
        ".rept 4",
        "ldm.w r0!, {{r1-r7}}",
        "stm.w r12!, {{r1-r7}}",
        ".endr",
        // The instruction at which the first turn begins: 40 bytes a step.
        "ldr r1, [sp]",
        "adr.w r9, 2f",
        "add r9, r9, r1, lsl #5",
        "add r9, r9, r1, lsl #3",
        "orr r9, r9, #1",
        "str r9, [sp]",
        // A block of four channels: its weights.
        "6:",
        "ldr r0, [sp, #68]",
        "ldr r1, [sp, #8]",
        "add r4, r0, #4",
        "str r4, [sp, #68]",
        "add r2, sp, #72",
        // Bytes between columns and rows, their numbers, the zero point.
        "ldm r2, {{r2, r3, r4, r5, r6}}",
        "cmp r5, #3",
        "bne 7f",
        // Three rows together.
        "21:",
        "ldr r8, [r0]",
        "ldr r10, [r0, r3]",
        "ldr lr, [r0, r3, lsl #1]",
        "add r0, r0, r2",
        "sxtb16 r7, r8",
        "sxtb16 r8, r8, ror #8",
        "sxtb16 r9, r10",
        "sxtb16 r10, r10, ror #8",
        "sxtb16 r11, lr",
        "sxtb16 lr, lr, ror #8",
        "ssub16 r7, r7, r6",
        "ssub16 r8, r8, r6",
        "ssub16 r9, r9, r6",
        "ssub16 r10, r10, r6",
        "ssub16 r11, r11, r6",
        "ssub16 lr, lr, r6",
        "stm r1!, {{r7, r8, r9, r10, r11, lr}}",
        "subs r4, r4, #1",
        "bne 21b",
        "b 22f",
        "7:",
        "mov r7, r0",
        "mov r8, r5",
        "8:",
        "ldr r9, [r7]",
        "add r7, r7, r3",
        "sxtb16 r10, r9, ror #8",
        "sxtb16 r9, r9",
        "ssub16 r10, r10, r6",
        "ssub16 r9, r9, r6",
        "stm r1!, {{r9, r10}}",
        "subs r8, r8, #1",
        "bne 8b",
        "add r0, r0, r2",
        "subs r4, r4, #1",
        "bne 7b",
        // Its input.
        "22:",
        "add r0, sp, #92",
        // The rows, their number, columns, bytes between columns here and there.
        "ldm r0, {{r0, r1, r2, r3, r4}}",
        "cmp r1, #0",
        "beq 4f",
        "cmp r1, #3",
        "it eq",
        "cmpeq r4, #24",
        "bne 5f",
        // Three rows of a kernel of three together.
        "ldrd r5, r6, [r0]",
        "ldr r7, [r0, #8]",
        "ldr r8, [r0, #16]",
        "add r9, r5, #4",
        "str r9, [r0]",
        "add r9, r7, #4",
        "str r9, [r0, #8]",
        "add r9, r8, #4",
        "str r9, [r0, #16]",
        "mov lr, #0",
        "23:",
        "ldr r1, [r5, lr]",
        "ldr r9, [r7, lr]",
        "ldr r11, [r8, lr]",
        "add lr, lr, r3",
        "sxtb16 r0, r1",
        "sxtb16 r1, r1, ror #8",
        "sxtb16 r4, r9",
        "sxtb16 r9, r9, ror #8",
        "sxtb16 r10, r11",
        "sxtb16 r11, r11, ror #8",
        "stm r6!, {{r0, r1, r4, r9, r10, r11}}",
        "subs r2, r2, #1",
        "bne 23b",
        "b 4f",
        "5:",
        "ldrd r5, r6, [r0]",
        "mov r8, r2",
        "add r7, r5, #4",
        "str r7, [r0], #8",
        "9:",
        "ldr r9, [r5]",
        "add r5, r5, r3",
        "sxtb16 r10, r9, ror #8",
        "sxtb16 r9, r9",
        "strd r9, r10, [r6]",
        "add r6, r6, r4",
        "subs r8, r8, #1",
        "bne 9b",
        "subs r1, r1, #1",
        "bne 5b",
        "4:",
        "ldr r0, [sp, #48]",
        "vldmia r0!, {{s4-s7}}",
        "str r0, [sp, #48]",
        // Strip, outputs, and number of pixels.
        "add r0, sp, #52",
        "ldm r0, {{r1, r2, r3}}",
        "str r1, [sp, #4]",
        "strd r2, r3, [sp, #40]",
        "add r2, r2, #4",
        "str r2, [sp, #56]",
        // A pixel.
        "3:",
        "ldr r4, [sp, #16]",
        "ldrd r12, lr, [sp, #4]",
        "ldm r4, {{r0-r3}}",
        "ldr pc, [sp]",
        ".p2align 2",
        "2:",
        ".rept 5",
        "ldm.w r12!, {{r4-r7}}",
        "ldm.w lr!, {{r8-r11}}",
        "smlabb r0, r4, r8, r0",
        "smlabb r1, r5, r9, r1",
        "smlatt r2, r4, r8, r2",
        "smlatt r3, r5, r9, r3",
        "smlabb r0, r6, r10, r0",
        "smlabb r1, r7, r11, r1",
        "smlatt r2, r6, r10, r2",
        "smlatt r3, r7, r11, r3",
        ".endr",
        "ldr r4, [sp, #12]",
        "cmp lr, r4",
        "bne 2b",
        "vmov s0, s1, r0, r1",
        "vmov s2, s3, r2, r3",
        "vcvt.f32.s32 s0, s0",
        "vcvt.f32.s32 s1, s1",
        "vcvt.f32.s32 s2, s2",
        "vcvt.f32.s32 s3, s3",
        "vmul.f32 s0, s0, s4",
        "vmul.f32 s1, s1, s5",
        "vmul.f32 s2, s2, s6",
        "vmul.f32 s3, s3, s7",
        "vcvtr.s32.f32 s0, s0",
        "vcvtr.s32.f32 s1, s1",
        "vcvtr.s32.f32 s2, s2",
        "vcvtr.s32.f32 s3, s3",
        "add r4, sp, #20",
        // offset, range, low, y_stride, x_step, y, count.
        "ldm r4, {{r4-r10}}",
        "ldr r12, [sp, #4]",
        "vmov r0, r1, s0, s1",
        "vmov r2, r3, s2, s3",
        "qadd r0, r0, r4",
        "qadd r1, r1, r4",
        "qadd r2, r2, r4",
        "qadd r3, r3, r4",
        "usat r0, #8, r0",
        "usat r1, #8, r1",
        "usat r2, #8, r2",
        "usat r3, #8, r3",
        "orr r0, r0, r1, lsl #8",
        "orr r2, r2, r3, lsl #8",
        "orr r0, r0, r2, lsl #16",
        "uqsub8 r1, r0, r5",
        "subs r0, r0, r1",
        "uadd8 r0, r0, r6",
        "str r0, [r9]",
        "add r9, r9, r7",
        "add r12, r12, r8",
        "str r12, [sp, #4]",
        "subs r10, #1",
        "strd r9, r10, [sp, #40]",
        "bne 3b",
        // The next block.
        "ldr r0, [sp, #16]",
        "ldr r1, [sp, #64]",
        "add r0, r0, #16",
        "str r0, [sp, #16]",
        "subs r1, r1, #1",
        "str r1, [sp, #64]",
        "bne 6b",
        "add sp, #116",
        "pop {{r4-r11, pc}}",
    )
}
