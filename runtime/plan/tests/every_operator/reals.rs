//! Steps whose results stay real.

use super::Builder;
use sanderling_plan::step::{RealConv, RealMap, RealMean, RealPair, RealProduct};
use sanderling_plan::{Dtype, Operator, TensorId};

/// Adds one of each; what they write is read by each other alone. `image` is `i8[1, 4, 4, 4]`.
pub(super) fn steps(b: &mut Builder, image: TensorId) {
    let sums = b.tensor("sums", Dtype::F32, &[1, 4, 4, 4]);
    let pairs = b.tensor("pairs", Dtype::F32, &[1, 4, 4, 4]);
    let means = b.tensor("reals", Dtype::F32, &[1, 4]);
    let classes = b.tensor("kinds", Dtype::F32, &[1, 3]);
    let mapped = b.tensor("mapped", Dtype::I8, &[1, 3]);
    let (low, high) = (-2.5, f32::MAX);
    let conv = RealConv {
        kernel_h: 3,
        kernel_w: 3,
        stride_h: 1,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: 1,
        pad_left: 1,
        groups: 2,
        weights: b.ramp(3 * 3 * 2 * 4),
        bias: b.biases(4),
        multipliers: b.floats(4, |i| 0.003 + i as f32 * 0.001),
        offsets: b.floats(4, |i| i as f32 - 1.5),
        input_zero_point: 3,
        weight_zero_point: 1,
        scale_z: 0.05,
        zero_z: 3,
        low,
        high,
        scale_y: 1.0,
        zero_point: 0,
    };
    b.step(Operator::RealConv(conv), &[image, image], sums, 18);
    let pair = RealPair {
        operation: RealPair::DIFFERENCE,
        reversed: true,
        scale_a: 1.0,
        zero_a: 0,
        scale_b: 0.05,
        zero_b: 3,
        inner: 1,
        extent: 64,
        low,
        high,
        scale_y: 1.0,
        zero_point: 0,
    };
    b.step(Operator::RealPair(pair), &[sums, image], pairs, 0);
    let mean = RealMean {
        outer: 1,
        reduce: 16,
        inner: 4,
        scale_x: 1.0,
        zero_x: 0,
        divisor: 16.0,
        scale_y: 1.0,
        zero_point: 0,
    };
    b.step(Operator::RealMean(mean), &[pairs], means, 0);
    let product = RealProduct {
        weights: b.floats(12, |i| i as f32 * 0.1 - 0.5),
        offsets: b.floats(3, |i| i as f32),
        low,
        high,
        scale_y: 1.0,
        zero_point: 0,
    };
    b.step(Operator::RealProduct(product), &[means], classes, 0);
    let map = RealMap {
        function: RealMap::SIGMOID,
        alpha: 0.0,
        beta: 0.0,
        scale_y: 0.004,
        zero_point: -128,
    };
    b.step(Operator::RealMap(map), &[classes], mapped, 0);
}
