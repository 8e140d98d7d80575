//! The loops of depthwise convolutions.

use core::arch::naked_asm;
use sanderling_plan::packing::cortex_m55::Windows;

/// What [`interleave`] reads and writes; by value, the first four words in registers.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Interleave {
    pub(super) from: [*const i8; 4],
    pub(super) to: *mut i8,
    pub(super) bytes: usize,
    /// How far each goes on after sixteen bytes.
    pub(super) steps: [usize; 4],
}

/// `to[4 i + s] = from[s][i]`, except that a step of 0 reads the same sixteen bytes again.
///
/// # Safety
///
/// `bytes` are readable at each of `from`, sixteen where its step is 0, whose other value
/// is 16; four times as many, rounded up to a multiple of 64, are writable at `to`.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn interleave(call: Interleave) {
    naked_asm!(
        ".arch armv8.1-m.main",
        ".arch_extension mve.fp",
        "push {{r4-r10, lr}}",
        "ldrd r4, r9, [sp, #32]",
        "ldrd r5, r6, [sp, #40]",
        "ldrd r7, r8, [sp, #48]",
        "lsr r10, r9, #4",
        "wls lr, r10, 3f",
        "2:",
        "vldrb.u8 q0, [r0]",
        "vldrb.u8 q1, [r1]",
        "vldrb.u8 q2, [r2]",
        "vldrb.u8 q3, [r3]",
        "add r0, r5",
        "add r1, r6",
        "add r2, r7",
        "add r3, r8",
        "vst40.8 {{q0, q1, q2, q3}}, [r4]",
        "vst41.8 {{q0, q1, q2, q3}}, [r4]",
        "vst42.8 {{q0, q1, q2, q3}}, [r4]",
        "vst43.8 {{q0, q1, q2, q3}}, [r4]!",
        "le lr, 2b",
        "3:",
        "ands r9, r9, #15",
        "beq 4f",
        "vctp.8 r9",
        "vpstttt",
        "vldrbt.u8 q0, [r0]",
        "vldrbt.u8 q1, [r1]",
        "vldrbt.u8 q2, [r2]",
        "vldrbt.u8 q3, [r3]",
        "vst40.8 {{q0, q1, q2, q3}}, [r4]",
        "vst41.8 {{q0, q1, q2, q3}}, [r4]",
        "vst42.8 {{q0, q1, q2, q3}}, [r4]",
        "vst43.8 {{q0, q1, q2, q3}}, [r4]",
        "4:",
        "pop {{r4-r10, pc}}",
    )
}

/// What is written down for each vector of a window, in words: four offsets of its words
/// from the window's first; sixteen bytes that tell which tap each byte is; a mask of the
/// bytes that are one; three unused; the weights of four channels in the order of the bytes.
pub(super) type Table = [u32; Windows::TABLE / 4];

/// Where in a [`Table`] the taps are.
pub(super) const TABLE_TAPS: usize = 4;
/// Where in a [`Table`] the mask is.
pub(super) const TABLE_MASK: usize = 8;

/// What [`simple`] works on; by value, the first four words in registers.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Simple {
    /// The words of channel 0, column 0.
    pub(super) words: *const i8,
    /// `[4 · groups][taps]`.
    pub(super) weights: *const i8,
    pub(super) bias: *const i32,
    pub(super) multipliers: *const f32,
    pub(super) y: *mut i8,
    pub(super) zero_point: i32,
    /// Bytes from a pixel to the next: of `y`, and of the words under its window.
    pub(super) y_step: usize,
    pub(super) step: usize,
    pub(super) table: *const Table,
    pub(super) taps: usize,
    pub(super) pixels: usize,
    pub(super) groups: usize,
}

/// A row of outputs of `4 · groups` channels whose windows fit one vector each, without
/// bounds other than those of `i8`.
///
/// # Safety
///
/// The weights, biases, multipliers, outputs, and one table are there; every word that
/// the table names is, for each pixel and channel; `pixels` and `groups` are at least 1.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn simple(call: Simple) {
    // r0 r2 r4 r6: sums; r1: y; r3: its step; r5: the words' step; r7: zero point;
    // r8: weights; r9: words; r10: multipliers; r11: biases; r12: taps.
    // q1: the addresses of a window's words; q2: multipliers; q3: biases; q4-q7: weights.
    naked_asm!(
        ".arch armv8.1-m.main",
        ".arch_extension mve.fp",
        "push {{r4-r11, lr}}",
        "vpush {{d8-d15}}",
        // The call's words after the fourth from 100 on.
        "mov r9, r0",
        "mov r8, r1",
        "mov r11, r2",
        "mov r10, r3",
        "ldr r7, [sp, #104]",
        "ldrd r3, r5, [sp, #108]",
        "ldr r12, [sp, #120]",
        "2:",
        "ldr r2, [sp, #116]",
        "vldrb.u8 q0, [r2, #16]",
        "vldrw.u32 q1, [r2]",
        "ldr r2, [r2, #32]",
        "vmsr p0, r2",
        "vpst",
        "vldrbt.u8 q4, [r8, q0]",
        "add r8, r12",
        "vpst",
        "vldrbt.u8 q5, [r8, q0]",
        "add r8, r12",
        "vpst",
        "vldrbt.u8 q6, [r8, q0]",
        "add r8, r12",
        "vpst",
        "vldrbt.u8 q7, [r8, q0]",
        "add r8, r12",
        "vldrw.u32 q2, [r10], #16",
        "vldrw.u32 q3, [r11], #16",
        "vadd.i32 q1, q1, r9",
        "add r9, #16",
        "ldr r1, [sp, #100]",
        "add r2, r1, #4",
        "str r2, [sp, #100]",
        "ldr lr, [sp, #124]",
        "dls lr, lr",
        "3:",
        "vldrw.u32 q0, [q1]",
        "vmladav.s8 r0, q0, q4",
        "vldrw.u32 q0, [q1, #4]",
        "vmladav.s8 r2, q0, q5",
        "vldrw.u32 q0, [q1, #8]",
        "vmladav.s8 r4, q0, q6",
        "vldrw.u32 q0, [q1, #12]",
        "vmladav.s8 r6, q0, q7",
        "vadd.i32 q1, q1, r5",
        "vmov d0, r0, r2",
        "vmov d1, r4, r6",
        "vadd.i32 q0, q0, q3",
        "vcvt.f32.s32 q0, q0",
        "vmul.f32 q0, q0, q2",
        "vcvtn.s32.f32 q0, q0",
        "vqmovnb.s32 q0, q0",
        "vqadd.s16 q0, q0, r7",
        "vqmovnb.s16 q0, q0",
        "vstrb.32 q0, [r1]",
        "add r1, r3",
        "le lr, 3b",
        "ldr r2, [sp, #128]",
        "subs r2, #1",
        "str r2, [sp, #128]",
        "bne 2b",
        "vpop {{d8-d15}}",
        "pop {{r4-r11, pc}}",
    )
}

/// Puts the weights of four channels in the order of the windows' bytes.
///
/// # Safety
///
/// `vectors`, at least 1, tables are there, and `taps` weights at each of `weights`.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn spread(
    table: *mut Table,
    vectors: usize,
    weights: &[*const i8; 4],
) {
    naked_asm!(
        ".arch armv8.1-m.main",
        ".arch_extension mve.fp",
        "push {{r4-r7, lr}}",
        "ldm r2, {{r4-r7}}",
        "dls lr, r1",
        "2:",
        "vldrb.u8 q0, [r0, #16]",
        "ldr r3, [r0, #32]",
        "vmsr p0, r3",
        "vpst",
        "vldrbt.u8 q1, [r4, q0]",
        "vpst",
        "vldrbt.u8 q2, [r5, q0]",
        "vpst",
        "vldrbt.u8 q3, [r6, q0]",
        "vstrb.8 q1, [r0, #48]",
        "vpst",
        "vldrbt.u8 q1, [r7, q0]",
        "vstrb.8 q2, [r0, #64]",
        "vstrb.8 q3, [r0, #80]",
        "vstrb.8 q1, [r0, #96]",
        "add r0, #112",
        "le lr, 2b",
        "pop {{r4-r7, pc}}",
    )
}

/// What [`any`] works on; by value, the first four words in registers.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Any {
    /// The words of each of four channels, column 0.
    pub(super) words: [*const i8; 4],
    pub(super) table: *const Table,
    pub(super) vectors: usize,
    /// `[4]` each.
    pub(super) bias: *const i32,
    pub(super) multipliers: *const f32,
    pub(super) y: *mut i8,
    /// Bytes from a pixel to the next: of `y`, and of the words under its window.
    pub(super) y_step: usize,
    pub(super) step: usize,
    pub(super) zero_point: i32,
    pub(super) pixels: usize,
    /// Channels whose outputs are written, 1 to 4.
    pub(super) channels: usize,
}

/// A row of outputs of up to four channels with windows of any number of vectors, whose
/// weights [`spread`] has put in the tables; bounds as in [`simple`].
///
/// # Safety
///
/// The tables, biases, multipliers, and outputs are there; every word that a table names
/// is, for each pixel and channel; `pixels` and `vectors` are at least 1.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn any(call: Any) {
    // r0 r2 r4 r6: sums; r1 r3 r5 r7: words; r8: table; r9: vectors; r10: step;
    // r11: zero point; r12: y. q4: biases; q5: multipliers.
    naked_asm!(
        ".arch armv8.1-m.main",
        ".arch_extension mve.fp",
        "push {{r4-r11, lr}}",
        "vpush {{d8-d11}}",
        // The call's words after the fourth from 68 on.
        "mov r7, r3",
        "mov r5, r2",
        "mov r3, r1",
        "mov r1, r0",
        "ldrd r2, r4, [sp, #76]",
        "vldrw.u32 q4, [r2]",
        "vldrw.u32 q5, [r4]",
        "ldr r12, [sp, #84]",
        "ldrd r10, r11, [sp, #92]",
        "ldr r9, [sp, #72]",
        "2:",
        "ldr r8, [sp, #68]",
        "movs r0, #0",
        "movs r2, #0",
        "movs r4, #0",
        "movs r6, #0",
        "dls lr, r9",
        "3:",
        "vldrw.u32 q0, [r8]",
        "vldrw.u32 q1, [r1, q0]",
        "vldrb.u8 q2, [r8, #48]",
        "vmladava.s8 r0, q1, q2",
        "vldrw.u32 q1, [r3, q0]",
        "vldrb.u8 q2, [r8, #64]",
        "vmladava.s8 r2, q1, q2",
        "vldrw.u32 q1, [r5, q0]",
        "vldrb.u8 q2, [r8, #80]",
        "vmladava.s8 r4, q1, q2",
        "vldrw.u32 q1, [r7, q0]",
        "vldrb.u8 q2, [r8, #96]",
        "add r8, #112",
        "vmladava.s8 r6, q1, q2",
        "le lr, 3b",
        "vmov d0, r0, r2",
        "vmov d1, r4, r6",
        "add r1, r10",
        "add r3, r10",
        "add r5, r10",
        "add r7, r10",
        "vadd.i32 q0, q0, q4",
        "vcvt.f32.s32 q0, q0",
        "vmul.f32 q0, q0, q5",
        "vcvtn.s32.f32 q0, q0",
        "ldr r2, [sp, #104]",
        "vctp.32 r2",
        "ldr r4, [sp, #88]",
        "ldr r2, [sp, #100]",
        "mov r0, r12",
        "vqmovnb.s32 q0, q0",
        "vqadd.s16 q0, q0, r11",
        "vqmovnb.s16 q0, q0",
        "vpst",
        "vstrbt.32 q0, [r0]",
        "add r12, r4",
        "subs r2, #1",
        "str r2, [sp, #100]",
        "bne 2b",
        "vpop {{d8-d11}}",
        "pop {{r4-r11, pc}}",
    )
}
