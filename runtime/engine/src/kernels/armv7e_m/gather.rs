//! Widening activations into a tile: word `3 · (2 · (k / 4) + k % 2) + pixel` holds the
//! activations `k` and `k + 2` of a pixel.

use super::frame::STEP;

/// Writes `x` to the activations from `at` on of pixel `pixel`.
pub(super) fn put(tile: &mut [i32], pixel: usize, at: usize, x: &[i8]) {
    let mut at = at;
    let head = at.wrapping_neg() % 4;
    let (head, x) = x.split_at(head.min(x.len()));
    for &x in head {
        set(tile, pixel, at, x);
        at += 1;
    }
    let (words, tail) = x.as_chunks::<4>();
    widen(tile, pixel, at, words);
    at += words.len() * 4;
    for &x in tail {
        set(tile, pixel, at, x);
        at += 1;
    }
}

/// Writes `len` activations of three pixels, which lie `step` apart in `x`; `None` where
/// they are not whole words of the tile, or not there.
pub(super) fn put_three(
    tile: &mut [i32],
    at: usize,
    x: &[i8],
    step: usize,
    len: usize,
) -> Option<()> {
    if !at.is_multiple_of(4) || !len.is_multiple_of(4) {
        return None;
    }
    let x = x.get(..step.checked_mul(2)?.checked_add(len)?)?;
    let from = (at / 4).checked_mul(STEP)?;
    let count = (len / 4).checked_mul(STEP)?;
    let tile = tile.get_mut(from..from.checked_add(count)?)?;
    widen_three(tile, x, step);
    Some(())
}

/// Writes `value` to `count` activations.
pub(super) fn fill(tile: &mut [i32], pixel: usize, at: usize, count: usize, value: i8) {
    let end = at.saturating_add(count);
    let aligned = at.next_multiple_of(4).min(end);
    for at in at..aligned {
        set(tile, pixel, at, value);
    }
    let both = i32::from(value) & 0xffff | i32::from(value) << 16;
    let from = (aligned / 4).wrapping_mul(STEP).wrapping_add(pixel);
    let (_, steps) = tile.split_at_mut(from.min(tile.len()));
    let words = (end - aligned) / 4;
    for step in steps.chunks_mut(STEP).take(words) {
        if let [even, _, _, odd, ..] = step {
            (*even, *odd) = (both, both);
        }
    }
    for at in aligned + words * 4..end {
        set(tile, pixel, at, value);
    }
}

/// Sum of the first `k` activations of a pixel; those behind them are 0.
pub(super) fn sum(tile: &[i32], pixel: usize, k: usize) -> i32 {
    let words = tile.iter().skip(pixel).step_by(3).take(k.div_ceil(4) * 2);
    words.fold(0, |sum, &word| {
        let halves = i32::from(word as i16).wrapping_add(word >> 16);
        sum.wrapping_add(halves)
    })
}

fn set(tile: &mut [i32], pixel: usize, at: usize, x: i8) {
    let word = (at / 4)
        .wrapping_mul(STEP)
        .wrapping_add(at % 2 * 3)
        .wrapping_add(pixel);
    if let Some(word) = tile.get_mut(word) {
        let [a, b, c, d] = word.to_le_bytes();
        let [low, high] = i16::from(x).to_le_bytes();
        *word = i32::from_le_bytes(match at % 4 < 2 {
            true => [low, high, c, d],
            false => [a, b, low, high],
        });
    }
}

/// Writes `words` from activation `at` on, a multiple of 4, of pixel `pixel`.
#[cfg(not(target_arch = "arm"))]
fn widen(tile: &mut [i32], pixel: usize, at: usize, words: &[[i8; 4]]) {
    let from = (at / 4).wrapping_mul(STEP).wrapping_add(pixel);
    let (_, steps) = tile.split_at_mut(from.min(tile.len()));
    for (step, word) in steps.chunks_mut(STEP).zip(words) {
        if let [even, _, _, odd, ..] = step {
            [*even, *odd] = pairs(*word);
        }
    }
}

/// Fills `tile`, six words for four activations of each of three pixels, which lie `step`
/// apart in `x` and are all there.
#[cfg(not(target_arch = "arm"))]
fn widen_three(tile: &mut [i32], x: &[i8], step: usize) {
    for pixel in 0..3 {
        let (words, _) = x.get(pixel * step..).unwrap_or(&[]).as_chunks::<4>();
        let words = words.get(..tile.len() / STEP).unwrap_or(&[]);
        widen(tile, pixel, 0, words);
    }
}

#[cfg(not(target_arch = "arm"))]
fn pairs(word: [i8; 4]) -> [i32; 2] {
    let pair = |low: i8, high: i8| i32::from(low) & 0xffff | i32::from(high) << 16;
    let [a, b, c, d] = word;
    [pair(a, c), pair(b, d)]
}

/// Writes `words` from activation `at` on, a multiple of 4, of pixel `pixel`.
#[cfg(target_arch = "arm")]
#[allow(unsafe_code, reason = "a loop in assembly")]
fn widen(tile: &mut [i32], pixel: usize, at: usize, words: &[[i8; 4]]) {
    let from = (at / 4).wrapping_mul(STEP).wrapping_add(pixel);
    let to = tile.get_mut(from..).unwrap_or(&mut []);
    // The last word lies three behind the first of the last step.
    if words.is_empty() || to.len() < words.len() * STEP - 2 {
        return;
    }
    // SAFETY: reads `words`, and writes the words 0 and 3 of as many steps of `to`, which
    // are there.
    unsafe {
        core::arch::asm!(
            "2:",
            "ldr {word}, [{x}], #4",
            "subs {count}, #1",
            "sxtb16 {odd}, {word}, ror #8",
            "sxtb16 {word}, {word}",
            "str {odd}, [{to}, #12]",
            "str {word}, [{to}], #24",
            "bne 2b",
            word = out(reg) _,
            odd = out(reg) _,
            x = inout(reg) words.as_ptr() => _,
            to = inout(reg) to.as_mut_ptr() => _,
            count = inout(reg) words.len() => _,
            options(nostack),
        );
    }
}

/// Fills `tile`, six words for four activations of each of three pixels, which lie `step`
/// apart in `x` and are all there.
#[cfg(target_arch = "arm")]
#[allow(unsafe_code, reason = "a loop in assembly")]
fn widen_three(tile: &mut [i32], x: &[i8], step: usize) {
    let count = tile.len() / STEP;
    let needed = step.saturating_mul(2).saturating_add(count * 4);
    if count > 0 && needed <= x.len() {
        let at = |pixel: usize| x.as_ptr().wrapping_add(pixel * step);
        // SAFETY: there are `count` words of each pixel, and six times as many in the tile.
        unsafe { three(tile.as_mut_ptr(), at(0), at(1), at(2), count) }
    }
}

/// Copies as many bytes as both have.
#[cfg(not(target_arch = "arm"))]
pub(super) fn stage(to: &mut [i8], x: &[i8]) {
    crate::memory::copy(to, x);
}

/// Copies as many bytes as both have; a call of `memcpy` costs more than most of these.
#[cfg(target_arch = "arm")]
#[allow(unsafe_code, reason = "a loop in assembly")]
#[inline]
pub(super) fn stage(to: &mut [i8], x: &[i8]) {
    let count = to.len().min(x.len());
    // SAFETY: copies `count` bytes, words first.
    unsafe {
        core::arch::asm!(
            "b 3f",
            "2:",
            "ldr {value}, [{x}], #4",
            "str {value}, [{to}], #4",
            "3:",
            "subs {count}, #4",
            "bhs 2b",
            "adds {count}, #4",
            "beq 5f",
            "4:",
            "ldrb {value}, [{x}], #1",
            "strb {value}, [{to}], #1",
            "subs {count}, #1",
            "bne 4b",
            "5:",
            value = out(reg) _,
            x = inout(reg) x.as_ptr() => _,
            to = inout(reg) to.as_mut_ptr() => _,
            count = inout(reg) count => _,
            options(nostack),
        );
    }
}

/// # Safety
///
/// `a`, `b`, and `c` have `count` words, at least one, `to` has six times as many.
#[cfg(target_arch = "arm")]
#[allow(unsafe_code, reason = "a loop in assembly")]
#[unsafe(naked)]
unsafe extern "C" fn three(to: *mut i32, a: *const i8, b: *const i8, c: *const i8, count: usize) {
    core::arch::naked_asm!(
        "push {{r4-r9, lr}}",
        "ldr r12, [sp, #28]",
        // Two in a turn, the first turn of an odd number begins in the middle.
        "add r12, r12, #1",
        "lsrs r12, r12, #1",
        "bcc 3f",
        "2:",
        "ldr r4, [r1], #4",
        "ldr r5, [r2], #4",
        "ldr r6, [r3], #4",
        "sxtb16 r7, r4, ror #8",
        "sxtb16 r8, r5, ror #8",
        "sxtb16 r9, r6, ror #8",
        "sxtb16 r4, r4",
        "sxtb16 r5, r5",
        "sxtb16 r6, r6",
        "stm.w r0!, {{r4-r9}}",
        "3:",
        "ldr r4, [r1], #4",
        "ldr r5, [r2], #4",
        "ldr r6, [r3], #4",
        "sxtb16 r7, r4, ror #8",
        "sxtb16 r8, r5, ror #8",
        "sxtb16 r9, r6, ror #8",
        "sxtb16 r4, r4",
        "sxtb16 r5, r5",
        "sxtb16 r6, r6",
        "stm.w r0!, {{r4-r9}}",
        "subs r12, r12, #1",
        "bne 2b",
        "pop {{r4-r9, pc}}",
    )
}
