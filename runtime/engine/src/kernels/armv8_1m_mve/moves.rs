//! Copies and fills of short runs, which is what gathering is made of.

use crate::kernels::Runs;
use core::arch::naked_asm;

/// What [`runs`] reads and writes; by value, the first four words in registers.
#[repr(C)]
#[derive(Clone, Copy)]
struct Call {
    to: *mut i8,
    to_step: usize,
    x: *const i8,
    step: usize,
    len: usize,
    count: usize,
    rows: usize,
    row_step: usize,
    to_row: usize,
    /// Where the ring of rows ends, and its length.
    end: *const i8,
    ring: usize,
}

/// All runs; `None` where one of them is not there.
#[inline]
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
pub(super) fn copy_runs(to: &mut [i8], call: &Runs<'_>) -> Option<()> {
    let pixels = call.count.checked_sub(1)?;
    let rows = call.rows.checked_sub(1)?;
    let reads = pixels.checked_mul(call.step)?.checked_add(call.len)?;
    let writes = pixels
        .checked_mul(call.to_step)?
        .checked_add(rows.checked_mul(call.to_row)?)?
        .checked_add(call.len)?;
    // One step leads past the ring's end at most once.
    let row_step = match rows {
        0 => 0,
        _ => call.row_step.checked_mul(call.row)?,
    };
    let first = call.slot.checked_mul(call.row)?;
    let there = call.start.checked_add(reads)? <= call.row
        && first.checked_add(call.row)? <= call.x.len()
        && row_step < call.x.len()
        && call.x.len().is_multiple_of(call.row)
        && writes <= to.len();
    if !there {
        return None;
    }
    let start = call.x.get(first.checked_add(call.start)?..)?;
    let call = Call {
        to: to.as_mut_ptr(),
        to_step: call.to_step,
        x: start.as_ptr(),
        step: call.step,
        len: call.len,
        count: call.count,
        rows: call.rows,
        row_step,
        to_row: call.to_row,
        end: call.x.as_ptr_range().end,
        ring: call.x.len(),
    };
    // SAFETY: every run lies inside its row, every row in the ring, and all that is written
    // in `to`, as was just checked; counts are at least 1.
    unsafe { runs(call) };
    Some(())
}

/// As many values as both have.
#[inline]
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
pub(super) fn copy_run(to: &mut [i8], x: &[i8]) {
    // SAFETY: both slices have that many.
    unsafe { copy(to.as_mut_ptr(), x.as_ptr(), to.len().min(x.len())) };
}

/// `value` everywhere.
#[inline]
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
pub(super) fn fill_run(to: &mut [i8], value: i8) {
    // SAFETY: the slice has that many.
    unsafe { fill(to.as_mut_ptr(), value.into(), to.len()) };
}

/// Copies runs.
///
/// # Safety
///
/// As [`copy_runs`] checks.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
#[unsafe(naked)]
unsafe extern "C" fn runs(call: Call) {
    // r0, r1: where to, and how far to the next pixel; r2, r3: the same of what is read;
    // r4: length; r8: count; r9: rows. The call's words after the fourth from 36 on.
    naked_asm!(
        ".arch armv8.1-m.main",
        ".arch_extension mve.fp",
        "push {{r4-r11, lr}}",
        "ldrd r4, r8, [sp, #36]",
        "ldr r9, [sp, #44]",
        "1:",
        "mov r10, r2",
        "mov r11, r0",
        "cmp r4, #16",
        "bhi 3f",
        // Runs of one vector.
        "vctp.8 r4",
        "dls lr, r8",
        "2:",
        "vpstt",
        "vldrbt.u8 q0, [r10]",
        "vstrbt.8 q0, [r11]",
        "add r10, r3",
        "add r11, r1",
        "le lr, 2b",
        "b 6f",
        "3:",
        "mov r5, r8",
        "4:",
        "mov r6, r10",
        "mov r7, r11",
        "dlstp.8 lr, r4",
        "5:",
        "vldrb.u8 q0, [r6], #16",
        "vstrb.8 q0, [r7], #16",
        "letp lr, 5b",
        "add r10, r3",
        "add r11, r1",
        "subs r5, #1",
        "bne 4b",
        // The next row.
        "6:",
        "ldrd r5, r6, [sp, #48]",
        "ldrd r7, r10, [sp, #56]",
        "add r2, r5",
        "add r0, r6",
        "cmp r2, r7",
        "it hs",
        "subhs r2, r10",
        "subs r9, #1",
        "bne 1b",
        "pop {{r4-r11, pc}}",
    )
}

/// Copies `len` bytes.
///
/// # Safety
///
/// They are readable at `x` and writable at `to`, and the two apart.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
#[unsafe(naked)]
unsafe extern "C" fn copy(to: *mut i8, x: *const i8, len: usize) {
    naked_asm!(
        ".arch armv8.1-m.main",
        ".arch_extension mve.fp",
        "push {{r7, lr}}",
        "wlstp.8 lr, r2, 3f",
        "2:",
        "vldrb.u8 q0, [r1], #16",
        "vstrb.8 q0, [r0], #16",
        "letp lr, 2b",
        "3:",
        "pop {{r7, pc}}",
    )
}

/// Fills `len` bytes.
///
/// # Safety
///
/// They are writable at `to`.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
#[unsafe(naked)]
unsafe extern "C" fn fill(to: *mut i8, value: i32, len: usize) {
    naked_asm!(
        ".arch armv8.1-m.main",
        ".arch_extension mve.fp",
        "push {{r7, lr}}",
        "vdup.8 q0, r1",
        "wlstp.8 lr, r2, 3f",
        "2:",
        "vstrb.8 q0, [r0], #16",
        "letp lr, 2b",
        "3:",
        "pop {{r7, pc}}",
    )
}
