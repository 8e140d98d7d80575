//! Sigmoid and tanh with the rational approximations that ONNX Runtime uses, so that
//! tables have its bits.
//!
//! The coefficients are those of Eigen's `plogistic` and `ptanh`, which ONNX Runtime's
//! MLAS library states in `logistic.cpp` and `tanh.cpp`; its x86-64 kernels evaluate
//! them with fused multiply-add.

/// 1 / (1 + exp(-x)).
pub fn logistic(x: f32) -> f32 {
    let x = x.clamp(-18.0, 18.0);
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
    (numerator / denominator + 0.5).clamp(0.0, 1.0)
}

/// Hyperbolic tangent.
pub fn tanh(x: f32) -> f32 {
    let x = x.clamp(-9.0, 9.0);
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
    rest.fold(first, |sum, &c| sum.mul_add(x, c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_stay_within_a_millionth_of_the_exact_function() {
        for i in -2000..=2000 {
            let x = i as f32 / 100.0;
            let exact = f64::from(x);
            assert!(
                (f64::from(logistic(x)) - 1.0 / (1.0 + (-exact).exp())).abs() < 1e-6,
                "{x}"
            );
            assert!((f64::from(tanh(x)) - exact.tanh()).abs() < 1e-6, "{x}");
        }
    }
}
