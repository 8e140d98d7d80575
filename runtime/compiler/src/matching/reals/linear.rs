//! Convolutions and products whose sums stay real, with what follows them in the same step.

use super::super::arrange::nhwc;
use super::super::conv::SignedWeights;
use super::super::meaning::{Meaning, Stored};
use super::super::{Matcher, OPEN, Why};
use super::steps::Operand;
use super::{Fault, Finish};
use crate::graph::{Element, Node, ValueId};
use crate::program::Operation;
use crate::tables::Table;
use sanderling_plan::{Operator, step};

/// What follows a convolution or product in the same step.
#[derive(Default)]
pub(super) struct Followers {
    /// By output channel.
    pub(super) gains: Option<Vec<f32>>,
    /// By output channel.
    pub(super) offsets: Option<Vec<f32>>,
    /// As many elements as the output has.
    pub(super) addend: Option<Operand>,
}

impl Matcher<'_> {
    pub(super) fn real_linear(&mut self, index: usize, finish: Finish) -> Result<Stored, Fault> {
        if self.has_real_weights(&self.graph.nodes[index]) {
            return self.real_product(index, finish);
        }
        self.linear(index, Followers::default(), finish)
    }

    /// A convolution or a product with quantized weights, and what follows it.
    pub(super) fn linear(
        &mut self,
        index: usize,
        followers: Followers,
        finish: Finish,
    ) -> Result<Stored, Fault> {
        let graph = self.graph;
        let node = &graph.nodes[index];
        let at = |why: Why| (index, why);
        let linear = match node.operator.as_str() {
            "Conv" => self.linear_of_conv(node).map_err(at)?,
            _ if matches!(self.meaning(node, 1), Some(Meaning::Weights(_))) => {
                self.linear_of_product(node).map_err(at)?
            }
            _ => {
                return Err(at(
                    "the float product of two activations is not supported; put \
                               QuantizeLinear and DequantizeLinear after it"
                        .into(),
                ));
            }
        };
        let outputs = linear.output[3];
        let signed = &linear.signed;
        let (steps, reals) = self
            .real_bias(node, linear.from.scale, signed)
            .map_err(at)?;
        let per_output = linear.weights.len() / outputs.max(1);
        let bias = signed.fold(linear.from.zero_point_i8(), &steps, |o| {
            linear.weights[o * per_output..][..per_output]
                .iter()
                .copied()
        });
        let mut multipliers = signed.multipliers(linear.from.scale, 1.0);
        let mut offsets = reals;
        if let Some(gains) = &followers.gains {
            for ((m, offset), gain) in multipliers.iter_mut().zip(&mut offsets).zip(gains) {
                *m *= gain;
                *offset *= gain;
            }
        }
        for (offset, more) in offsets.iter_mut().zip(followers.offsets.iter().flatten()) {
            *offset += more;
        }
        let shape = self.output_shape(node);
        let output = self.result(node, shape, linear.order, finish);
        let mut inputs = vec![linear.x];
        let (mut scale_z, mut zero_z) = (1.0, 0);
        if let Some(addend) = followers.addend {
            let z = self
                .arrange(node, &addend.stored, &output.order)
                .map_err(at)?;
            inputs.push(z.tensor);
            (scale_z, zero_z) = (addend.scale, addend.zero_point);
        }
        let target = self.program.add_view(output.tensor, linear.output.to_vec());
        let (low, high) = finish.bounds();
        let (scale_y, zero_point) = finish.scale();
        let parameters = step::RealConv {
            kernel_h: linear.window.kernel[0] as u32,
            kernel_w: linear.window.kernel[1] as u32,
            stride_h: linear.window.stride[0] as u32,
            stride_w: linear.window.stride[1] as u32,
            dilation_h: linear.window.dilation[0] as u32,
            dilation_w: linear.window.dilation[1] as u32,
            pad_top: linear.window.pad[0] as u32,
            pad_left: linear.window.pad[1] as u32,
            groups: linear.groups as u32,
            weights: 0,
            bias: 0,
            multipliers: 0,
            offsets: 0,
            input_zero_point: linear.from.zero_point_i8(),
            weight_zero_point: linear.signed.zero_point.into(),
            scale_z,
            zero_z,
            low,
            high,
            scale_y,
            zero_point,
        };
        let channels = self.program.tensor(linear.x).shape.last().copied();
        let scratch = parameters.patch(channels.unwrap_or(1));
        let scratch = scratch.ok_or_else(|| at("it is too large".into()))?;
        let macs = (linear.output.iter().product::<usize>() * per_output) as u64;
        let operation = Operation::Tabled {
            operator: Operator::RealConv(parameters),
            tables: vec![
                Table::I8(linear.weights),
                Table::I32(bias),
                Table::F32(multipliers),
                Table::F32(offsets),
            ],
        };
        self.step_with(node, operation, inputs, target, scratch, macs);
        Ok(output)
    }

    /// The bias of each output channel: what is in steps of the sums, and what is real.
    fn real_bias(
        &self,
        node: &Node,
        input_scale: f32,
        weights: &SignedWeights,
    ) -> Result<(Vec<i32>, Vec<f32>), Why> {
        let channels = weights.scales.len();
        let (mut steps, mut reals) = (vec![0; channels], vec![0.0; channels]);
        if node.input(2).is_none() {
            return Ok((steps, reals));
        }
        if let Some(Meaning::Weights(bias)) = self.meaning(node, 2) {
            let of_sums = bias.element == Element::I32
                && bias.zero_points.iter().all(|&zero| zero == 0)
                && (bias.scales.iter().cycle().zip(&weights.scales))
                    .all(|(&scale, weight)| scale == input_scale * weight);
            let fits = bias.scales.len() == 1 || bias.scales.len() == channels;
            if of_sums && fits && bias.values.len() == channels {
                steps.copy_from_slice(&bias.values);
                return Ok((steps, reals));
            }
        }
        let (_, values) = self
            .constant_reals(node, 2)
            .ok_or("its bias is not constant")?;
        match values.len() {
            1 => reals.fill(values[0]),
            n if n == channels => reals.copy_from_slice(&values),
            n => {
                return Err(format!(
                    "a bias of {n} values for {channels} outputs is not supported"
                ));
            }
        }
        Ok((steps, reals))
    }

    /// The convolution or product that computes a value which nothing else reads.
    pub(super) fn followed(&self, node: &Node, input: usize) -> Option<usize> {
        let value = node.input(input)?;
        let &Meaning::Pending {
            node: of,
            low,
            high,
        } = self.meanings.get(&value)?
        else {
            return None;
        };
        let before = &self.graph.nodes[of];
        let linear = match before.operator.as_str() {
            "Conv" => true,
            "Gemm" | "MatMul" => matches!(self.meaning(before, 1), Some(Meaning::Weights(_))),
            _ => false,
        };
        let alone = self.readers(value) == 1 && before.outputs[0] == value;
        let same = self.graph.value(value).shape == self.output_shape(node);
        (linear && alone && same && (low, high) == OPEN && !self.reads_wide(before)).then_some(of)
    }

    /// How often a value is read, by nodes and as an output of the model.
    fn readers(&self, value: ValueId) -> usize {
        let nodes = self.graph.nodes.iter();
        let reads = nodes.flat_map(|node| node.inputs.iter().flatten());
        let outputs = self.graph.outputs.iter().map(|(_, output)| output);
        reads.chain(outputs).filter(|&&read| read == value).count()
    }

    /// A constant as one number for each output channel of a convolution or product.
    pub(super) fn along_channels(
        &self,
        linear: &Node,
        dims: &[usize],
        values: &[f32],
    ) -> Option<Vec<f32>> {
        let shape = self.output_shape(linear);
        let (axis, channels) = match linear.operator.as_str() {
            "Conv" => (1, nhwc(&shape)[3]),
            _ => (shape.len().checked_sub(1)?, *shape.last()?),
        };
        let missing = shape.len().checked_sub(dims.len())?;
        let elsewhere = (0..dims.len()).any(|a| dims[a] > 1 && a + missing != axis);
        match values.len() {
            _ if elsewhere => None,
            1 => Some(vec![values[0]; channels]),
            n => (n == channels).then(|| values.to_vec()),
        }
    }

    pub(super) fn real_batch_norm(
        &mut self,
        index: usize,
        finish: Finish,
    ) -> Result<Stored, Fault> {
        let node = &self.graph.nodes[index];
        let at = |why: Why| (index, why);
        let channels = self.output_shape(node).get(1).copied().unwrap_or(1);
        let (gains, offsets) = self.normalization(node, channels).map_err(at)?;
        if let Some(of) = self.followed(node, 0)
            && (self.graph.nodes[of].operator == "Conv" || self.output_shape(node).len() == 2)
        {
            let followers = Followers {
                gains: Some(gains),
                offsets: Some(offsets),
                addend: None,
            };
            return self.linear(of, followers, finish);
        }
        let first = self.real_operand(index, 0)?;
        let rank = first.stored.shape.len();
        let mut dims = vec![1; rank];
        if let Some(axis) = dims.get_mut(1) {
            *axis = channels;
        }
        let second = self
            .constant_second(node, &first.stored, &dims, &gains)
            .map_err(at)?;
        let product = (step::RealPair::PRODUCT, false);
        let scaled = self.pair_step(node, product, first, second, Finish::REAL);
        let second = self
            .constant_second(node, &scaled, &dims, &offsets)
            .map_err(at)?;
        let sum = (step::RealPair::SUM, false);
        Ok(self.pair_step(node, sum, Operand::plain(scaled), second, finish))
    }
}
