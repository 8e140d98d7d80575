//! Strided copies and resizes against index arithmetic over every element.

use crate::single::{Draw, Operand, Single, signed};
use proptest::prelude::*;
use sanderling_plan::step::{Copy, ResizeNearest};
use sanderling_plan::{Dtype, Operator, Place};

/// Runs a copy whose destination is dense over `dims` or a part of it, and compares
/// every element that it writes.
fn check_copy(p: Copy, x: Operand, dims: &[u32]) {
    let width = x.dtype.bytes();
    let (dtype, source) = (x.dtype, x.bytes.clone());
    let got = Single::new().run(Operator::Copy(p), x, dtype, dims, 0);
    // The rest of the output keeps what it had, which differs from run to run: the
    // steps here cover all of it.
    let mut expected = vec![0u8; got.len()];
    let mut written = vec![false; got.len()];
    let elements: u32 = p.shape.iter().product();
    for element in 0..elements {
        let mut rest = element;
        let (mut from, mut to) = (i64::from(p.from), i64::from(p.to));
        for axis in (0..6).rev() {
            let index = i64::from(rest % p.shape[axis]);
            rest /= p.shape[axis];
            from += index * i64::from(p.from_strides[axis]);
            to += index * i64::from(p.to_strides[axis]);
        }
        for byte in 0..width {
            expected[to as usize * width + byte] = source[from as usize * width + byte];
            written[to as usize * width + byte] = true;
        }
    }
    assert!(
        written.iter().all(|&w| w),
        "the case does not cover its output"
    );
    assert_eq!(got, expected, "{p:?}");
}

fn dense(shape: [u32; 6]) -> [i32; 6] {
    let mut strides = [1i32; 6];
    for axis in (0..5).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1] as i32;
    }
    strides
}

fn operand(dtype: Dtype, dims: &[u32], seed: u64) -> Operand {
    let len = dims.iter().product::<u32>() as usize * dtype.bytes();
    let mut draw = Draw::new(seed);
    let bytes = (0..len).map(|_| draw.bits() as u8).collect();
    Operand {
        dtype,
        dims: dims.to_vec(),
        bytes,
        place: Place::Arena,
    }
}

fn dtype() -> impl Strategy<Value = Dtype> {
    prop::sample::select(Dtype::ALL.to_vec())
}

fn order() -> impl Strategy<Value = Vec<usize>> {
    Just((0..6).collect::<Vec<usize>>()).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::single::cases(500), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn transposes(shape in [1u32..=4, 1u32..=4, 1u32..=4, 1u32..=4, 1u32..=4, 1u32..=4], order in order(), dtype in dtype(), seed: u64) {
        // The source has the dimensions in the opposite order of the permutation.
        let mut source = [1u32; 6];
        for (axis, &from) in order.iter().enumerate() {
            source[from] = shape[axis];
        }
        let strides = dense(source);
        let mut from_strides = [0i32; 6];
        for (axis, &from) in order.iter().enumerate() {
            from_strides[axis] = strides[from];
        }
        let p = Copy { shape, from_strides, to_strides: dense(shape), from: 0, to: 0 };
        check_copy(p, operand(dtype, &source, seed), &shape);
    }

    #[test]
    fn slices_and_reversals(
        shape in [1u32..=3, 1u32..=3, 1u32..=3, 1u32..=3, 1u32..=3, 1u32..=5],
        skip in [1u32..=2, 1u32..=2, 1u32..=2, 1u32..=2, 1u32..=2, 1u32..=3],
        reverse in prop::array::uniform6(any::<bool>()),
        dtype in dtype(),
        seed: u64,
    ) {
        let mut source = [1u32; 6];
        for axis in 0..6 {
            source[axis] = shape[axis] * skip[axis];
        }
        let strides = dense(source);
        let (mut from, mut from_strides) = (0, [0i32; 6]);
        for axis in 0..6 {
            let stride = strides[axis] * skip[axis] as i32;
            from_strides[axis] = if reverse[axis] { -stride } else { stride };
            if reverse[axis] {
                from += (shape[axis] - 1) * stride as u32;
            }
        }
        let p = Copy { shape, from_strides, to_strides: dense(shape), from, to: 0 };
        check_copy(p, operand(dtype, &source, seed), &shape);
    }

    #[test]
    fn broadcasts(shape in [1u32..=3, 1u32..=3, 1u32..=3, 1u32..=3, 1u32..=3, 1u32..=5], repeat in prop::array::uniform6(any::<bool>()), dtype in dtype(), seed: u64) {
        let mut source = shape;
        for axis in 0..6 {
            if repeat[axis] {
                source[axis] = 1;
            }
        }
        let mut from_strides = dense(source);
        for axis in 0..6 {
            if repeat[axis] {
                from_strides[axis] = 0;
            }
        }
        let p = Copy { shape, from_strides, to_strides: dense(shape), from: 0, to: 0 };
        check_copy(p, operand(dtype, &source, seed), &shape);
    }

    #[test]
    fn resize_reads_the_rows_and_columns_that_its_tables_name(
        batch in 1u32..=2,
        from in [1u32..=5, 1u32..=5],
        to in [1u32..=7, 1u32..=7],
        channels in 1u32..=9,
        seed: u64,
    ) {
        let mut draw = Draw::new(seed);
        let mut table = |size: u32, len: u32| -> Vec<u16> {
            (0..len).map(|_| draw.range(0, size as i32 - 1) as u16).collect()
        };
        let (rows, columns) = (table(from[0], to[0]), table(from[1], to[1]));
        let x = draw.i8s((batch * from[0] * from[1] * channels) as usize);
        let mut expected = Vec::new();
        for n in 0..batch {
            for &row in &rows {
                for &column in &columns {
                    let pixel = (n * from[0] + u32::from(row)) * from[1] + u32::from(column);
                    let start = (pixel * channels) as usize;
                    expected.extend_from_slice(&x[start..start + channels as usize]);
                }
            }
        }
        let mut single = Single::new();
        let p = ResizeNearest { rows: single.constant(&rows), columns: single.constant(&columns) };
        let x = Operand::i8(&[batch, from[0], from[1], channels], &x);
        let dims = [batch, to[0], to[1], channels];
        let got = single.run(Operator::ResizeNearest(p), x, Dtype::I8, &dims, 0);
        prop_assert_eq!(signed(&got), expected);
    }
}
