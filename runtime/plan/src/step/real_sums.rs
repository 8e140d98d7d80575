//! Sums that stay real: where a model ends in float, and where a float step stands between an
//! operator and its quantization.

use super::check::{Check, nhwc, require, window, zero_point_i8};
use super::wide::i16_range;
use super::word::parameters;
use crate::{Dtype, StepFault, Tensor};

parameters! {
    /// Parameters of a convolution whose sums are not quantized at once.
    ///
    /// `acc` is that of [`Conv`](super::Conv), weights `[out][kh][kw][in / groups]`;
    /// `real = f32(acc) · multiplier[o] + offset[o]`, to which a second operand of as many
    /// elements is added where there is one: as it is in `f32`, in `i8` or `i16` as
    /// `f32(z - zero_z) · scale_z`. Every operation is rounded, and the result is clamped to
    /// `low..=high`. Where y is `i8` it is quantized as [`Quantize`](super::Quantize) does.
    pub struct RealConv {
        /// Rows of the kernel.
        pub kernel_h: u32,
        /// Columns of the kernel.
        pub kernel_w: u32,
        /// Input rows between two output rows.
        pub stride_h: u32,
        /// Input columns between two output columns.
        pub stride_w: u32,
        /// Input rows between two kernel rows.
        pub dilation_h: u32,
        /// Input columns between two kernel columns.
        pub dilation_w: u32,
        /// Rows of padding above.
        pub pad_top: u32,
        /// Columns of padding to the left.
        pub pad_left: u32,
        /// Groups that the channels are divided into.
        pub groups: u32,
        /// Offset of the `i8` weights.
        pub weights: u32,
        /// Offset of `i32[out]`, the input's zero point folded in as in [`Conv`](super::Conv).
        pub bias: u32,
        /// Offset of `f32[out]`: input scale · weight scale.
        pub multipliers: u32,
        /// Offset of `f32[out]`.
        pub offsets: u32,
        /// What padding reads.
        pub input_zero_point: i32,
        /// Zero point of the weights.
        pub weight_zero_point: i32,
        /// Real value of one step of the second operand.
        pub scale_z: f32,
        /// Its zero point.
        pub zero_z: i32,
        /// Lowest real result.
        pub low: f32,
        /// Highest real result.
        pub high: f32,
        /// Real value of one step of y; 1 where y is real.
        pub scale_y: f32,
        /// Zero point of y; 0 where y is real.
        pub zero_point: i32,
    }
}

impl RealConv {
    /// Elements of scratch: the activations that one output pixel of a group reads.
    pub fn patch(&self, channels_in: usize) -> Option<usize> {
        (self.kernel_h as usize)
            .checked_mul(self.kernel_w as usize)?
            .checked_mul(channels_in / (self.groups as usize).max(1))
    }

    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let (x, z) = match check.inputs {
            [x] => (x, None),
            [x, z] => (x, Some(z)),
            _ => return Err(StepFault::Operand),
        };
        require(x.dtype == Dtype::I8, StepFault::Dtype)?;
        if let Some(z) = z {
            operand(z, self.scale_z, self.zero_z)?;
            let same = z.shape.elements() == check.output.shape.elements();
            require(same, StepFault::Shape)?;
        }
        let [n, _, _, channels_in] = nhwc(&x.shape)?;
        let [batch, out_h, out_w, channels_out] = nhwc(&check.output.shape)?;
        require(n == batch, StepFault::Shape)?;
        require(self.groups > 0, StepFault::Parameter)?;
        require(channels_in.is_multiple_of(self.groups), StepFault::Shape)?;
        require(channels_out.is_multiple_of(self.groups), StepFault::Shape)?;
        let (h, w) = (self.kernel_h, self.kernel_w);
        window(h, self.stride_h, self.dilation_h, self.pad_top, out_h)?;
        window(w, self.stride_w, self.dilation_w, self.pad_left, out_w)?;
        let outputs = channels_out as usize;
        let patch = self.patch(channels_in as usize);
        let patch = patch.ok_or(StepFault::Scratch)?;
        check.scratch(patch)?;
        let weights = patch.checked_mul(outputs).ok_or(StepFault::Constant)?;
        check.constant(self.weights, weights)?;
        let words = outputs.checked_mul(4).ok_or(StepFault::Constant)?;
        check.constant(self.bias, words)?;
        check.finite(self.multipliers, outputs)?;
        check.finite(self.offsets, outputs)?;
        zero_point_i8(self.input_zero_point)?;
        zero_point_i8(self.weight_zero_point)?;
        result(check, [self.low, self.high], self.scale_y, self.zero_point)
    }
}

parameters! {
    /// Parameters of an operation on two real tensors, each `f32`, or `i8` or `i16` with scale
    /// and zero point, `f32(q - zero) · scale`.
    ///
    /// Element `i` of a meets element `i / inner % extent` of b: `inner` 1 and all of b's
    /// elements pair them off, `extent` 1 takes one number, and others a vector along an axis.
    /// `real` is the [operation](RealPair::SUM) of the first and the second, rounded and clamped
    /// to `low..=high`. Where y is `i8` it is quantized as [`Quantize`](super::Quantize) does.
    pub struct RealPair {
        /// [`SUM`](RealPair::SUM) and so on.
        pub operation: u32,
        /// Whether b is the first.
        pub reversed: bool,
        /// Real value of one step of a; 1 where a is real.
        pub scale_a: f32,
        /// Zero point of a; 0 where a is real.
        pub zero_a: i32,
        /// Real value of one step of b; 1 where b is real.
        pub scale_b: f32,
        /// Zero point of b; 0 where b is real.
        pub zero_b: i32,
        /// Elements of a for each of b.
        pub inner: u32,
        /// Elements of b.
        pub extent: u32,
        /// Lowest real result.
        pub low: f32,
        /// Highest real result.
        pub high: f32,
        /// Real value of one step of y; 1 where y is real.
        pub scale_y: f32,
        /// Zero point of y; 0 where y is real.
        pub zero_point: i32,
    }
}

impl RealPair {
    /// The first plus the second.
    pub const SUM: u32 = 0;
    /// The first less the second.
    pub const DIFFERENCE: u32 = 1;
    /// The first times the second.
    pub const PRODUCT: u32 = 2;
    /// The first by the second.
    pub const QUOTIENT: u32 = 3;

    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [a, b] = check.inputs_of::<2>()?;
        require(self.operation <= Self::QUOTIENT, StepFault::Parameter)?;
        operand(a, self.scale_a, self.zero_a)?;
        operand(b, self.scale_b, self.zero_b)?;
        require(self.inner > 0 && self.extent > 0, StepFault::Parameter)?;
        let fits = a.shape.elements() == check.output.shape.elements()
            && b.shape.elements() == self.extent as usize;
        require(fits, StepFault::Shape)?;
        result(check, [self.low, self.high], self.scale_y, self.zero_point)
    }
}

parameters! {
    /// Parameters of a mean over the middle of three groups of axes.
    ///
    /// In `f32` the sum is taken in order, with the rounding errors carried along (Kahan); in
    /// `i8` and `i16` it is `f32(Σ (x - zero_x)) · scale_x`. `real = sum / divisor`, and where y is `i8`
    /// it is quantized as [`Quantize`](super::Quantize) does.
    pub struct RealMean {
        /// Product of the extents before those that are reduced.
        pub outer: u32,
        /// Product of those that are reduced.
        pub reduce: u32,
        /// Product of the extents after them.
        pub inner: u32,
        /// Real value of one step of x; 1 where x is real.
        pub scale_x: f32,
        /// Zero point of x; 0 where x is real.
        pub zero_x: i32,
        /// `reduce` for a mean, 1 for a sum.
        pub divisor: f32,
        /// Real value of one step of y; 1 where y is real.
        pub scale_y: f32,
        /// Zero point of y; 0 where y is real.
        pub zero_point: i32,
    }
}

impl RealMean {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.inputs_of::<1>()?;
        operand(x, self.scale_x, self.zero_x)?;
        let elements = |extents: [u32; 3]| {
            (extents.into_iter()).try_fold(1usize, |n, e| n.checked_mul(e as usize))
        };
        let (outer, reduce, inner) = (self.outer, self.reduce, self.inner);
        require(reduce > 0 && self.divisor > 0.0, StepFault::Parameter)?;
        let fits = elements([outer, reduce, inner]) == Some(x.shape.elements())
            && elements([outer, 1, inner]) == Some(check.output.shape.elements());
        require(fits, StepFault::Shape)?;
        result(check, OPEN, self.scale_y, self.zero_point)
    }
}

parameters! {
    /// Parameters of a product with constant real weights:
    ///
    /// `real = Σ x[k] · w[o][k]`, in order and each operation rounded, `+ offset[o]`, clamped to
    /// `low..=high`. Where y is `i8` it is quantized as [`Quantize`](super::Quantize) does.
    pub struct RealProduct {
        /// Offset of `f32[out][k]`.
        pub weights: u32,
        /// Offset of `f32[out]`.
        pub offsets: u32,
        /// Lowest real result.
        pub low: f32,
        /// Highest real result.
        pub high: f32,
        /// Real value of one step of y; 1 where y is real.
        pub scale_y: f32,
        /// Zero point of y; 0 where y is real.
        pub zero_point: i32,
    }
}

impl RealProduct {
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.inputs_of::<1>()?;
        require(x.dtype == Dtype::F32, StepFault::Dtype)?;
        let (k, outputs) = (x.shape.last() as usize, check.output.shape.last() as usize);
        require(k > 0 && outputs > 0, StepFault::Shape)?;
        let rows = |tensor: &Tensor, width: usize| tensor.shape.elements() / width;
        require(rows(x, k) == rows(check.output, outputs), StepFault::Shape)?;
        let weights = k.checked_mul(outputs).ok_or(StepFault::Constant)?;
        check.finite(self.weights, weights)?;
        check.finite(self.offsets, outputs)?;
        result(check, [self.low, self.high], self.scale_y, self.zero_point)
    }
}

parameters! {
    /// Parameters of a [function](RealMap::CLAMP) of each element of an `f32` tensor. Where y is
    /// `i8` it is quantized as [`Quantize`](super::Quantize) does.
    pub struct RealMap {
        /// [`CLAMP`](RealMap::CLAMP) and so on.
        pub function: u32,
        /// Its first parameter.
        pub alpha: f32,
        /// Its second parameter.
        pub beta: f32,
        /// Real value of one step of y; 1 where y is real.
        pub scale_y: f32,
        /// Zero point of y; 0 where y is real.
        pub zero_point: i32,
    }
}

impl RealMap {
    /// x within `alpha..=beta`.
    pub const CLAMP: u32 = 0;
    /// The logistic function, by the rational approximation of ONNX Runtime.
    pub const SIGMOID: u32 = 1;
    /// The hyperbolic tangent, by the rational approximation of ONNX Runtime.
    pub const TANH: u32 = 2;
    /// x, or alpha · x below 0.
    pub const LEAKY_RELU: u32 = 3;
    /// `alpha · x + beta` within `0..=1`.
    pub const HARD_SIGMOID: u32 = 4;

    pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
        let [x] = check.inputs_of::<1>()?;
        require(x.dtype == Dtype::F32, StepFault::Dtype)?;
        let same = x.shape.elements() == check.output.shape.elements();
        require(same, StepFault::Shape)?;
        require(self.function <= Self::HARD_SIGMOID, StepFault::Parameter)?;
        let clamps = self.function != Self::CLAMP || self.alpha <= self.beta;
        require(clamps, StepFault::Parameter)?;
        result(check, OPEN, self.scale_y, self.zero_point)
    }
}

/// Bounds that clamp nothing.
const OPEN: [f32; 2] = [f32::MIN, f32::MAX];

/// A real operand: `f32` as it is, or `i8` or `i16` with scale and zero point.
fn operand(tensor: &Tensor, scale: f32, zero_point: i32) -> Result<(), StepFault> {
    match tensor.dtype {
        Dtype::F32 => require(scale == 1.0 && zero_point == 0, StepFault::Parameter),
        Dtype::I8 => {
            require(scale > 0.0, StepFault::Parameter)?;
            zero_point_i8(zero_point)
        }
        Dtype::I16 => {
            require(scale > 0.0, StepFault::Parameter)?;
            i16_range(zero_point, zero_point)
        }
        _ => Err(StepFault::Dtype),
    }
}

/// The result is `f32`, or `i8` with scale and zero point.
fn result(
    check: &Check<'_>,
    [low, high]: [f32; 2],
    scale: f32,
    zero_point: i32,
) -> Result<(), StepFault> {
    require(low <= high, StepFault::Parameter)?;
    require(check.output.dtype != Dtype::I16, StepFault::Dtype)?;
    operand(check.output, scale, zero_point)
}
