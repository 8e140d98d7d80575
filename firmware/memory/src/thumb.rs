//! The functions themselves, for processors that load and store words at any address.

/// Begins a function that has several names.
macro_rules! named {
    ($section:literal, $($name:literal)+) => {
        concat!(
            ".pushsection .text.", $section, ",\"ax\",%progbits\n",
            ".balign 4\n",
            $(
                ".global ", $name, "\n",
                ".type ", $name, ", %function\n",
                ".thumb_func\n",
                $name, ":\n",
            )+
        )
    };
}

// Copies r2 bytes from r1 to r0, upwards: what is read has not been written where r0 lies
// before r1. Both are aligned for LDM mostly.
#[allow(unsafe_code, reason = "the compiler calls these by name")]
// SAFETY: reads and writes the bytes that the callers of `memcpy` name and nothing else, and
// keeps the registers that a callee keeps.
mod copy {
    core::arch::global_asm!(
        ".syntax unified",
        ".thumb",
        named!("sanderling_copy", "__aeabi_memcpy" "__aeabi_memcpy4" "__aeabi_memcpy8" "memcpy"),
        "push {{r0, r4, r5, r6}}",
        "subs r2, #16",
        "blo 4f",
        "orr r3, r0, r1",
        "lsls r3, r3, #30",
        "bne 3f",
        "2:",
        "ldm r1!, {{r3, r4, r5, r6}}",
        "stm r0!, {{r3, r4, r5, r6}}",
        "subs r2, #16",
        "bhs 2b",
        "b 4f",
        "3:",
        "ldr r3, [r1], #4",
        "ldr r4, [r1], #4",
        "ldr r5, [r1], #4",
        "ldr r6, [r1], #4",
        "str r3, [r0], #4",
        "str r4, [r0], #4",
        "str r5, [r0], #4",
        "str r6, [r0], #4",
        "subs r2, #16",
        "bhs 3b",
        // Fewer than 16 are left, as many as the low bits say.
        "4:",
        "lsls r3, r2, #29",
        "bcc 5f",
        "ldr r4, [r1], #4",
        "ldr r5, [r1], #4",
        "str r4, [r0], #4",
        "str r5, [r0], #4",
        "5:",
        "bpl 6f",
        "ldr r4, [r1], #4",
        "str r4, [r0], #4",
        "6:",
        "lsls r3, r2, #31",
        "bcc 7f",
        "ldrh r4, [r1], #2",
        "strh r4, [r0], #2",
        "7:",
        "bpl 8f",
        "ldrb r4, [r1]",
        "strb r4, [r0]",
        "8:",
        "pop {{r0, r4, r5, r6}}",
        "bx lr",
        ".popsection",
        // The same in either direction.
        named!("sanderling_move", "__aeabi_memmove" "__aeabi_memmove4" "__aeabi_memmove8" "memmove"),
        "subs r3, r0, r1",
        "cmp r3, r2",
        "bhs.w memcpy",
        // From the end, for r0 lies behind r1 and before its end.
        "add r1, r1, r2",
        "add r3, r0, r2",
        "2:",
        "subs r2, #4",
        "blo 3f",
        "ldr r12, [r1, #-4]!",
        "str r12, [r3, #-4]!",
        "b 2b",
        "3:",
        "adds r2, #4",
        "4:",
        "beq 5f",
        "ldrb r12, [r1, #-1]!",
        "strb r12, [r3, #-1]!",
        "subs r2, #1",
        "b 4b",
        "5:",
        "bx lr",
        ".popsection",
    );
}

// Fills the bytes at r0: r1 of them with r2 for those of the run-time ABI, r2 of them with r1
// for C's.
#[allow(unsafe_code, reason = "the compiler calls these by name")]
// SAFETY: writes the bytes that the callers of `memset` name and nothing else, and keeps the
// registers that a callee keeps.
mod fill {
    core::arch::global_asm!(
        ".syntax unified",
        ".thumb",
        named!("sanderling_fill", "__aeabi_memclr" "__aeabi_memclr4" "__aeabi_memclr8"),
        "movs r2, #0",
        ".popsection",
        named!("sanderling_fill", "__aeabi_memset" "__aeabi_memset4" "__aeabi_memset8"),
        "mov r3, r1",
        "mov r1, r2",
        "mov r2, r3",
        ".popsection",
        named!("sanderling_fill", "memset"),
        "mov r3, r0",
        "uxtb r1, r1",
        "orr r1, r1, r1, lsl #8",
        "orr r1, r1, r1, lsl #16",
        "subs r2, #16",
        "blo 3f",
        "2:",
        "str r1, [r3], #4",
        "str r1, [r3], #4",
        "str r1, [r3], #4",
        "str r1, [r3], #4",
        "subs r2, #16",
        "bhs 2b",
        "3:",
        "lsls r12, r2, #29",
        "bcc 4f",
        "str r1, [r3], #4",
        "str r1, [r3], #4",
        "4:",
        "bpl 5f",
        "str r1, [r3], #4",
        "5:",
        "lsls r12, r2, #31",
        "bcc 6f",
        "strh r1, [r3], #2",
        "6:",
        "bpl 7f",
        "strb r1, [r3]",
        "7:",
        "bx lr",
        ".popsection",
    );
}

// Compares r2 bytes at r0 and r1 as unsigned ones.
#[allow(unsafe_code, reason = "the compiler calls these by name")]
// SAFETY: reads the bytes that the callers of `memcmp` name and writes nothing, and keeps the
// registers that a callee keeps.
mod compare {
    core::arch::global_asm!(
        ".syntax unified",
        ".thumb",
        named!("sanderling_compare", "memcmp" "bcmp"),
        "2:",
        "subs r2, #1",
        "blo 3f",
        "ldrb r3, [r0], #1",
        "ldrb r12, [r1], #1",
        "subs r3, r3, r12",
        "beq 2b",
        "mov r0, r3",
        "bx lr",
        "3:",
        "movs r0, #0",
        "bx lr",
        ".popsection",
    );
}
