//! Sums and products of two tensors, in every arrangement of their memory.

use crate::single::{Draw, Operand, Single, requantized, signed};
use proptest::prelude::*;
use sanderling_plan::step::{Add, Mul};
use sanderling_plan::{Dtype, Operator};

/// Where two operands and the output lie.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Apart,
    OverA,
    OverB,
    BothOneTensor,
    BothOneTensorInPlace,
    AConstant,
    BConstantOverA,
    BothConstant,
}

const LAYOUTS: [Layout; 8] = [
    Layout::Apart,
    Layout::OverA,
    Layout::OverB,
    Layout::BothOneTensor,
    Layout::BothOneTensorInPlace,
    Layout::AConstant,
    Layout::BConstantOverA,
    Layout::BothConstant,
];

/// Runs `operator` in every layout and compares it with `formula` on each element.
fn check(operator: Operator, len: u32, seed: u64, formula: impl Fn(i8, i8) -> i8) {
    let mut draw = Draw::new(seed);
    let (a, b) = (draw.i8s(len as usize), draw.i8s(len as usize));
    for layout in LAYOUTS {
        let tensor = |values: &[i8]| Operand::i8(&[len], values);
        let (operands, order, in_place) = match layout {
            Layout::Apart => (vec![tensor(&a), tensor(&b)], [0, 1], None),
            Layout::OverA => (vec![tensor(&a), tensor(&b)], [0, 1], Some(0)),
            Layout::OverB => (vec![tensor(&a), tensor(&b)], [0, 1], Some(1)),
            Layout::BothOneTensor => (vec![tensor(&a)], [0, 0], None),
            Layout::BothOneTensorInPlace => (vec![tensor(&a)], [0, 0], Some(0)),
            Layout::AConstant => (vec![tensor(&a).constant(), tensor(&b)], [0, 1], None),
            Layout::BConstantOverA => (vec![tensor(&a), tensor(&b).constant()], [0, 1], Some(0)),
            Layout::BothConstant => (
                vec![tensor(&a).constant(), tensor(&b).constant()],
                [0, 1],
                None,
            ),
        };
        let second = if order == [0, 0] { &a } else { &b };
        let expected: Vec<i8> = a.iter().zip(second).map(|(&a, &b)| formula(a, b)).collect();
        let got =
            Single::new().run_many(operator, &operands, &order, in_place, Dtype::I8, &[len], 0);
        assert_eq!(
            signed(&got),
            expected,
            "seed {seed}, {layout:?}, {operator:?}"
        );
    }
}

fn bias(draw: &mut Draw) -> i32 {
    if draw.bits() & 1 == 0 { 0 } else { 128 }
}

/// The parameters that a compiler derives from three random scales and zero points.
fn add(seed: u64) -> Add {
    let mut draw = Draw::new(seed);
    let [scale_a, scale_b, scale_y] = [0; 3].map(|_| draw.scale(-3.0, 0.0));
    let [bias_a, bias_b, bias_y] = [0; 3].map(|_| bias(&mut draw));
    let mut stored = |bias: i32| (draw.range(-128, 127) + bias) as f32;
    let (ratio_a, ratio_b) = (scale_a / scale_y, scale_b / scale_y);
    let fixed = stored(bias_y) - (ratio_a * stored(bias_a) + ratio_b * stored(bias_b));
    let (low, high) = draw.clamp();
    Add {
        ratio_a,
        ratio_b,
        fixed,
        bias_a,
        bias_b,
        bias_y,
        low,
        high,
    }
}

fn summed(p: Add, a: i8, b: i8) -> i8 {
    let (a, b) = (
        (i32::from(a) + p.bias_a) as f32,
        (i32::from(b) + p.bias_b) as f32,
    );
    let real = a.mul_add(p.ratio_a, b.mul_add(p.ratio_b, p.fixed));
    requantized(real, -p.bias_y, p.low, p.high)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::single::cases(300), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn add_is_two_fused_multiply_adds(len in 1u32..=200, seed: u64) {
        let p = add(seed);
        check(Operator::Add(p), len, seed, |a, b| summed(p, a, b));
    }

    #[test]
    fn mul_rounds_product_and_sum_apart(len in 1u32..=200, seed: u64) {
        let mut draw = Draw::new(seed);
        let bias_y = bias(&mut draw);
        let (low, high) = draw.clamp();
        let p = Mul {
            zero_a: draw.zero_point(),
            zero_b: draw.zero_point(),
            ratio: draw.scale(-4.0, 0.0),
            offset: (draw.range(-128, 127) + bias_y) as f32,
            bias_y,
            low,
            high,
        };
        check(Operator::Mul(p), len, seed, |a, b| {
            let product = (i32::from(a) - p.zero_a) * (i32::from(b) - p.zero_b);
            requantized(product as f32 * p.ratio + p.offset, -p.bias_y, p.low, p.high)
        });
    }
}

#[test]
fn add_of_every_pair_of_operands() {
    if cfg!(miri) {
        return; // A million sums; the random cases cover the memory accesses.
    }
    let a: Vec<i8> = (0..=u16::MAX).map(|i| (i >> 8) as i8).collect();
    let b: Vec<i8> = (0..=u16::MAX).map(|i| i as i8).collect();
    for seed in 0..20 {
        let p = add(seed);
        let expected: Vec<i8> = a.iter().zip(&b).map(|(&a, &b)| summed(p, a, b)).collect();
        let operands = [Operand::i8(&[65_536], &a), Operand::i8(&[65_536], &b)];
        let operator = Operator::Add(p);
        let got =
            Single::new().run_many(operator, &operands, &[0, 1], None, Dtype::I8, &[65_536], 0);
        assert!(signed(&got) == expected, "seed {seed}, {p:?}");
    }
}

/// Ratios whose products lie exactly between two outputs: ties go to the even one.
#[test]
fn add_rounds_ties_to_even() {
    let p = Add {
        ratio_a: 0.5,
        ratio_b: 0.25,
        fixed: 0.25,
        bias_a: 0,
        bias_b: 128,
        bias_y: 128,
        low: -128,
        high: 127,
    };
    check(Operator::Add(p), 200, 1, |a, b| summed(p, a, b));
}
