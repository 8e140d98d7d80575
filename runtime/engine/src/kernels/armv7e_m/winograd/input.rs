//! The transform of the inputs of a tile.

/// Writes `Bᵀ d B` of `steps` times four channels of the 16 `pixels`, column by column:
/// position after position, `stride` bytes apart, words 0 and 3 of each step of six.
///
/// # Safety
///
/// Every pixel has `4 · steps` bytes, `steps` at least 1; `to` has all of the words.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn transform(
    pixels: *const *const i8,
    steps: u32,
    to: *mut i32,
    stride: u32,
) {
    core::arch::naked_asm!(
        "push {{r4-r11, lr}}",
        "lsl r1, r1, #2",
        "push {{r1}}",
        "mov r1, #0",
        "2:",
        // Each column: rows 0 to 3 in r4 to r11, two pairs of channels each.
        ".rept 4",
        "ldm.w r0!, {{r5, r7, r9, r11}}",
        "ldr r5, [r5, r1]",
        "ldr r7, [r7, r1]",
        "ldr r9, [r9, r1]",
        "ldr r11, [r11, r1]",
        "sxtb16 r4, r5",
        "sxtb16 r5, r5, ror #8",
        "sxtb16 r6, r7",
        "sxtb16 r7, r7, ror #8",
        "sxtb16 r8, r9",
        "sxtb16 r9, r9, ror #8",
        "sxtb16 r10, r11",
        "sxtb16 r11, r11, ror #8",
        "ssub16 r4, r4, r8",
        "ssub16 r5, r5, r9",
        "ssub16 r10, r6, r10",
        "ssub16 r11, r7, r11",
        "sadd16 r12, r6, r8",
        "sadd16 lr, r7, r9",
        "ssub16 r8, r8, r6",
        "ssub16 r9, r9, r7",
        // Rows 0, 2, 3, 1.
        "push {{r4, r5, r8, r9, r10, r11, r12, lr}}",
        ".endr",
        // Each row, columns 0 to 3 in r4 to r11.
        ".irp at, 0, 24, 8, 16",
        "ldrd r4, r5, [sp, #96 + \\at]",
        "ldrd r6, r7, [sp, #64 + \\at]",
        "ldrd r8, r9, [sp, #32 + \\at]",
        "ldrd r10, r11, [sp, #\\at]",
        "ssub16 r4, r4, r8",
        "ssub16 r5, r5, r9",
        "sadd16 r12, r6, r8",
        "sadd16 lr, r7, r9",
        "ssub16 r8, r8, r6",
        "ssub16 r9, r9, r7",
        "ssub16 r10, r6, r10",
        "ssub16 r11, r7, r11",
        "str r4, [r2]",
        "str r5, [r2, #12]",
        "add r2, r2, r3",
        "str r12, [r2]",
        "str lr, [r2, #12]",
        "add r2, r2, r3",
        "str r8, [r2]",
        "str r9, [r2, #12]",
        "add r2, r2, r3",
        "str r10, [r2]",
        "str r11, [r2, #12]",
        "add r2, r2, r3",
        ".endr",
        "sub r2, r2, r3, lsl #4",
        "add sp, #128",
        "add r2, r2, #24",
        "sub r0, r0, #64",
        "ldr r12, [sp]",
        "add r1, r1, #4",
        "cmp r1, r12",
        "bne.w 2b",
        "add sp, #4",
        "pop {{r4-r11, pc}}",
    )
}
