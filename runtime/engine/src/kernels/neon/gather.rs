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
    let done = match (len, step) {
        (9, 3) => threes::<3, 9>(to, row, x, count),
        (24, 8) => threes::<8, 24>(to, row, x, count),
        (48, 16) => threes::<16, 48>(to, row, x, count),
        (96, 32) => threes::<32, 96>(to, row, x, count),
        (192, 64) => threes::<64, 192>(to, row, x, count),
        _ => None,
    };
    if done.is_some() {
        return;
    }
    let done = match len {
        4 => runs::<4>(to, row, x, count, step),
        8 => runs::<8>(to, row, x, count, step),
        9 => runs::<9>(to, row, x, count, step),
        12 => runs::<12>(to, row, x, count, step),
        16 => runs::<16>(to, row, x, count, step),
        24 => runs::<24>(to, row, x, count, step),
        32 => runs::<32>(to, row, x, count, step),
        48 => runs::<48>(to, row, x, count, step),
        96 => runs::<96>(to, row, x, count, step),
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

/// Copies `count` runs of three pixels of `C` channels, one pixel from run to run, to `row`
/// apart; `None` where it has not copied all. `N` is three times `C`.
#[inline]
fn threes<const C: usize, const N: usize>(
    to: &mut [i8],
    row: usize,
    x: &[i8],
    count: usize,
) -> Option<()> {
    let before = count.checked_sub(1)?;
    let (pixels, _) = x
        .get(..before.checked_add(3)?.checked_mul(C)?)?
        .as_chunks::<C>();
    // The last row of a tile may end with its run.
    let (to, last) = to.split_at_mut_checked(before.checked_mul(row)?)?;
    if row < N {
        return None;
    }
    for (to, run) in to.chunks_exact_mut(row).zip(pixels.windows(3)) {
        if let (Some(to), Some(run)) = (to.first_chunk_mut::<N>(), run.as_flattened().first_chunk())
        {
            *to = *run;
        }
    }
    *last.first_chunk_mut::<N>()? = *pixels.get(before..)?.as_flattened().first_chunk()?;
    Some(())
}

/// Copies `count` runs of `N` values from `step` apart to `row` apart.
#[inline]
fn runs<const N: usize>(
    mut to: &mut [i8],
    row: usize,
    mut x: &[i8],
    count: usize,
    step: usize,
) -> Option<()> {
    for _ in 1..count {
        *to.first_chunk_mut::<N>()? = *x.first_chunk::<N>()?;
        to = to.get_mut(row..)?;
        x = x.get(step..)?;
    }
    if count > 0 {
        *to.first_chunk_mut::<N>()? = *x.first_chunk::<N>()?;
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
