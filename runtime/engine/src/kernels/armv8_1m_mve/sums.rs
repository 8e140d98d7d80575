//! Sums over the rows of a matrix, which means are made of.

use core::arch::naked_asm;

/// Columns that are summed together.
const LANES: usize = 8;
/// Rows whose sums fit 16 bits: 256 · 128 does.
const ROWS: usize = 256;

/// Adds the columns of `x`, rows of as many values as `acc` has, to `acc`.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
pub(crate) fn add_columns(acc: &mut [i32], x: &[i8]) -> Option<()> {
    let step = acc.len();
    for x in x.chunks(step.checked_mul(ROWS)?.max(1)) {
        let rows = x.len().checked_div(step)?;
        if rows == 0 {
            break;
        }
        for (block, acc) in acc.chunks_mut(LANES).enumerate() {
            let x = x.get(block * LANES..)?;
            if x.len() < (rows - 1).checked_mul(step)?.checked_add(acc.len())? {
                return None;
            }
            let mut sums = [0i32; LANES];
            // SAFETY: every row has `acc.len()` more values from this column on, as was
            // just checked for the last; rows and columns are at least 1.
            unsafe { columns(x.as_ptr(), step, rows, acc.len(), &mut sums) };
            for (acc, sum) in acc.iter_mut().zip(sums) {
                *acc = acc.wrapping_add(sum);
            }
        }
    }
    Some(())
}

/// Sums of up to eight columns.
///
/// # Safety
///
/// In each of `rows`, at least 1 and at most 256, `step` bytes apart, `columns` are readable.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
#[unsafe(naked)]
unsafe extern "C" fn columns(
    x: *const i8,
    step: usize,
    rows: usize,
    columns: usize,
    sums: &mut [i32; LANES],
) {
    naked_asm!(
        ".arch armv8.1-m.main",
        ".arch_extension mve.fp",
        "push {{r4, lr}}",
        "ldr r4, [sp, #8]",
        "vctp.16 r3",
        "vmov.i32 q1, #0",
        "dls lr, r2",
        "2:",
        "vpst",
        "vldrbt.s16 q0, [r0]",
        "add r0, r1",
        "vadd.i16 q1, q1, q0",
        "le lr, 2b",
        // Even sums and odd ones, and one after the other again.
        "vmovlb.s16 q0, q1",
        "vmovlt.s16 q1, q1",
        "vst20.32 {{q0, q1}}, [r4]",
        "vst21.32 {{q0, q1}}, [r4]",
        "pop {{r4, pc}}",
    )
}
