//! Sums of two tensors, with the fused multiply-adds that their formula asks for.

use crate::memory::copy;
use crate::numerics::Sum;
use core::arch::naked_asm;

/// Elements that are added together.
const GROUP: usize = 8;
/// Magnitudes of the formula's factors and its constant, where they are not 0, within
/// which every result is 0 or a normal number: products and sums are multiples of 2⁻⁸⁴.
/// Vectors take numbers below the normal ones for 0, which the formula does not.
const NORMAL: core::ops::Range<f32> = 8.67e-19..1.15e18;

/// What [`groups`] works on; by value, the first four words in registers.
#[repr(C)]
#[derive(Clone, Copy)]
struct Call {
    y: *mut i8,
    a: *const i8,
    b: *const i8,
    count: usize,
    ratio_a: f32,
    ratio_b: f32,
    fixed: f32,
    bias_a: i32,
    bias_b: i32,
    zero_point: i32,
    low: i32,
    high: i32,
}

/// Adds all elements of `y`; an operand that is `None` is what `y` holds. `None` where an
/// operand is shorter.
pub(crate) fn add(sum: &Sum, y: &mut [i8], a: Option<&[i8]>, b: Option<&[i8]>) -> Option<()> {
    let whole = y.len() - y.len() % GROUP;
    let (y, y_last) = y.split_at_mut_checked(whole)?;
    groups_of(sum, y, a, b)?;
    if !y_last.is_empty() {
        let (mut a_last, mut b_last) = ([0i8; GROUP], [0i8; GROUP]);
        copy(
            &mut a_last,
            match a {
                Some(a) => a.get(whole..)?,
                None => y_last,
            },
        );
        copy(
            &mut b_last,
            match b {
                Some(b) => b.get(whole..)?,
                None => y_last,
            },
        );
        let mut last = [0i8; GROUP];
        groups_of(sum, &mut last, Some(&a_last), Some(&b_last))?;
        copy(y_last, &last);
    }
    Some(())
}

/// The same where `y` is whole groups.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
fn groups_of(sum: &Sum, y: &mut [i8], a: Option<&[i8]>, b: Option<&[i8]>) -> Option<()> {
    let count = y.len() / GROUP;
    let enough = |x: Option<&[i8]>| x.is_none_or(|x| x.len() >= y.len());
    if !enough(a) || !enough(b) || !y.len().is_multiple_of(GROUP) {
        return None;
    }
    if count == 0 {
        return Some(());
    }
    let [low, high, zero_point] = sum.requantize.bounds();
    let y = y.as_mut_ptr();
    let call = Call {
        y,
        a: a.map_or(y.cast_const(), <[i8]>::as_ptr),
        b: b.map_or(y.cast_const(), <[i8]>::as_ptr),
        count,
        ratio_a: sum.ratio_a,
        ratio_b: sum.ratio_b,
        fixed: sum.fixed,
        bias_a: sum.bias_a,
        bias_b: sum.bias_b,
        zero_point,
        low,
        high,
    };
    // SAFETY: all three have `count` groups, which is at least 1. Where one is both read
    // and written, each group is read before it is written.
    unsafe { groups(call) };
    Some(())
}

/// Whether [`add`] gives the bits of the formula.
pub(crate) fn adds(sum: &Sum) -> bool {
    let normal = |x: f32| x == 0.0 || NORMAL.contains(&x.abs());
    [sum.ratio_a, sum.ratio_b, sum.fixed]
        .into_iter()
        .all(normal)
}

/// Adds `count` groups.
///
/// # Safety
///
/// So many are readable at `a` and `b` and writable at `y`; `count` is at least 1.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
#[unsafe(naked)]
unsafe extern "C" fn groups(call: Call) {
    // r4: ratio of a; r5: fixed; r6, r7: biases; r8: zero point.
    // q4: ratio of b; q5, q6: bounds. Even elements in q0 and q1, odd ones in q2 and q3.
    naked_asm!(
        ".arch armv8.1-m.main",
        ".arch_extension mve.fp",
        "push {{r4-r9, lr}}",
        "vpush {{d8-d13}}",
        // The call's words after the fourth from 76 on.
        "ldr r4, [sp, #76]",
        "ldrd r9, r5, [sp, #80]",
        "ldrd r6, r7, [sp, #88]",
        "vdup.32 q4, r9",
        "ldrd r8, r9, [sp, #96]",
        "ldr r12, [sp, #104]",
        "vdup.16 q5, r9",
        "vdup.16 q6, r12",
        "dls lr, r3",
        "2:",
        "vldrb.s16 q0, [r1], #8",
        "vldrb.s16 q1, [r2], #8",
        "vadd.i16 q0, q0, r6",
        "vadd.i16 q1, q1, r7",
        "vmovlt.s16 q2, q0",
        "vmovlb.s16 q0, q0",
        "vmovlt.s16 q3, q1",
        "vmovlb.s16 q1, q1",
        "vcvt.f32.s32 q0, q0",
        "vcvt.f32.s32 q1, q1",
        "vcvt.f32.s32 q2, q2",
        "vcvt.f32.s32 q3, q3",
        "vfmas.f32 q1, q4, r5",
        "vfmas.f32 q3, q4, r5",
        "vfma.f32 q1, q0, r4",
        "vfma.f32 q3, q2, r4",
        "vcvtn.s32.f32 q1, q1",
        "vcvtn.s32.f32 q3, q3",
        "vqmovnb.s32 q1, q1",
        "vqmovnt.s32 q1, q3",
        "vqadd.s16 q1, q1, r8",
        "vmax.s16 q1, q1, q5",
        "vmin.s16 q1, q1, q6",
        "vstrb.16 q1, [r0], #8",
        "le lr, 2b",
        "vpop {{d8-d13}}",
        "pop {{r4-r9, pc}}",
    )
}
