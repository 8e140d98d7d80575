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

#[cfg(test)]
mod tests {
    use super::{sdot, sdot_lane};
    use proptest::prelude::*;

    /// The instruction in portable Rust: the same four activations for every output.
    fn portable(acc: [i32; 4], w: [i8; 16], x: impl Fn(usize) -> i8) -> [i32; 4] {
        let mut y = acc;
        for (at, &w) in w.iter().enumerate() {
            y[at / 4] = y[at / 4].wrapping_add(i32::from(w) * i32::from(x(at)));
        }
        y
    }

    fn byte() -> impl Strategy<Value = i8> {
        prop_oneof![Just(i8::MIN), Just(i8::MAX), any::<i8>()]
    }

    proptest! {
        #[test]
        fn the_instructions_do_what_their_portable_twins_do(
            acc in proptest::array::uniform4(any::<i32>()),
            w in proptest::array::uniform16(byte()),
            x in proptest::array::uniform16(byte()),
        ) {
            if !crate::runs(sanderling_plan::Target::Aarch64Dotprod) {
                return Ok(());
            }
            let (a, v, u) = (bytemuck::cast(acc), bytemuck::cast(w), bytemuck::cast(x));
            let lane = |lane: usize| portable(acc, w, |at| x[4 * lane + at % 4]);
            prop_assert_eq!(bytemuck::cast::<_, [i32; 4]>(sdot(a, u, v)), portable(acc, w, |at| x[at]));
            prop_assert_eq!(bytemuck::cast::<_, [i32; 4]>(sdot_lane::<0>(a, v, u)), lane(0));
            prop_assert_eq!(bytemuck::cast::<_, [i32; 4]>(sdot_lane::<1>(a, v, u)), lane(1));
            prop_assert_eq!(bytemuck::cast::<_, [i32; 4]>(sdot_lane::<2>(a, v, u)), lane(2));
            prop_assert_eq!(bytemuck::cast::<_, [i32; 4]>(sdot_lane::<3>(a, v, u)), lane(3));
        }
    }
}
