//! A function of each real element.

use super::reals::{Results, plain, within};
use crate::memory::Operands;
use libm::fmaf;
use sanderling_plan::step::RealMap;

pub(super) fn run(p: &RealMap, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        ..
    } = operands;
    let mut y = Results::of(output, output_shape.elements(), p.scale_y, p.zero_point)?;
    for (at, &x) in plain(&x)?.iter().enumerate() {
        let real = match p.function {
            RealMap::CLAMP => within(x, p.alpha, p.beta),
            RealMap::SIGMOID => sigmoid(x),
            RealMap::TANH => tanh(x),
            RealMap::LEAKY_RELU if x >= 0.0 => x,
            RealMap::LEAKY_RELU => p.alpha * x,
            _ => within(p.alpha * x + p.beta, 0.0, 1.0),
        };
        y.set(at, real)?;
    }
    Some(())
}

/// Eigen's `plogistic`, with the coefficients that ONNX Runtime's MLAS has.
fn sigmoid(x: f32) -> f32 {
    let x = within(x, -18.0, 18.0);
    let square = x * x;
    let numerator = x * horner(
        square,
        &[
            4.370_31e-11,
            1.156_272_6e-7,
            6.085_748_6e-5,
            8.513_771e-3,
            2.482_879_5e-1,
        ],
    );
    let denominator = horner(
        square,
        &[
            6.102_474e-13,
            5.761_021_4e-9,
            6.291_068e-6,
            1.701_988_2e-3,
            1.168_176_6e-1,
            9.931_519e-1,
        ],
    );
    within(numerator / denominator + 0.5, 0.0, 1.0)
}

/// Eigen's `ptanh`, likewise.
fn tanh(x: f32) -> f32 {
    let x = within(x, -9.0, 9.0);
    let square = x * x;
    let numerator = x * horner(
        square,
        &[
            -2.760_768_5e-16,
            2.000_188e-13,
            -8.604_672e-11,
            5.122_297e-8,
            1.485_722_35e-5,
            6.372_619_3e-4,
            4.893_524_6e-3,
        ],
    );
    let denominator = horner(
        square,
        &[1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3],
    );
    numerator / denominator
}

/// A polynomial, highest coefficient first.
fn horner(x: f32, coefficients: &[f32]) -> f32 {
    let mut rest = coefficients.iter();
    let first = rest.next().copied().unwrap_or(0.0);
    rest.fold(first, |sum, &c| fmaf(sum, x, c))
}
