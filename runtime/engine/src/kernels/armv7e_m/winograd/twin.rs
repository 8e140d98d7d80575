//! What the assembly computes, in portable Rust.

use super::{POSITIONS, STEP, TILE, TILES, Tiles, WEIGHTS};
use crate::kernels::armv7e_m::twin::smlad;
use sanderling_plan::packing::winograd::DEPTH;

/// `Bᵀ d` of a column, or `d B` of a row.
fn along([a, b, c, d]: [i32; 4]) -> [i32; 4] {
    [a - c, b + c, c - b, b - d]
}

pub(super) fn transform(pixels: &[&[i8]], steps: usize, to: &mut [i32], stride: usize) {
    for step in 0..steps {
        for pair in 0..2 {
            let lane = |lane: usize| {
                let at = step * DEPTH + pair + 2 * lane;
                let (columns, _) = pixels.as_chunks::<4>();
                let mut rows = [[0; 4]; 4];
                for (x, column) in columns.iter().enumerate() {
                    let column = column.map(|pixel| pixel.get(at).map_or(0, |&x| i32::from(x)));
                    for (row, value) in rows.iter_mut().zip(along(column)) {
                        if let Some(place) = row.get_mut(x) {
                            *place = value;
                        }
                    }
                }
                rows.map(along)
            };
            let (low, high) = (lane(0), lane(1));
            let words = low.as_flattened().iter().zip(high.as_flattened());
            for (position, (&low, &high)) in words.enumerate() {
                if let Some(word) = to.get_mut(position * stride + step * STEP + pair * TILES) {
                    *word = low & 0xffff | high << 16;
                }
            }
        }
    }
}

pub(super) fn products(tiles: &Tiles<'_>, steps: usize, at: &[usize; TILES * TILE], y: &mut [i8]) {
    let affine = tiles.bias.iter().zip(tiles.multipliers);
    for (output, (&bias, &multiplier)) in affine.enumerate() {
        let words = POSITIONS * WEIGHTS * steps;
        let weights = tiles.weights.get(output / 2 * words..).unwrap_or(&[]);
        for tile in (0..TILES).rev() {
            let mut sums = [[0i32; 4]; 4];
            for (position, sum) in sums.as_flattened_mut().iter_mut().enumerate() {
                let x = tiles.x.iter().skip(position * STEP * steps + tile);
                let w = weights.iter().skip(position * WEIGHTS * steps + output % 2);
                let pairs = x.step_by(TILES).zip(w.step_by(2));
                *sum = pairs
                    .take(2 * steps)
                    .fold(0, |sum, (&x, &w)| smlad(x, w, sum));
            }
            // Aᵀ M A.
            let back = |[a, b, c, d]: [i32; 4]| {
                let sum = a.wrapping_add(b).wrapping_add(c);
                [sum, b.wrapping_sub(c).wrapping_sub(d)]
            };
            let [a, b, c, d] = sums.map(back);
            let column = |of: fn([i32; 2]) -> i32| back([of(a), of(b), of(c), of(d)]);
            let [[top_left, bottom_left], [top_right, bottom_right]] =
                [column(|[left, _]| left), column(|[_, right]| right)];
            let pixels = [top_left, top_right, bottom_left, bottom_right];
            let places = at.iter().skip(TILE * tile);
            for (&at, sum) in places.zip(pixels).take(TILE).rev() {
                let acc = bias.wrapping_add(sum >> 2);
                if let Some(y) = y.get_mut(at + output) {
                    *y = tiles.requantize.accumulator(acc, multiplier);
                }
            }
        }
    }
}
