//! 16-bit activations: Conv and products with constant 8-bit weights, Add, Sub, Mul, Relu,
//! Clip, Concat, and changes of scale between 8 and 16 bits.

use super::arrange::{image_order, nhwc};
use super::conv::SignedWeights;
use super::meaning::{Mapped, Meaning, Quantization, Stored};
use super::window::Window;
use super::{Matcher, Why};
use crate::graph::{Element, Node};
use crate::program::{Operation, TensorId};
use crate::tables::Table;
use sanderling_plan::{Operator, step};

impl Matcher<'_> {
    /// Whether a node's operands or result have 16 bits.
    pub(super) fn is_wide(&self, node: &Node, to: Quantization) -> bool {
        to.element == Element::I16 || self.reads_wide(node)
    }

    /// Whether a node reads 16-bit activations.
    pub(super) fn reads_wide(&self, node: &Node) -> bool {
        (0..node.inputs.len())
            .any(|input| matches!(self.meaning(node, input), Some(Meaning::Wide(..))))
    }

    /// A quantized operand of 8 or 16 bits.
    fn any_operand(&self, node: &Node, input: usize) -> Result<(Stored, Quantization), Why> {
        match self.meaning(node, input) {
            Some(Meaning::Wide(stored, quantization)) => Ok((stored.clone(), *quantization)),
            _ => self.operand(node, input),
        }
    }

    /// What can be said before the result's quantization is known.
    pub(super) fn wide_operands(&self, node: &Node) -> Result<(), Why> {
        let data = match node.operator.as_str() {
            "Concat" | "Add" | "Sub" | "Mul" => node.inputs.len(),
            "Conv" | "Gemm" | "MatMul" | "Relu" | "Clip" => 1,
            other => return Err(format!("{other} of int16 activations is not supported")),
        };
        (0..data).try_for_each(|input| self.any_operand(node, input).map(|_| ()))
    }

    /// The steps for a node that reads or gives 16 bits.
    pub(super) fn wide(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        match node.operator.as_str() {
            "Conv" => self.wide_conv(node, to, clamp),
            "Gemm" | "MatMul" => self.wide_product(node, to, clamp),
            "Add" | "Sub" | "Mul" => self.wide_pair(node, to, clamp),
            "Relu" | "Clip" => {
                let (x, from) = self.any_operand(node, 0)?;
                Ok(self.requantized(node, &x, from, to, clamp))
            }
            "Concat" => {
                let parts: Vec<Stored> = (0..node.inputs.len())
                    .map(|input| {
                        let (x, from) = self.any_operand(node, input)?;
                        Ok(match from == to {
                            true => x,
                            false => self.requantized(node, &x, from, to, to.range()),
                        })
                    })
                    .collect::<Result<_, Why>>()?;
                self.join(node, &parts, to.element, Some(to))
            }
            other => Err(format!("{other} of int16 activations is not supported")),
        }
    }

    /// QuantizeLinear of a tensor that is quantized otherwise, one of them to 16 bits.
    pub(super) fn requantized(
        &mut self,
        node: &Node,
        x: &Stored,
        from: Quantization,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Stored {
        let (shape, order) = (x.shape.clone(), x.order.clone());
        let output = self.new_stored(node, shape, order, to.element, Some(to));
        let parameters = step::WideRequantize {
            scale_x: from.scale,
            zero_x: from.zero_point_i8(),
            scale_y: to.scale,
            zero_point: to.zero_point_i8(),
            low: clamp.0,
            high: clamp.1,
        };
        let operation = Operation::Plain(Operator::WideRequantize(parameters));
        self.step(node, operation, vec![x.tensor], output.tensor);
        output
    }

    /// A table of 8 bits cannot give 16, unless it is DequantizeLinear alone.
    pub(super) fn widened(
        &mut self,
        node: &Node,
        mapped: &Mapped,
        to: Quantization,
    ) -> Result<Stored, Why> {
        match mapped.linear {
            Some(from) => Ok(self.requantized(node, &mapped.stored, from, to, to.range())),
            None => Err("it quantizes a function of 8 bits to 16; quantize that to int8".into()),
        }
    }

    /// An operand in 16 bits; 8 bits are widened with the scale that they have.
    fn wide_operand(&mut self, node: &Node, input: usize) -> Result<(Stored, Quantization), Why> {
        let (stored, from) = self.any_operand(node, input)?;
        if from.element == Element::I16 {
            return Ok((stored, from));
        }
        let to = Quantization {
            scale: from.scale,
            zero_point: from.zero_point_i8(),
            element: Element::I16,
        };
        let wide = self.requantized(node, &stored, from, to, to.range());
        Ok((wide, to))
    }

    /// The result in 16 bits, and what follows where it has 8.
    pub(super) fn narrowed(
        &mut self,
        node: &Node,
        to: Quantization,
        steps: impl FnOnce(&mut Self, Quantization) -> Result<Stored, Why>,
    ) -> Result<Stored, Why> {
        if to.element == Element::I16 {
            return steps(self, to);
        }
        // The same steps in a wider type, clamped to the narrow one's range there.
        let wide = Quantization {
            scale: to.scale,
            zero_point: to.zero_point_i8(),
            element: Element::I16,
        };
        let stored = steps(self, wide)?;
        Ok(self.requantized(node, &stored, wide, to, (-128, 127)))
    }

    fn wide_conv(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let (x, from) = self.wide_operand(node, 0)?;
        let weights = self.node_weights(node, 1)?;
        let shape = self.output_shape(node);
        let image = self.image(node, &x)?;
        let output = nhwc(&shape);
        let groups = node.int("group").unwrap_or(1).max(1) as usize;
        let (kernel, inputs) = match weights.shape.as_slice() {
            [_, inputs, kernel @ ..] => (kernel.to_vec(), *inputs),
            _ => return Err("its weights have fewer than three dimensions".into()),
        };
        if inputs * groups != image.nhwc[3] || !output[3].is_multiple_of(groups) {
            return Err("its weights do not fit the input's channels".into());
        }
        let [_, h, w, _] = image.nhwc;
        let window = Window::of(node, &kernel, [h, w], [output[1], output[2]])?;
        let taps = window.kernel[0] * window.kernel[1];
        let signed = SignedWeights::of(&weights, output[3], 0)?;
        let bias = self.node_bias(node, 2, from.scale, &signed, false)?;
        let packed: Vec<i8> = (0..output[3])
            .flat_map(|o| (0..taps).map(move |tap| (o, tap)))
            .flat_map(|(o, tap)| (0..inputs).map(move |i| (o * inputs + i) * taps + tap))
            .map(|at| signed.values[at])
            .collect();
        let order = image_order(shape.len())?;
        self.narrowed(node, to, |this, wide| {
            let stored = this.new_stored(node, shape, order, Element::I16, Some(wide));
            let target = this.program.add_view(stored.tensor, output.to_vec());
            let linear = (packed, bias, &signed);
            this.wide_step(
                node,
                image.tensor,
                target,
                linear,
                from,
                wide,
                window,
                groups,
                clamp,
            );
            Ok(stored)
        })
    }

    fn wide_product(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let (x, from) = self.wide_operand(node, 0)?;
        let product = self.product(node, &x, from, false)?;
        product.has_one_row_of_bias()?;
        if product.alpha != 1.0 {
            return Err("alpha other than 1 is not supported with int16".into());
        }
        let x = self.row_major(node, &x)?;
        let rows = x.shape.iter().product::<usize>() / product.k;
        let input = self.program.add_view(x.tensor, vec![1, rows, 1, product.k]);
        let shape = self.output_shape(node);
        let window = Window {
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            pad: [0, 0],
        };
        self.narrowed(node, to, |this, wide| {
            let order = (0..shape.len()).collect();
            let stored = this.new_stored(node, shape, order, Element::I16, Some(wide));
            let dims = vec![1, rows, 1, product.outputs];
            let target = this.program.add_view(stored.tensor, dims);
            let linear = (product.packed, product.bias, &product.signed);
            this.wide_step(node, input, target, linear, from, wide, window, 1, clamp);
            Ok(stored)
        })
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "each is one property of the step"
    )]
    fn wide_step(
        &mut self,
        node: &Node,
        input: TensorId,
        target: TensorId,
        (weights, bias, signed): (Vec<i8>, Vec<i32>, &SignedWeights),
        from: Quantization,
        to: Quantization,
        window: Window,
        groups: usize,
        clamp: (i32, i32),
    ) {
        let parameters = step::WideConv {
            kernel_h: window.kernel[0] as u32,
            kernel_w: window.kernel[1] as u32,
            stride_h: window.stride[0] as u32,
            stride_w: window.stride[1] as u32,
            dilation_h: window.dilation[0] as u32,
            dilation_w: window.dilation[1] as u32,
            pad_top: window.pad[0] as u32,
            pad_left: window.pad[1] as u32,
            groups: groups as u32,
            weights: 0,
            bias: 0,
            multipliers: 0,
            input_zero_point: from.zero_point,
            weight_zero_point: signed.zero_point.into(),
            zero_point: to.zero_point,
            low: clamp.0,
            high: clamp.1,
        };
        let channels = self.program.tensor(input).shape.last().copied();
        let scratch = 2 * parameters
            .patch(channels.unwrap_or(1))
            .unwrap_or(usize::MAX / 4);
        let elements = self.program.tensor(target).elements();
        let macs = (elements * (weights.len() / bias.len().max(1))) as u64;
        let operation = Operation::Tabled {
            operator: Operator::WideConv(parameters),
            tables: vec![
                Table::I8(weights),
                Table::I32(bias),
                Table::F32(signed.multipliers(from.scale, to.scale)),
            ],
        };
        self.step_with(node, operation, vec![input], target, scratch, macs);
    }

    fn wide_pair(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let shape = self.output_shape(node);
        let (a, from_a) = self.wide_operand(node, 0)?;
        let (b, from_b) = self.wide_operand(node, 1)?;
        let order = match (a.shape == shape, b.shape == shape) {
            (true, _) => a.order.clone(),
            (_, true) => b.order.clone(),
            _ => (0..shape.len()).collect(),
        };
        let a = self.expand(node, &a, &shape, &order)?;
        let b = self.expand(node, &b, &shape, &order)?;
        let negative = node.operator == "Sub";
        self.narrowed(node, to, |this, wide| {
            let stored = this.new_stored(node, shape, order, Element::I16, Some(wide));
            let parameters = step::WidePair {
                product: node.operator == "Mul",
                scale_a: from_a.scale,
                zero_a: from_a.zero_point,
                scale_b: if negative {
                    -from_b.scale
                } else {
                    from_b.scale
                },
                zero_b: from_b.zero_point,
                scale_y: wide.scale,
                zero_point: wide.zero_point,
                low: clamp.0,
                high: clamp.1,
            };
            let operation = Operation::Plain(Operator::WidePair(parameters));
            this.step(node, operation, vec![a.tensor, b.tensor], stored.tensor);
            Ok(stored)
        })
    }
}
