//! Convolution.

use super::arrange::{image_order, nhwc};
use super::bias::in_integers;
use super::meaning::{Meaning, Quantization, Stored, Weights};
use super::window::Window;
use super::{Matcher, Why};
use crate::graph::{Element, Node};
use crate::program::{Affine, Operation};
use sanderling_plan::step;
use std::sync::Arc;

impl Matcher<'_> {
    pub(super) fn conv(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let (x, from) = self.operand(node, 0)?;
        let weights = self.node_weights(node, 1)?;
        let shape = self.output_shape(node);
        let order = image_order(shape.len())?;
        let image = self.image(node, &x)?;
        let [_, h, w, channels_in] = image.nhwc;
        let [n, out_h, out_w, channels_out] = nhwc(&shape);
        let groups = node.int("group").unwrap_or(1).max(1) as usize;
        let (kernel, inputs) = match weights.shape.as_slice() {
            [_, inputs, kernel @ ..] => (kernel.to_vec(), *inputs),
            _ => return Err("its weights have fewer than three dimensions".into()),
        };
        if inputs * groups != channels_in || !channels_out.is_multiple_of(groups) {
            return Err("its weights do not fit the input's channels".into());
        }
        let window = Window::of(node, &kernel, [h, w], [out_h, out_w])?;
        let depthwise = groups == channels_in && channels_in > 1;
        let taps = window.kernel[0] * window.kernel[1];

        let signed = SignedWeights::of(&weights, channels_out, 0)?;
        let fused = in_integers(from, to, clamp);
        let bias = self.node_bias(node, 2, from.scale, &signed, fused)?;
        let source = |o: usize, tap: usize, i: usize| signed.values[(o * inputs + i) * taps + tap];
        let mut packed = Vec::with_capacity(signed.values.len());
        if depthwise {
            for tap in 0..taps {
                packed.extend((0..channels_out).map(|o| source(o, tap, 0)));
            }
        } else {
            for o in 0..channels_out {
                for tap in 0..taps {
                    packed.extend((0..inputs).map(|i| source(o, tap, i)));
                }
            }
        }
        let folded = signed.fold(from.zero_point_i8(), &bias, |o| {
            signed.values[o * inputs * taps..][..inputs * taps]
                .iter()
                .copied()
        });
        // A dilation does nothing to one tap; it says that a 1×1 kernel meets padding.
        let reaches = |axis: usize, extent: usize, output: usize| {
            (output - 1) * window.stride[axis] >= extent
        };
        let [_, h, w, _] = image.nhwc;
        let overhangs = reaches(0, h, out_h) || reaches(1, w, out_w);
        let dilation = [0, 1].map(|axis| match window.kernel[axis] {
            1 => 1 + usize::from(overhangs),
            _ => window.dilation[axis],
        });
        let parameters = step::Conv {
            kernel_h: window.kernel[0] as u32,
            kernel_w: window.kernel[1] as u32,
            stride_h: window.stride[0] as u32,
            stride_w: window.stride[1] as u32,
            dilation_h: dilation[0] as u32,
            dilation_w: dilation[1] as u32,
            pad_top: window.pad[0] as u32,
            pad_left: window.pad[1] as u32,
            groups: groups as u32,
            weights: 0,
            bias: 0,
            multipliers: 0,
            input_zero_point: from.zero_point_i8(),
            zero_point: to.zero_point_i8(),
            low: clamp.0,
            high: clamp.1,
            weight_zero_point: signed.zero_point.into(),
        };
        let affine = Affine {
            weights: packed,
            bias: folded,
            multipliers: signed.multipliers(from.scale, to.scale),
        };
        let macs = (n * out_h * out_w * channels_out * inputs * taps) as u64;
        let output = self.new_stored(node, shape, order, to.element, Some(to));
        let target = self
            .program
            .add_view(output.tensor, vec![n, out_h, out_w, channels_out]);
        let operation = Operation::Conv {
            parameters,
            depthwise,
            affine,
        };
        self.step_with(node, operation, vec![image.tensor], target, 0, macs);
        Ok(output)
    }

    /// The integer constant behind an input.
    pub(super) fn node_weights(&self, node: &Node, input: usize) -> Result<Arc<Weights>, Why> {
        match self.meaning(node, input) {
            Some(Meaning::Weights(weights)) => Ok(weights.clone()),
            Some(_) => Err(self.not_constant(node, input, "weight tensor").into()),
            None => Err("its weights are float; quantize them".into()),
        }
    }
}

/// Weights and their zero point less `bias`, where they have one zero point.
fn one_zero_point(weights: &Weights, bias: i32) -> Option<(Vec<i8>, i8)> {
    let zero_point = weights.zero_points.first().copied().unwrap_or(0);
    let same = weights.zero_points.iter().all(|&z| z == zero_point);
    let values = || weights.values.iter().map(|&v| (v - bias) as i8).collect();
    same.then(|| (values(), (zero_point - bias) as i8))
}

/// Weights that have several zero points with one for all: each value keeps its distance, so
/// that they have to lie within 256 of each other.
fn with_one_zero_point(weights: &Weights) -> Result<(Vec<i8>, i8), Why> {
    let steps = || weights.steps().into_iter().map(|(step, _)| step);
    let (least, most) = (steps().min().unwrap_or(0), steps().max().unwrap_or(0));
    if most - least > 255 {
        return Err(format!(
            "its weights reach from {least} to {most} steps about zero points of their own, which \
             are more than 256; quantize them with one zero point, or symmetrically"
        ));
    }
    let zero_point = 0i64.clamp(-128 - least, 127 - most);
    let values = steps().map(|step| (step + zero_point) as i8).collect();
    Ok((values, zero_point as i8))
}

/// Weights as `i8`, with one scale for each output channel.
pub struct SignedWeights {
    /// In the order they were given.
    pub values: Vec<i8>,
    /// One for each output channel.
    pub scales: Vec<f32>,
    /// Of all channels.
    pub zero_point: i8,
}

impl SignedWeights {
    /// Brings `weights` to `i8`; their scales, if several, lie along `output_axis`.
    pub fn of(weights: &Weights, channels: usize, output_axis: usize) -> Result<Self, Why> {
        let bias = match weights.element {
            Element::I8 => 0,
            Element::U8 => 128,
            other => {
                return Err(format!(
                    "its weights are {other}; only int8 and uint8 are supported"
                ));
            }
        };
        let (values, zero_point) = match one_zero_point(weights, bias) {
            Some(same) => same,
            None if weights.zero_points.len() != channels || weights.axis != output_axis => {
                return Err("its weights' zero points do not lie along its outputs".into());
            }
            None => with_one_zero_point(weights)?,
        };
        let scales = match weights.scales.as_slice() {
            &[scale] => vec![scale; channels],
            many if many.len() == channels && weights.axis == output_axis => many.to_vec(),
            many => {
                return Err(format!(
                    "{} scales do not fit its {channels} outputs",
                    many.len()
                ));
            }
        };
        if scales
            .iter()
            .any(|scale| !(*scale >= 0.0 && scale.is_finite()))
        {
            return Err("a weight scale is negative or not finite".into());
        }
        Ok(SignedWeights {
            values,
            scales,
            zero_point,
        })
    }

    /// `f32((input scale · weight scale) / output scale)`, as ONNX Runtime rounds it.
    pub fn multipliers(&self, input_scale: f32, output_scale: f32) -> Vec<f32> {
        self.scales
            .iter()
            .map(|&scale| (input_scale * scale) / output_scale)
            .collect()
    }

    /// The bias with everything that does not depend on the input folded in:
    /// `bias - zero_x · Σ (w - zero_w)`.
    pub fn fold<I: Iterator<Item = i8>>(
        &self,
        input_zero_point: i32,
        bias: &[i32],
        channel: impl Fn(usize) -> I,
    ) -> Vec<i32> {
        (bias.iter().enumerate())
            .map(|(o, &bias)| {
                let sum: i32 = channel(o)
                    .map(|w| i32::from(w) - i32::from(self.zero_point))
                    .sum();
                bias.wrapping_sub(input_zero_point.wrapping_mul(sum))
            })
            .collect()
    }
}
