//! How deep the stack went: the startup code paints it, and what is still painted was
//! never used.

#![expect(
    unsafe_code,
    reason = "the stack's bounds are linker symbols, and its words belong to nobody"
)]

use cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    static mut _stack_start: u32;
    static mut _stack_end: u32;
}

/// Bytes of stack that were in use at the deepest point since the start.
pub fn deepest() -> usize {
    let (top, bottom) = (&raw const _stack_start, &raw const _stack_end);
    let mut word = bottom;
    // SAFETY: every word from `_stack_end` up to the first one that is not painted any
    // more is memory that the startup code wrote and that no live frame reaches; reads
    // are volatile, for the compiler knows nothing of those writes.
    while word < top && unsafe { word.read_volatile() } == STACK_PAINT_VALUE {
        word = word.wrapping_add(1);
    }
    top as usize - word as usize
}
