//! Operators that treat each element alone, and softmax.

use crate::single::{Draw, Operand, Single, requantized, signed};
use proptest::prelude::*;
use sanderling_plan::step::{Dequantize, Fill, Lookup, Quantize, Softmax};
use sanderling_plan::{Dtype, Operator, Place};

/// The last entry belongs to the row's maximum; entries fall off as exponentials do.
fn exponentials(scale: f32) -> Vec<f32> {
    (0..=255u8)
        .map(|byte| ((f32::from(byte as i8) - 127.0) * scale).exp() * 1000.0)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::single::cases(300), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lookup_reads_the_table_whatever_the_signedness(
        len in 1u32..=300,
        in_place: bool,
        from_u8: bool,
        to_u8: bool,
        seed: u64,
    ) {
        let mut draw = Draw::new(seed);
        let table: Vec<u8> = (0..256).map(|_| draw.bits() as u8).collect();
        let mut single = Single::new();
        let p = Lookup { table: single.constant(&table) };
        let mut x = Operand::i8(&[len], &draw.i8s(len as usize));
        if from_u8 {
            x.dtype = Dtype::U8;
        }
        let dtype = if to_u8 { Dtype::U8 } else { Dtype::I8 };
        let expected: Vec<u8> = x.bytes.iter().map(|&x| table[usize::from(x)]).collect();
        let in_place = in_place.then_some(0);
        let got = single.run_many(Operator::Lookup(p), &[x], &[0], in_place, dtype, &[len], 0);
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn softmax_divides_each_entry_by_its_row(
        rows in 1u32..=4,
        classes in 1u32..=60,
        in_place: bool,
        seed: u64,
    ) {
        let mut draw = Draw::new(seed);
        let table = exponentials(draw.scale(-2.0, -0.5));
        let x = draw.i8s((rows * classes) as usize);
        let mut single = Single::new();
        let p = Softmax {
            table: single.constant(&table),
            inverse_scale: draw.range(1, 600) as f32,
            zero_point: draw.range(-128, 127),
        };
        let mut expected = Vec::new();
        for row in x.chunks(classes as usize) {
            let max = i32::from(*row.iter().max().unwrap());
            let entries: Vec<f32> =
                row.iter().map(|&x| table[(127 - max + i32::from(x)) as u8 as usize]).collect();
            let mut sum = 0f32;
            for e in &entries {
                sum += e;
            }
            let real = |e: &f32| requantized(e * p.inverse_scale / sum, p.zero_point, -128, 127);
            expected.extend(entries.iter().map(real));
        }
        let dims = [rows, classes];
        let operands = [Operand::i8(&dims, &x)];
        let in_place = in_place.then_some(0);
        let got = single.run_many(Operator::Softmax(p), &operands, &[0], in_place, Dtype::I8, &dims, 0);
        prop_assert_eq!(signed(&got), expected);
    }

    #[test]
    fn quantize_divides_rounds_and_saturates(
        mut reals in prop::collection::vec(any::<f32>(), 1..100),
        near in prop::collection::vec(-300f32..300.0, 1..100),
        scale in 0.001f32..10.0,
        zero_point in -128i32..=127,
    ) {
        reals.extend(near.iter().map(|v| v * scale));
        reals.extend(near.iter().map(|v| (v.round() + 0.5) * scale));
        reals.extend([f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, -0.0]);
        let p = Quantize { scale, zero_point };
        let expected: Vec<i8> =
            reals.iter().map(|x| requantized(x / scale, zero_point, -128, 127)).collect();
        let dims = [reals.len() as u32];
        let x = Operand {
            dtype: Dtype::F32,
            dims: dims.to_vec(),
            bytes: bytemuck::cast_slice(&reals).to_vec(),
            place: Place::Arena,
        };
        let got = Single::new().run(Operator::Quantize(p), x, Dtype::I8, &dims, 0);
        prop_assert_eq!(signed(&got), expected);
    }

    #[test]
    fn dequantize_gives_the_nearest_real(scale in any::<f32>(), zero_point in -128i32..=127) {
        prop_assume!(scale.is_finite());
        let x: Vec<i8> = (i8::MIN..=i8::MAX).collect();
        let p = Dequantize { scale, zero_point };
        let expected: Vec<u32> =
            x.iter().map(|&x| ((i32::from(x) - zero_point) as f32 * scale).to_bits()).collect();
        let x = Operand::i8(&[256], &x);
        let got = Single::new().run(Operator::Dequantize(p), x, Dtype::F32, &[256], 0);
        let got: Vec<u32> = got.chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
        prop_assert_eq!(got, expected);
    }
}

#[test]
fn a_nan_becomes_the_lowest_value_as_onnx_runtime_has_it() {
    let x = Operand {
        dtype: Dtype::F32,
        dims: vec![1],
        bytes: f32::NAN.to_le_bytes().to_vec(),
        place: Place::Arena,
    };
    let p = Quantize {
        scale: 1.0,
        zero_point: 5,
    };
    let got = Single::new().run(Operator::Quantize(p), x, Dtype::I8, &[1], 0);
    assert_eq!(signed(&got), [-128]);
}

#[test]
fn fill_writes_one_byte_everywhere() {
    for (dtype, bytes) in [(Dtype::I8, 77), (Dtype::I32, 308)] {
        let operator = Operator::Fill(Fill { value: 0xfe });
        let got = Single::new().run_many(operator, &[], &[], None, dtype, &[7, 11], 0);
        assert_eq!(got, vec![0xfe; bytes]);
    }
}

/// A hostile table whose entries are all 0 makes every quotient 0/0.
#[test]
fn softmax_of_nothing_gives_the_lowest_value() {
    let mut single = Single::new();
    let p = Softmax {
        table: single.constant(&[0f32; 256]),
        inverse_scale: 256.0,
        zero_point: 0,
    };
    let x = Operand::i8(&[1, 3], &[1, 2, 3]);
    let got = single.run(Operator::Softmax(p), x, Dtype::I8, &[1, 3], 0);
    assert_eq!(signed(&got), [-128; 3]);
}
