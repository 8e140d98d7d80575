//! The instructions themselves, which `core::arch` does not offer yet.

use core::arch::aarch64::{int8x16_t, int32x4_t};
use core::arch::asm;

/// `acc[i] += Σ w[4i..4i + 4] · x[4·LANE..4·LANE + 4]`: four weights of each of four
/// outputs with the same four activations.
#[inline(always)]
#[allow(unsafe_code, reason = "core::arch has no stable dot product")]
pub(super) fn sdot_lane<const LANE: usize>(
    mut acc: int32x4_t,
    w: int8x16_t,
    x: int8x16_t,
) -> int32x4_t {
    // SAFETY: reads and writes the named registers and nothing else. `Isa::of` lets these
    // kernels run only on processors that have the instruction.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {acc:v}.4s, {w:v}.16b, {x:v}.4b[{lane}]",
            acc = inlateout(vreg) acc,
            w = in(vreg) w,
            x = in(vreg) x,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    acc
}

/// `acc[i] += Σ x[4i..4i + 4] · w[4i..4i + 4]`.
#[inline(always)]
#[allow(unsafe_code, reason = "core::arch has no stable dot product")]
pub(super) fn sdot(mut acc: int32x4_t, x: int8x16_t, w: int8x16_t) -> int32x4_t {
    // SAFETY: as above.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {acc:v}.4s, {x:v}.16b, {w:v}.16b",
            acc = inlateout(vreg) acc,
            x = in(vreg) x,
            w = in(vreg) w,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    acc
}
