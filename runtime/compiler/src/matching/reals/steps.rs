//! The steps that compute real results.

use super::super::arrange::nhwc;
use super::super::conv::SignedWeights;
use super::super::meaning::{Meaning, Stored};
use super::super::reduce::Groups;
use super::super::{Matcher, OPEN, Why};
use super::{Fault, Finish};
use crate::graph::{Element, Node, ValueId};
use crate::program::{Operation, TensorId};
use crate::tables::Table;
use sanderling_plan::{Operator, step};

/// A real operand: `f32`, or bytes with scale and zero point.
#[derive(Clone)]
struct Operand {
    stored: Stored,
    scale: f32,
    zero_point: i32,
}

impl Operand {
    fn plain(stored: Stored) -> Self {
        Operand {
            stored,
            scale: 1.0,
            zero_point: 0,
        }
    }
}

/// What follows a convolution or product in the same step.
#[derive(Default)]
struct Followers {
    /// By output channel.
    gains: Option<Vec<f32>>,
    /// By output channel.
    offsets: Option<Vec<f32>>,
    /// As many elements as the output has.
    addend: Option<Operand>,
}

/// The second operand of a pair: element `i` of the first meets element `i / inner % extent`.
struct Second {
    tensor: TensorId,
    scale: f32,
    zero_point: i32,
    inner: usize,
    extent: usize,
}

impl<'a> Matcher<'a> {
    pub(super) fn real_linear(&mut self, index: usize, finish: Finish) -> Result<Stored, Fault> {
        if self.has_real_weights(&self.graph.nodes[index]) {
            return self.real_product(index, finish);
        }
        self.linear(index, Followers::default(), finish)
    }

    /// A convolution or a product with quantized weights, and what follows it.
    fn linear(
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
    fn followed(&self, node: &Node, input: usize) -> Option<usize> {
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

    pub(super) fn real_pair(&mut self, index: usize, finish: Finish) -> Result<Stored, Fault> {
        let graph = self.graph;
        let node = &graph.nodes[index];
        let at = |why: Why| (index, why);
        let shape = self.output_shape(node);
        for input in 0..2 {
            let Some(of) = self.followed(node, input) else {
                continue;
            };
            let followers = match (node.operator.as_str(), self.constant_reals(node, 1 - input)) {
                ("Add", Some((dims, values))) => self
                    .along_channels(&graph.nodes[of], &dims, &values)
                    .map(|offsets| Followers {
                        offsets: Some(offsets),
                        ..Followers::default()
                    }),
                ("Mul", Some((dims, values))) => self
                    .along_channels(&graph.nodes[of], &dims, &values)
                    .map(|gains| Followers {
                        gains: Some(gains),
                        ..Followers::default()
                    }),
                ("Add", None) => {
                    let value = node.input(1 - input);
                    let whole = value.is_some_and(|value| graph.value(value).shape == shape);
                    match whole {
                        true => Some(Followers {
                            addend: Some(self.real_operand(index, 1 - input)?),
                            ..Followers::default()
                        }),
                        false => None,
                    }
                }
                _ => None,
            };
            if let Some(followers) = followers {
                return self.linear(of, followers, finish);
            }
        }
        let constants = [0, 1].map(|input| self.constant_reals(node, input));
        let operation = match node.operator.as_str() {
            "Add" => step::RealPair::SUM,
            "Sub" => step::RealPair::DIFFERENCE,
            "Mul" => step::RealPair::PRODUCT,
            _ => step::RealPair::QUOTIENT,
        };
        if let Some(constant) = constants.iter().position(Option::is_some) {
            let mut first = self.real_operand(index, 1 - constant)?;
            if first.stored.shape != shape {
                let order: Vec<usize> = (0..shape.len()).collect();
                first.stored = self
                    .expand(node, &first.stored, &shape, &order)
                    .map_err(at)?;
            }
            let (dims, values) = constants[constant]
                .as_ref()
                .ok_or_else(|| at("its constant is missing".into()))?;
            let second = self
                .constant_second(node, &first.stored, dims, values)
                .map_err(at)?;
            return Ok(self.pair_step(node, (operation, constant == 0), first, second, finish));
        }
        let (mut first, mut second) = (self.real_operand(index, 0)?, self.real_operand(index, 1)?);
        let reversed = first.stored.shape != shape && second.stored.shape == shape;
        if reversed {
            std::mem::swap(&mut first, &mut second);
        }
        if first.stored.shape != shape {
            let order: Vec<usize> = (0..shape.len()).collect();
            first.stored = self
                .expand(node, &first.stored, &shape, &order)
                .map_err(at)?;
        }
        let order = first.stored.order.clone();
        let stored = self
            .expand(node, &second.stored, &shape, &order)
            .map_err(at)?;
        let second = Second {
            tensor: stored.tensor,
            scale: second.scale,
            zero_point: second.zero_point,
            inner: 1,
            extent: shape.iter().product(),
        };
        Ok(self.pair_step(node, (operation, reversed), first, second, finish))
    }

    fn pair_step(
        &mut self,
        node: &Node,
        (operation, reversed): (u32, bool),
        first: Operand,
        second: Second,
        finish: Finish,
    ) -> Stored {
        let (shape, order) = (first.stored.shape, first.stored.order);
        let output = self.result(node, shape, order, finish);
        let (low, high) = finish.bounds();
        let (scale_y, zero_point) = finish.scale();
        let parameters = step::RealPair {
            operation,
            reversed,
            scale_a: first.scale,
            zero_a: first.zero_point,
            scale_b: second.scale,
            zero_b: second.zero_point,
            inner: second.inner as u32,
            extent: second.extent as u32,
            low,
            high,
            scale_y,
            zero_point,
        };
        let operation = Operation::Plain(Operator::RealPair(parameters));
        let inputs = vec![first.stored.tensor, second.tensor];
        self.step(node, operation, inputs, output.tensor);
        output
    }

    /// An input as a step may read it: bytes where they are a quantized tensor, else `f32`.
    fn real_operand(&mut self, index: usize, input: usize) -> Result<Operand, Fault> {
        let node = &self.graph.nodes[index];
        if let Ok((stored, from)) = self.operand(node, input) {
            return Ok(Operand {
                stored,
                scale: from.scale,
                zero_point: from.zero_point_i8(),
            });
        }
        let value = node
            .input(input)
            .ok_or_else(|| (index, format!("input {input} is missing")))?;
        self.real(value).map(Operand::plain)
    }

    /// A constant beside each element of `first`: one number, a vector along one axis, or as
    /// many as there are elements.
    fn constant_second(
        &mut self,
        node: &Node,
        first: &Stored,
        dims: &[usize],
        values: &[f32],
    ) -> Result<Second, Why> {
        let missing = (first.shape.len())
            .checked_sub(dims.len())
            .ok_or("its constant has more dimensions than the tensor")?;
        let long: Vec<usize> = (0..dims.len()).filter(|&axis| dims[axis] > 1).collect();
        let (values, inner) = match *long.as_slice() {
            [] => (values.to_vec(), 1),
            [axis] => {
                let place = first.order.iter().position(|&a| a == axis + missing);
                let place = place.ok_or("its constant does not fit the tensor")?;
                let inner = first.order[place + 1..].iter().map(|&a| first.shape[a]);
                (values.to_vec(), inner.product())
            }
            _ => {
                let mut strides = vec![0; dims.len()];
                let mut stride = 1;
                for axis in (0..dims.len()).rev() {
                    strides[axis] = if dims[axis] == 1 { 0 } else { stride };
                    stride *= dims[axis];
                }
                let mut places = vec![0usize];
                for &axis in &first.order {
                    let stride = axis.checked_sub(missing).map_or(0, |axis| strides[axis]);
                    places = (places.iter())
                        .flat_map(|at| (0..first.shape[axis]).map(move |i| at + i * stride))
                        .collect();
                }
                (places.into_iter().map(|at| values[at]).collect(), 1)
            }
        };
        let name = format!("{}/constant", node.name);
        let extent = values.len();
        Ok(Second {
            tensor: self.program.add_real_constant(&name, vec![extent], &values),
            scale: 1.0,
            zero_point: 0,
            inner,
            extent,
        })
    }

    /// A constant as one number for each output channel of a convolution or product.
    fn along_channels(&self, linear: &Node, dims: &[usize], values: &[f32]) -> Option<Vec<f32>> {
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

    pub(super) fn real_mean(&mut self, index: usize, finish: Finish) -> Result<Stored, Fault> {
        let node = &self.graph.nodes[index];
        let Operand {
            stored,
            scale,
            zero_point: zero_x,
        } = self.real_operand(index, 0)?;
        let groups = self.groups(node, &stored).map_err(|why| (index, why))?;
        let Groups {
            x,
            outer,
            reduce,
            inner,
            order,
        } = groups;
        let open = Finish {
            clamp: OPEN,
            ..finish
        };
        let narrow = if finish.clamp == OPEN {
            open
        } else {
            Finish::REAL
        };
        let shape = self.output_shape(node);
        let output = self.result(node, shape, order, narrow);
        let (scale_y, zero_point) = narrow.scale();
        let parameters = step::RealMean {
            outer: outer as u32,
            reduce: reduce as u32,
            inner: inner as u32,
            scale_x: scale,
            zero_x,
            divisor: match node.operator.as_str() {
                "ReduceSum" => 1.0,
                _ => reduce as f32,
            },
            scale_y,
            zero_point,
        };
        let operation = Operation::Plain(Operator::RealMean(parameters));
        self.step(node, operation, vec![x.tensor], output.tensor);
        Ok(match narrow == finish {
            true => output,
            false => self.concluded(node, output, finish),
        })
    }

    /// A product with real weights.
    fn real_product(&mut self, index: usize, finish: Finish) -> Result<Stored, Fault> {
        let node = &self.graph.nodes[index];
        let at = |why: Why| (index, why);
        let gemm = node.operator == "Gemm";
        let flag = |name: &str| gemm && node.int(name).unwrap_or(0) != 0;
        let factor = |name: &str| {
            if gemm {
                node.float(name).unwrap_or(1.0)
            } else {
                1.0
            }
        };
        if flag("transA") {
            return Err(at("transA with float weights is not supported".into()));
        }
        let (dims, values) = self
            .constant_reals(node, 1)
            .ok_or_else(|| at("its weights are not constant".into()))?;
        let &[rows, columns] = dims.as_slice() else {
            return Err(at("its weights have other than two dimensions".into()));
        };
        let transposed = flag("transB");
        let (k, outputs) = if transposed {
            (columns, rows)
        } else {
            (rows, columns)
        };
        let bias = match node.input(2) {
            None => vec![0.0; outputs],
            Some(_) => {
                let (_, bias) = self
                    .constant_reals(node, 2)
                    .ok_or_else(|| at("its bias is not constant".into()))?;
                match bias.len() {
                    1 => vec![bias[0]; outputs],
                    n if n == outputs => bias,
                    n => {
                        return Err(at(format!(
                            "a bias of {n} values for {outputs} outputs is not supported"
                        )));
                    }
                }
            }
        };
        let value = node
            .input(0)
            .ok_or_else(|| at("its input is missing".into()))?;
        let x = self.real(value)?;
        if x.shape.last() != Some(&k) {
            return Err(at("its weights do not fit the input".into()));
        }
        let x = self.row_major(node, &x).map_err(at)?;
        let lines = x.shape.iter().product::<usize>() / k;
        let input = self.program.add_view(x.tensor, vec![lines, k]);
        let alpha = factor("alpha");
        let weights = (0..outputs)
            .flat_map(|o| (0..k).map(move |i| (o, i)))
            .map(|(o, i)| {
                alpha
                    * if transposed {
                        values[o * k + i]
                    } else {
                        values[i * outputs + o]
                    }
            })
            .collect();
        let beta = factor("beta");
        let offsets = bias.into_iter().map(|b| beta * b).collect();
        let shape = self.output_shape(node);
        let order = (0..shape.len()).collect();
        let output = self.result(node, shape, order, finish);
        let target = self.program.add_view(output.tensor, vec![lines, outputs]);
        let (low, high) = finish.bounds();
        let (scale_y, zero_point) = finish.scale();
        let parameters = step::RealProduct {
            weights: 0,
            offsets: 0,
            low,
            high,
            scale_y,
            zero_point,
        };
        let operation = Operation::Tabled {
            operator: Operator::RealProduct(parameters),
            tables: vec![Table::F32(weights), Table::F32(offsets)],
        };
        let macs = (lines * k * outputs) as u64;
        self.step_with(node, operation, vec![input], target, 0, macs);
        Ok(output)
    }

    /// A softmax of real numbers, or one that stays real.
    pub(super) fn real_rows(&mut self, index: usize, finish: Finish) -> Result<Stored, Fault> {
        let node = &self.graph.nodes[index];
        let x = self.real_operand(index, 0)?;
        let real = self
            .softmax_of(node, &x.stored, (x.scale, x.zero_point))
            .map_err(|why| (index, why))?;
        Ok(self.concluded(node, real, finish))
    }

    pub(super) fn real_map(&mut self, index: usize, finish: Finish) -> Result<Stored, Fault> {
        let node = &self.graph.nodes[index];
        let at = |why: Why| (index, why);
        let value = node
            .input(0)
            .ok_or_else(|| at("its input is missing".into()))?;
        let x = self.real(value)?;
        let alpha = |default: f32| node.float("alpha").unwrap_or(default);
        let (function, alpha, beta) = match node.operator.as_str() {
            "Sigmoid" => (step::RealMap::SIGMOID, 0.0, 0.0),
            "Tanh" => (step::RealMap::TANH, 0.0, 0.0),
            "LeakyRelu" => (step::RealMap::LEAKY_RELU, alpha(0.01), 0.0),
            "HardSigmoid" => {
                let beta = node.float("beta").unwrap_or(0.5);
                (step::RealMap::HARD_SIGMOID, alpha(0.2), beta)
            }
            "HardSwish" => (step::RealMap::HARD_SIGMOID, 1.0 / 6.0, 0.5),
            _ => (step::RealMap::SIGMOID, 0.0, 0.0),
        };
        let factor = match node.operator.as_str() {
            "Swish" => node.float("alpha").unwrap_or(1.0),
            "QuickGelu" => node.float("alpha").unwrap_or(1.702),
            _ => 1.0,
        };
        let mut argument = x.clone();
        if factor != 1.0 {
            let second = self.constant_second(node, &x, &[], &[factor]).map_err(at)?;
            let product = (step::RealPair::PRODUCT, false);
            argument = self.pair_step(
                node,
                product,
                Operand::plain(x.clone()),
                second,
                Finish::REAL,
            );
        }
        let gates = matches!(node.operator.as_str(), "HardSwish" | "Swish" | "QuickGelu");
        let direct = finish.clamp == OPEN && !gates;
        let narrow = if direct { finish } else { Finish::REAL };
        let (scale_y, zero_point) = narrow.scale();
        let output = self.result(node, x.shape.clone(), x.order.clone(), narrow);
        let parameters = step::RealMap {
            function,
            alpha,
            beta,
            scale_y,
            zero_point,
        };
        let operation = Operation::Plain(Operator::RealMap(parameters));
        self.step(node, operation, vec![argument.tensor], output.tensor);
        if direct {
            return Ok(output);
        }
        if !gates {
            return Ok(self.concluded(node, output, finish));
        }
        let second = Second {
            tensor: output.tensor,
            scale: 1.0,
            zero_point: 0,
            inner: 1,
            extent: x.shape.iter().product(),
        };
        let product = (step::RealPair::PRODUCT, false);
        Ok(self.pair_step(node, product, Operand::plain(x), second, finish))
    }

    /// A tensor for a result.
    fn result(
        &mut self,
        node: &Node,
        shape: Vec<usize>,
        order: Vec<usize>,
        finish: Finish,
    ) -> Stored {
        let element = finish.to.map_or(Element::F32, |to| to.element);
        self.new_stored(node, shape, order, element, finish.to)
    }
}
