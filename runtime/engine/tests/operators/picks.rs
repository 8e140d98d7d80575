//! Indices of extremes, rows by index, products of two tensors.

use crate::single::{Draw, Operand, Single, cases, requantized, signed};
use proptest::prelude::*;
use sanderling_plan::step::{ArgMax, Gather, MatMul};
use sanderling_plan::{Dtype, Operator, Place};

fn indices(values: &[i32]) -> Operand {
    Operand {
        dtype: Dtype::I32,
        dims: vec![values.len() as u32],
        bytes: bytemuck::cast_slice(values).to_vec(),
        place: Place::Arena,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(300), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arg_max_is_the_first_or_last_extreme(
        outer in 1u32..=4,
        reduce in 1u32..=300,
        inner in 1u32..=5,
        smallest: bool,
        last: bool,
        seed: u64,
    ) {
        let x = Draw::new(seed).i8s((outer * reduce * inner) as usize);
        let p = ArgMax { outer, reduce, inner, smallest, last };
        let value = |o: u32, r: u32, i: u32| x[((o * reduce + r) * inner + i) as usize];
        let mut expected: Vec<i32> = Vec::new();
        for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
            let column: Vec<i8> = (0..reduce).map(|r| value(o, r, i)).collect();
            let extreme = if smallest { column.iter().min() } else { column.iter().max() };
            let mut places = (0..).zip(&column).filter(|(_, v)| Some(*v) == extreme).map(|(at, _)| at);
            expected.extend(if last { places.last() } else { places.next() });
        }
        let operand = Operand::i8(&[outer, reduce, inner], &x);
        let got = Single::new().run(Operator::ArgMax(p), operand, Dtype::I32, &[outer, inner], 0);
        let got: Vec<i32> = got.chunks(4).map(bytemuck::pod_read_unaligned).collect();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn gather_copies_the_row_that_the_index_means(
        outer in 1u32..=3,
        extent in 1u32..=20,
        inner in 1u32..=9,
        count in 1usize..=8,
        constant: bool,
        seed: u64,
    ) {
        let mut draw = Draw::new(seed);
        let x = draw.i8s((outer * extent * inner) as usize);
        let end = extent as i32;
        // Some lie outside on either side.
        let index: Vec<i32> = (0..count).map(|_| draw.range(-end - 3, end + 3)).collect();
        let row = |o: u32, r: i32| &x[((o * extent + r as u32) * inner) as usize..][..inner as usize];
        let mut expected = Vec::new();
        for o in 0..outer {
            for &i in &index {
                let counted = if i < 0 { i + end } else { i };
                expected.extend_from_slice(row(o, counted.max(0).min(end - 1)));
            }
        }
        let table = Operand::i8(&[outer, extent, inner], &x);
        let table = if constant { table.constant() } else { table };
        let operator = Operator::Gather(Gather { outer, extent, inner });
        let dims = [outer, count as u32, inner];
        let got = Single::new().run_many(operator, &[table, indices(&index)], &[0, 1], None, Dtype::I8, &dims, 0);
        prop_assert_eq!(signed(&got), expected);
    }

    #[test]
    fn mat_mul_sums_rows_against_rows(
        batch in 1u32..=3,
        m in 1u32..=6,
        n in 1u32..=6,
        k in 1u32..=70,
        seed: u64,
    ) {
        let mut draw = Draw::new(seed);
        let (a, b) = (draw.i8s((batch * m * k) as usize), draw.i8s((batch * n * k) as usize));
        let (low, high) = draw.clamp();
        let p = MatMul {
            batch,
            zero_a: draw.zero_point(),
            zero_b: draw.zero_point(),
            multiplier: draw.scale(-5.0, -1.0),
            zero_point: draw.zero_point(),
            low,
            high,
        };
        let mut expected = Vec::new();
        for (matrix, row) in (0..batch).flat_map(|z| (0..m).map(move |row| (z, row))) {
            for column in 0..n {
                let acc: i32 = (0..k)
                    .map(|i| {
                        let a = a[((matrix * m + row) * k + i) as usize];
                        let b = b[((matrix * n + column) * k + i) as usize];
                        (i32::from(a) - p.zero_a) * (i32::from(b) - p.zero_b)
                    })
                    .sum();
                expected.push(requantized(acc as f32 * p.multiplier, p.zero_point, low, high));
            }
        }
        let operands = [Operand::i8(&[batch, m, k], &a), Operand::i8(&[batch, n, k], &b)];
        let got = Single::new().run_many(
            Operator::MatMul(p), &operands, &[0, 1], None, Dtype::I8, &[batch, m, n], 0,
        );
        prop_assert_eq!(signed(&got), expected);
    }
}
