//! Sums of bytes with the fused multiply-add that this processor has.

/// The terms of a sum, as `sanderling_plan::step::Add` has them.
#[repr(C)]
pub(crate) struct Terms {
    pub(crate) bias_a: i32,
    pub(crate) bias_b: i32,
    /// Lowest and highest output, and the output's zero point.
    pub(crate) offset: i32,
    pub(crate) range: u32,
    pub(crate) low: u32,
    pub(crate) ratio_a: f32,
    pub(crate) ratio_b: f32,
    pub(crate) fixed: f32,
}

impl Terms {
    /// Adds words of four bytes, as many as all three have. No intermediate result may be
    /// infinite or no number.
    #[allow(unsafe_code, reason = "a loop in assembly")]
    pub(crate) fn words(&self, y: &mut [[i8; 4]], a: &[[i8; 4]], b: &[[i8; 4]]) {
        let count = y.len().min(a.len()).min(b.len());
        if count > 0 {
            // SAFETY: there are so many words, at least one, in each of the three.
            unsafe { add(self, a.as_ptr(), b.as_ptr(), y.as_mut_ptr(), count) }
        }
    }
}

/// `a · b + c`, rounded once.
#[allow(unsafe_code, reason = "an instruction that `core` has no name for")]
pub(crate) fn fused(a: f32, b: f32, c: f32) -> f32 {
    // SAFETY: computes one register from others.
    f32::from_bits(unsafe { fused_bits(a.to_bits(), b.to_bits(), c.to_bits()) })
}

/// # Safety
///
/// None needed.
#[allow(unsafe_code, reason = "an instruction that `core` has no name for")]
#[unsafe(naked)]
unsafe extern "C" fn fused_bits(a: u32, b: u32, c: u32) -> u32 {
    core::arch::naked_asm!(
        ".fpu fpv4-sp-d16",
        "vmov s0, s1, r0, r1",
        "vmov s2, r2",
        "vfma.f32 s2, s0, s1",
        "vmov r0, s2",
        "bx lr",
    )
}

/// # Safety
///
/// `a`, `b`, and `y` have `count` words, at least one.
#[allow(unsafe_code, reason = "the loop needs all registers")]
#[unsafe(naked)]
unsafe extern "C" fn add(
    terms: &Terms,
    a: *const [i8; 4],
    b: *const [i8; 4],
    y: *mut [i8; 4],
    count: usize,
) {
    core::arch::naked_asm!(
        // Naked functions are assembled without the target's features.
        ".fpu fpv4-sp-d16",
        "push {{r4-r11, lr}}",
        "ldm r0!, {{r4-r8}}",
        "vldmia r0, {{s12-s14}}",
        "ldr r0, [sp, #36]",
        "2:",
        "ldr r9, [r2], #4",
        "sxtab r10, r5, r9",
        "sxtab r11, r5, r9, ror #8",
        "vmov s4, s5, r10, r11",
        "sxtab r10, r5, r9, ror #16",
        "sxtab r11, r5, r9, ror #24",
        "vmov s6, s7, r10, r11",
        "ldr r9, [r1], #4",
        "vmov.f32 s0, s14",
        "vmov.f32 s1, s14",
        "vmov.f32 s2, s14",
        "vmov.f32 s3, s14",
        "vcvt.f32.s32 s4, s4",
        "vcvt.f32.s32 s5, s5",
        "vcvt.f32.s32 s6, s6",
        "vcvt.f32.s32 s7, s7",
        "vfma.f32 s0, s4, s13",
        "vfma.f32 s1, s5, s13",
        "vfma.f32 s2, s6, s13",
        "vfma.f32 s3, s7, s13",
        "sxtab r10, r4, r9",
        "sxtab r11, r4, r9, ror #8",
        "vmov s4, s5, r10, r11",
        "sxtab r10, r4, r9, ror #16",
        "sxtab r11, r4, r9, ror #24",
        "vmov s6, s7, r10, r11",
        "vcvt.f32.s32 s4, s4",
        "vcvt.f32.s32 s5, s5",
        "vcvt.f32.s32 s6, s6",
        "vcvt.f32.s32 s7, s7",
        "vfma.f32 s0, s4, s12",
        "vfma.f32 s1, s5, s12",
        "vfma.f32 s2, s6, s12",
        "vfma.f32 s3, s7, s12",
        "vcvtr.s32.f32 s0, s0",
        "vcvtr.s32.f32 s1, s1",
        "vcvtr.s32.f32 s2, s2",
        "vcvtr.s32.f32 s3, s3",
        "vmov r9, r10, s0, s1",
        "vmov r11, r12, s2, s3",
        "qadd r9, r9, r6",
        "qadd r10, r10, r6",
        "qadd r11, r11, r6",
        "qadd r12, r12, r6",
        "usat r9, #8, r9",
        "usat r10, #8, r10",
        "usat r11, #8, r11",
        "usat r12, #8, r12",
        "orr r9, r9, r10, lsl #8",
        "orr r11, r11, r12, lsl #8",
        "orr r9, r9, r11, lsl #16",
        "uqsub8 r10, r9, r7",
        "sub r9, r9, r10",
        "uadd8 r9, r9, r8",
        "str r9, [r3], #4",
        "subs r0, #1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
    )
}
