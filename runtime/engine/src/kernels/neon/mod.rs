//! What both sets of 64-bit Arm share: vectors in and out of slices, and requantization.
//!
//! NEON is part of every such processor, so that its intrinsics are safe to call here.

mod add;
pub(super) mod depthwise;
mod gather;
mod lanes;
mod lookup;
mod requantize;

pub(crate) use add::add;
pub(super) use gather::{fill, put, put_strip};
pub(super) use lanes::Lanes;
pub(crate) use lookup::lookup;
pub(super) use requantize::Finish;

use core::arch::aarch64::{float32x4_t, int8x8_t, int8x16_t, int32x4_t};

/// Sixteen bytes as a vector.
#[inline(always)]
pub(super) fn i8x16(x: &[i8; 16]) -> int8x16_t {
    bytemuck::cast(*x)
}

/// The four vectors of sixteen numbers.
#[inline(always)]
pub(super) fn i32x16(x: [i32; 16]) -> [int32x4_t; 4] {
    bytemuck::cast(x)
}

/// The four vectors of sixteen numbers.
#[inline(always)]
pub(super) fn f32x16(x: [f32; 16]) -> [float32x4_t; 4] {
    bytemuck::cast(x)
}

/// `N` values from `at` on; those past the end are zeros.
#[inline(always)]
pub(super) fn padded<T: Copy + Default, const N: usize>(x: &[T], at: usize) -> [T; N] {
    let x = x.get(at..).unwrap_or(&[]);
    match x.first_chunk::<N>() {
        Some(whole) => *whole,
        None => with_zeros(x),
    }
}

/// Fewer than `N` values.
#[cold]
#[inline(never)]
fn with_zeros<T: Copy + Default, const N: usize>(x: &[T]) -> [T; N] {
    let mut values = [T::default(); N];
    for (value, &x) in values.iter_mut().zip(x) {
        *value = x;
    }
    values
}

/// Writes sixteen outputs, or as many as there is room for.
#[inline(always)]
pub(super) fn store16(y: &mut [i8], values: int8x16_t) {
    let values: [i8; 16] = bytemuck::cast(values);
    if let Some(whole) = y.first_chunk_mut::<16>() {
        *whole = values;
        return;
    }
    for (y, value) in y.iter_mut().zip(values) {
        *y = value;
    }
}

/// The rows of `P` pixels, `k` values each, `stride` apart.
#[inline(always)]
pub(super) fn pixels<const P: usize>(
    mut rest: &[i8],
    stride: usize,
    k: usize,
) -> Option<[&[i8]; P]> {
    let mut x: [&[i8]; P] = [&[]; P];
    for (p, x) in x.iter_mut().enumerate() {
        if p > 0 {
            rest = rest.get(stride..)?;
        }
        *x = rest.get(..k)?;
    }
    Some(x)
}

/// Writes the first `room` of sixteen outputs of each pixel, `y_stride` apart.
#[inline(always)]
pub(super) fn store_strip<const P: usize>(
    mut y: &mut [i8],
    y_stride: usize,
    room: usize,
    values: [int8x16_t; P],
) -> Option<()> {
    if room == 16 {
        for (p, values) in values.into_iter().enumerate() {
            if p > 0 {
                y = y.get_mut(y_stride..)?;
            }
            *y.first_chunk_mut::<16>()? = bytemuck::cast(values);
        }
        return Some(());
    }
    let values: [[i8; 16]; P] = values.map(bytemuck::cast);
    store_some(y, y_stride, room, &values)
}

/// The same with eight outputs.
#[inline(always)]
pub(super) fn store_strip8<const P: usize>(
    mut y: &mut [i8],
    y_stride: usize,
    room: usize,
    values: [int8x8_t; P],
) -> Option<()> {
    for (p, values) in values.into_iter().enumerate() {
        if p > 0 {
            y = y.get_mut(y_stride..)?;
        }
        let values: [i8; 8] = bytemuck::cast(values);
        if room >= 8 {
            *y.first_chunk_mut::<8>()? = values;
            continue;
        }
        for (y, value) in y.get_mut(..room)?.iter_mut().zip(values) {
            *y = value;
        }
    }
    Some(())
}

#[inline(never)]
fn store_some<const N: usize>(
    mut y: &mut [i8],
    y_stride: usize,
    room: usize,
    values: &[[i8; N]],
) -> Option<()> {
    for (p, values) in values.iter().enumerate() {
        if p > 0 {
            y = y.get_mut(y_stride..)?;
        }
        gather::copy(y.get_mut(..room)?, values.get(..room)?);
    }
    Some(())
}
