//! A table of 256 bytes in sixteen registers.

use core::arch::aarch64::*;

/// Replaces every byte of `y` by its entry.
#[allow(unsafe_code, reason = "NEON is there")]
pub(crate) fn lookup(table: &[u8; 256], y: &mut [u8]) {
    // SAFETY: every 64-bit Arm processor that Rust is built for has NEON.
    unsafe { entries(table, y) }
}

#[target_feature(enable = "neon")]
fn entries(table: &[u8; 256], y: &mut [u8]) {
    let t: [uint8x16_t; 16] = bytemuck::cast(*table);
    let [
        t0,
        t1,
        t2,
        t3,
        t4,
        t5,
        t6,
        t7,
        t8,
        t9,
        ta,
        tb,
        tc,
        td,
        te,
        tf,
    ] = t;
    let (y16, rest) = y.as_chunks_mut::<16>();
    for y in y16 {
        let x: uint8x16_t = bytemuck::cast(*y);
        let next = vdupq_n_u8(64);
        // An index outside a table leaves what there is.
        let value = vqtbl4q_u8(uint8x16x4_t(t0, t1, t2, t3), x);
        let x = vsubq_u8(x, next);
        let value = vqtbx4q_u8(value, uint8x16x4_t(t4, t5, t6, t7), x);
        let x = vsubq_u8(x, next);
        let value = vqtbx4q_u8(value, uint8x16x4_t(t8, t9, ta, tb), x);
        let x = vsubq_u8(x, next);
        *y = bytemuck::cast(vqtbx4q_u8(value, uint8x16x4_t(tc, td, te, tf), x));
    }
    for y in rest {
        *y = table[usize::from(*y)];
    }
}
