//! BatchNormalization that was not folded away, and PRelu with a slope for each channel:
//! a depthwise convolution of one tap scales each channel by a number of its own.

use super::arrange::{CopyAxis, image_order, nhwc, strided};
use super::extreme::tallest;
use super::line::{Line, Wanted, line};
use super::meaning::{Meaning, Quantization, Stored};
use super::{Matcher, Why};
use crate::graph::Node;
use crate::program::{Affine, Operation};
use sanderling_plan::{Dtype, Operator, step};

/// `x · gain + offset` of each channel, each step rounded to `f32`, as ONNX Runtime computes it.
struct Lines {
    gains: Vec<f32>,
    offsets: Vec<f32>,
}

impl Matcher<'_> {
    pub(super) fn batch_norm(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let (x, from) = self.operand(node, 0)?;
        let channels = x.shape.get(1).copied().unwrap_or(1);
        let (gains, offsets) = self.normalization(node, channels)?;
        self.scaled(node, &x, from, &Lines { gains, offsets }, to, clamp)
    }

    /// What a BatchNormalization multiplies each channel by, and what it adds then.
    pub(super) fn normalization(
        &self,
        node: &Node,
        channels: usize,
    ) -> Result<(Vec<f32>, Vec<f32>), Why> {
        let [gain, bias, mean, variance] =
            [1, 2, 3, 4].map(|i| self.per_channel(node, i, channels));
        let (gain, bias, mean, variance) = (gain?, bias?, mean?, variance?);
        let epsilon = node.float("epsilon").unwrap_or(1e-5);
        let gains: Vec<f32> = (gain.iter().zip(&variance))
            .map(|(gain, variance)| 1.0 / (variance + epsilon).sqrt() * gain)
            .collect();
        let offsets: Vec<f32> = (bias.iter().zip(&mean).zip(&gains))
            .map(|((bias, mean), gain)| bias - mean * gain)
            .collect();
        Ok((gains, offsets))
    }

    /// Whether a PRelu has several slopes, none above 1: then it is the larger of the
    /// input and of the input times its slope.
    pub(super) fn has_slopes(&self, node: &Node) -> bool {
        node.operator == "PRelu" && self.scalar(node, 1).is_none()
    }

    pub(super) fn prelu(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let (x, from) = self.operand(node, 0)?;
        let channels = x.shape.get(1).copied().unwrap_or(1);
        let slope = node
            .input(1)
            .map(|id| self.graph.value(id).shape.as_slice());
        // Counted from the last axis, the slopes lie along the channels and no other.
        let along = slope.is_some_and(|shape| {
            let from_last = x.shape.len().saturating_sub(2);
            let long = |&at: &usize| shape[shape.len() - 1 - at] > 1;
            (0..shape.len()).filter(long).all(|at| at == from_last)
        });
        if !along {
            return Err("its slopes lie along other axes than the channels'".into());
        }
        let slopes = self.per_channel(node, 1, channels)?;
        if slopes.iter().any(|&slope| slope > 1.0) {
            return Err("a slope above 1 is not supported".into());
        }
        let through_zero = |gains: Vec<f32>| Lines {
            gains,
            offsets: vec![0.0; channels],
        };
        let scaled = self.scaled(node, &x, from, &through_zero(slopes), to, clamp)?;
        let ones = through_zero(vec![1.0; channels]);
        let same = self.scaled(node, &x, from, &ones, to, clamp)?;
        // One behind the other, for a max-pool to compare.
        let elements: usize = scaled.shape.iter().product();
        let (scale, zero_point) = (to.scale, to.zero_point_i8());
        let name = format!("{}/both", node.name);
        let both =
            (self.program).add_tensor(&name, Dtype::I8, vec![1, 2, 1, elements], scale, zero_point);
        for (place, part) in [&scaled, &same].into_iter().enumerate() {
            let axes: [CopyAxis; 1] = [(elements, 1, 1)];
            let operation = Operation::Plain(Operator::Copy(strided(&axes, 0, place * elements)?));
            self.step(node, operation, vec![part.tensor], both);
        }
        let (shape, order) = (scaled.shape, scaled.order);
        let output = self.new_stored(node, shape, order, to.element, Some(to));
        let target = (self.program).add_view(output.tensor, vec![1, 1, 1, elements]);
        let operation = Operation::Plain(Operator::MaxPool(tallest(2)));
        self.step(node, operation, vec![both], target);
        Ok(output)
    }

    /// A depthwise convolution that gives each channel's line, [searched for](line) so that
    /// every value of the input comes out as in `f32`.
    fn scaled(
        &mut self,
        node: &Node,
        x: &Stored,
        from: Quantization,
        lines: &Lines,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let shape = x.shape.clone();
        let (order, dims) = match *shape.as_slice() {
            [n, c] => (vec![0, 1], [n, 1, 1, c]),
            _ => (image_order(shape.len())?, nhwc(&shape)),
        };
        let x = self.arrange(node, x, &order)?;
        let input = self.program.add_view(x.tensor, dims.to_vec());
        let found: Vec<Line> = (lines.gains.iter().zip(&lines.offsets))
            .map(|(&gain, &offset)| {
                if !(gain.is_finite() && offset.is_finite()) {
                    return Err("a channel's gain or offset is not a finite number".to_owned());
                }
                let table = std::array::from_fn(|at| {
                    let real = from.dequantize((at as i32 - 128) as i8) * gain + offset;
                    i32::from(to.quantize(real)).clamp(clamp.0, clamp.1) as i8
                });
                let wanted = Wanted {
                    table,
                    zero_point: to.zero_point_i8(),
                    clamp,
                };
                let slope = f64::from(from.scale) * f64::from(gain) / f64::from(to.scale);
                let offset = f64::from(offset) / f64::from(to.scale);
                let at_zero = offset - slope * f64::from(from.zero_point_i8());
                line(&wanted, slope, at_zero)
                    .ok_or_else(|| "a channel's gain is too small beside its offset".to_owned())
            })
            .collect::<Result<_, Why>>()?;
        let channels = found.len();
        let parameters = step::Conv {
            kernel_h: 1,
            kernel_w: 1,
            stride_h: 1,
            stride_w: 1,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: 0,
            pad_left: 0,
            groups: channels as u32,
            weights: 0,
            bias: 0,
            multipliers: 0,
            input_zero_point: from.zero_point_i8(),
            zero_point: to.zero_point_i8(),
            low: clamp.0,
            high: clamp.1,
            weight_zero_point: 0,
        };
        let affine = Affine {
            weights: found.iter().map(|line| line.weight).collect(),
            bias: found.iter().map(|line| line.bias).collect(),
            multipliers: found.iter().map(|line| line.multiplier).collect(),
        };
        let output = self.new_stored(node, shape, order, to.element, Some(to));
        let target = self.program.add_view(output.tensor, dims.to_vec());
        let operation = Operation::Conv {
            parameters,
            depthwise: channels > 1,
            affine,
        };
        let macs = dims.iter().product::<usize>() as u64;
        self.step_with(node, operation, vec![input], target, 0, macs);
        Ok(output)
    }

    /// One real number for each channel.
    fn per_channel(&self, node: &Node, input: usize, channels: usize) -> Result<Vec<f32>, Why> {
        let values = match (self.meaning(node, input), self.graph.constant(node, input)) {
            (Some(Meaning::Weights(weights)), _) => weights.reals(),
            (_, Some(constant)) => constant
                .floats()
                .ok_or_else(|| format!("input {input} is not float"))?
                .to_vec(),
            _ => return Err(format!("input {input} is not constant")),
        };
        // Only the channels' axis may be longer than 1.
        match values.len() {
            n if n == channels => Ok(values),
            n => Err(format!(
                "input {input} has {n} values for {channels} channels"
            )),
        }
    }
}
