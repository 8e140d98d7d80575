//! The two functions between which instructions are counted.

#![expect(
    unsafe_code,
    reason = "a symbol that keeps its name can clash with another one"
)]

use core::hint::black_box;

// SAFETY: no other symbol of the image has these names. The bodies differ, for the linker
// folds functions of equal bodies into one; `black_box` also keeps memory accesses from
// being moved across.

/// Counting begins here.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn mark_begin() {
    black_box(1u8);
}

/// Counting ends here.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn mark_end() {
    black_box(2u8);
}
