//! Rows of activations into a tile: runs of a few bytes, for which a call of `memcpy`
//! costs more than the copying.

use super::i8x16;
use core::arch::aarch64::int8x16_t;
use core::arch::asm;

/// [`Kernel::put`](crate::kernels::Kernel::put) for tiles of rows.
#[inline(always)]
pub(crate) fn put(tile: &mut [i8], row: usize, pixel: usize, at: usize, x: &[i8]) {
    let start = pixel.wrapping_mul(row).wrapping_add(at);
    if let Some(to) = tile.get_mut(start..start.wrapping_add(x.len())) {
        copy(to, x);
    }
}

/// [`Kernel::put_strip`](crate::kernels::Kernel::put_strip) for tiles of rows.
#[inline(always)]
pub(crate) fn put_strip(
    tile: &mut [i8],
    row: usize,
    pixel: usize,
    at: usize,
    x: &[i8],
    [count, step, len]: [usize; 3],
) {
    let start = pixel.wrapping_mul(row).wrapping_add(at);
    let to = tile.get_mut(start..);
    let Some(to) = to else {
        return;
    };
    // Runs of a known length are copied without asking how long they are.
    let done = match len {
        4 => runs::<4>(to, row, x, count, step),
        8 => runs::<8>(to, row, x, count, step),
        9 => runs::<9>(to, row, x, count, step),
        12 => runs::<12>(to, row, x, count, step),
        16 => runs::<16>(to, row, x, count, step),
        24 => runs::<24>(to, row, x, count, step),
        32 => runs::<32>(to, row, x, count, step),
        48 => runs::<48>(to, row, x, count, step),
        64 => runs::<64>(to, row, x, count, step),
        96 => runs::<96>(to, row, x, count, step),
        128 => runs::<128>(to, row, x, count, step),
        192 => runs::<192>(to, row, x, count, step),
        _ => None,
    };
    if done.is_some() {
        return;
    }
    for p in 0..count {
        let (start, from) = (p.wrapping_mul(row), p.wrapping_mul(step));
        let to = to.get_mut(start..start.wrapping_add(len));
        if let (Some(to), Some(x)) = (to, x.get(from..from.wrapping_add(len))) {
            copy(to, x);
        }
    }
}

/// Copies `count` runs of `N` values from `step` apart to `row` apart; `None` where they are
/// not all there.
#[inline]
#[allow(unsafe_code, reason = "one check for all runs")]
fn runs<const N: usize>(
    to: &mut [i8],
    row: usize,
    x: &[i8],
    count: usize,
    step: usize,
) -> Option<()> {
    let before = count.checked_sub(1)?;
    let end = |apart: usize| before.checked_mul(apart)?.checked_add(N);
    if end(row)? > to.len() || end(step)? > x.len() {
        return None;
    }
    let (mut to, mut from) = (to.as_mut_ptr(), x.as_ptr());
    for _ in 0..count {
        // SAFETY: the last run, and so each before it, ends within its slice, and two slices
        // of which one is exclusive do not overlap.
        unsafe { to.copy_from_nonoverlapping(from, N) };
        (to, from) = (to.wrapping_add(row), from.wrapping_add(step));
    }
    Some(())
}

/// [`Kernel::fill`](crate::kernels::Kernel::fill) for tiles of rows.
#[inline(always)]
pub(crate) fn fill(tile: &mut [i8], row: usize, pixel: usize, at: usize, count: usize, value: i8) {
    let start = pixel.wrapping_mul(row).wrapping_add(at);
    if let Some(to) = tile.get_mut(start..start.wrapping_add(count)) {
        splat(to, value);
    }
}

/// Copies `from` to `to`, which is as long.
#[inline(always)]
pub(super) fn copy(to: &mut [i8], from: &[i8]) {
    if from.len() >= 16 {
        let (to16, rest) = to.as_chunks_mut::<16>();
        let whole = rest.is_empty();
        for (to, from) in to16.iter_mut().zip(from.as_chunks::<16>().0) {
            *to = bytemuck::cast(unseen(i8x16(from)));
        }
        // The last sixteen lie partly over those before.
        if !whole && let (Some(to), Some(from)) = (to.last_chunk_mut::<16>(), from.last_chunk()) {
            *to = *from;
        }
    } else if !(ends::<8>(to, from) || ends::<4>(to, from) || ends::<2>(to, from)) {
        ends::<1>(to, from);
    }
}

/// Copies the first and the last `N` values, where there are as many.
#[inline(always)]
fn ends<const N: usize>(to: &mut [i8], from: &[i8]) -> bool {
    let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else {
        return false;
    };
    if let Some(to) = to.first_chunk_mut::<N>() {
        *to = *first;
    }
    if let Some(to) = to.last_chunk_mut::<N>() {
        *to = *last;
    }
    true
}

/// Fills `to` with `value`.
#[inline(always)]
fn splat(to: &mut [i8], value: i8) {
    let values = [value; 16];
    if to.len() >= 16 {
        let (to16, rest) = to.as_chunks_mut::<16>();
        let whole = rest.is_empty();
        for to in to16 {
            *to = bytemuck::cast(unseen(i8x16(&values)));
        }
        if !whole && let Some(to) = to.last_chunk_mut() {
            *to = values;
        }
    } else {
        // Shorter than the values: none is left out.
        let values = values.get(..to.len()).unwrap_or(&[]);
        copy(to, values);
    }
}

/// The same vector, of which the compiler does not know that it is the same: it would
/// make a call of `memcpy` or `memset` out of the loop.
#[inline(always)]
#[allow(unsafe_code, reason = "an empty instruction")]
fn unseen(mut x: int8x16_t) -> int8x16_t {
    // SAFETY: no instruction at all.
    unsafe {
        asm!("/* {0:v} */", inlateout(vreg) x, options(pure, nomem, nostack, preserves_flags));
    }
    x
}

#[cfg(test)]
mod tests {
    use super::runs;
    use proptest::prelude::*;
    use std::vec;

    /// Run by run, in portable Rust.
    fn portable(to: &mut [i8], row: usize, x: &[i8], [count, step, len]: [usize; 3]) -> Option<()> {
        for i in 0..count {
            to.get(i * row..i * row + len)?;
            x.get(i * step..i * step + len)?;
        }
        for i in 0..count {
            to[i * row..i * row + len].copy_from_slice(&x[i * step..i * step + len]);
        }
        (count > 0).then_some(())
    }

    proptest! {
        #[test]
        fn runs_are_copied_as_slices_are(
            (rows, columns) in (0..90usize, 0..90usize),
            (row, step, count) in (0..30usize, 0..30usize, 0..5usize),
        ) {
            let x: vec::Vec<i8> = (0..columns).map(|i| i as i8).collect();
            let (mut y, mut expected) = (vec![-1; rows], vec![-1; rows]);
            let shape = |len| [count, step, len];
            let same = portable(&mut expected, row, &x, shape(9)) == runs::<9>(&mut y, row, &x, count, step);
            prop_assert!(same && y == expected);
            let same = portable(&mut expected, row, &x, shape(16)) == runs::<16>(&mut y, row, &x, count, step);
            prop_assert!(same && y == expected);
        }
    }
}
