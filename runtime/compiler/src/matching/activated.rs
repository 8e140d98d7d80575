//! A convolution or product that an activation follows before the quantization.
//!
//! ONNX Runtime runs it in float. What the activation and the quantization make of the
//! real sum is a function with few levels, so a sorted list of the sums at which the level
//! changes says all of it; the compiler finds them, bit for bit.

use super::arrange::{image_order, nhwc};
use super::conv::SignedWeights;
use super::meaning::{Activation, Meaning, Quantization, Stored};
use super::window::Window;
use super::{Matcher, Why};
use crate::graph::Node;
use crate::program::{Operation, TensorId};
use crate::tables::Table;
use sanderling_plan::{Operator, step};
use std::rc::Rc;

/// Points at which the function is looked at before its edges are searched; a bump
/// that is narrower than their distance is not seen.
const GRID: usize = 1 << 16;

/// What the step needs, whichever operator it comes from.
pub(super) struct Linear {
    pub(super) x: TensorId,
    /// `[out][kh][kw][in / groups]`.
    pub(super) weights: Vec<i8>,
    pub(super) signed: SignedWeights,
    bias: Vec<i32>,
    pub(super) from: Quantization,
    pub(super) window: Window,
    pub(super) groups: usize,
    /// Batch, height, width, channels of the output.
    pub(super) output: [usize; 4],
    pub(super) order: Vec<usize>,
}

impl Matcher<'_> {
    /// The function that stands after a convolution or product at `input`, and that node.
    pub(super) fn activation(&self, node: &Node, input: usize) -> Option<(usize, Activation)> {
        let (of, function) = match self.meaning(node, input)? {
            Meaning::Activated { node, function } => (*node, function.clone()),
            &Meaning::Pending { node, low, high } => {
                let clamp = move |x: f32| x.max(low).min(high);
                (node, Activation(Rc::new(clamp)))
            }
            _ => return None,
        };
        let kind = self.graph.nodes[of].operator.as_str();
        if self.reads_wide(&self.graph.nodes[of]) {
            return None;
        }
        matches!(kind, "Conv" | "Gemm" | "MatMul").then_some((of, function))
    }

    /// The step, now that the output's quantization is known.
    pub(super) fn activated(
        &mut self,
        index: usize,
        function: &Activation,
        to: Quantization,
    ) -> Result<Stored, Why> {
        let graph = self.graph;
        let node = &graph.nodes[index];
        let linear = match node.operator.as_str() {
            "Conv" => self.linear_of_conv(node)?,
            _ => self.linear_of_product(node)?,
        };
        let outputs = linear.output[3];
        let per_output = linear.weights.len() / outputs.max(1);
        let channel = |o: usize| {
            linear.weights[o * per_output..][..per_output]
                .iter()
                .copied()
        };
        let bias = linear
            .signed
            .fold(linear.from.zero_point_i8(), &linear.bias, channel);
        let multipliers = linear.signed.multipliers(linear.from.scale, 1.0);
        let reach = (0..outputs)
            .map(|o| {
                let weights: f64 = channel(o)
                    .map(|w| f64::from((i32::from(w) - i32::from(linear.signed.zero_point)).abs()))
                    .sum();
                let most = weights * 255.0 + f64::from(linear.bias[o]).abs();
                most.min(f64::from(i32::MAX)) * f64::from(multipliers[o])
            })
            .fold(1e-6, f64::max);
        if !(reach as f32).is_finite() {
            return Err("its scales are so far apart that its sums are not finite".into());
        }
        let (bounds, values) = levels(&|real| to.quantize((function.0)(real)), reach as f32);
        if bounds.len() > step::ActivatedConv::MAX_STEPS as usize {
            return Err("the function after it has too many levels".into());
        }
        let shape = self.output_shape(node);
        let stored = self.new_stored(node, shape, linear.order, to.element, Some(to));
        let target = self.program.add_view(stored.tensor, linear.output.to_vec());
        let parameters = step::ActivatedConv {
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
            input_zero_point: linear.from.zero_point_i8(),
            weight_zero_point: linear.signed.zero_point.into(),
            bounds: 0,
            values: 0,
            steps: bounds.len() as u32,
        };
        let channels = self.program.tensor(linear.x).shape.last().copied();
        let scratch = (parameters.patch(channels.unwrap_or(1))).ok_or("it is too large")?;
        let macs = (linear.output.iter().product::<usize>() * per_output) as u64;
        let operation = Operation::Tabled {
            operator: Operator::ActivatedConv(parameters),
            tables: vec![
                Table::I8(linear.weights),
                Table::I32(bias),
                Table::F32(multipliers),
                Table::F32(bounds),
                Table::I8(values),
            ],
        };
        self.step_with(node, operation, vec![linear.x], target, scratch, macs);
        Ok(stored)
    }

    pub(super) fn linear_of_conv(&mut self, node: &Node) -> Result<Linear, Why> {
        let (x, from) = self.operand(node, 0)?;
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
        let packed = (0..output[3])
            .flat_map(|o| (0..taps).map(move |tap| (o, tap)))
            .flat_map(|(o, tap)| (0..inputs).map(move |i| (o * inputs + i) * taps + tap))
            .map(|at| signed.values[at])
            .collect();
        Ok(Linear {
            x: image.tensor,
            weights: packed,
            signed,
            bias,
            from,
            window,
            groups,
            output,
            order: image_order(shape.len())?,
        })
    }

    pub(super) fn linear_of_product(&mut self, node: &Node) -> Result<Linear, Why> {
        let (x, from) = self.operand(node, 0)?;
        let product = self.product(node, &x, from, false)?;
        product.has_one_row_of_bias()?;
        if product.alpha != 1.0 {
            return Err("alpha other than 1 before an activation is not supported".into());
        }
        let x = self.row_major(node, &x)?;
        let rows = x.shape.iter().product::<usize>() / product.k;
        let dims = vec![1, rows, 1, product.k];
        let shape = self.output_shape(node);
        Ok(Linear {
            x: self.program.add_view(x.tensor, dims),
            weights: product.packed,
            signed: product.signed,
            bias: product.bias,
            from,
            window: Window {
                kernel: [1, 1],
                stride: [1, 1],
                dilation: [1, 1],
                pad: [0, 0],
            },
            groups: 1,
            output: [1, rows, 1, product.outputs],
            order: (0..shape.len()).collect(),
        })
    }
}

/// The real numbers within `±reach` at which `level` changes, rising, and the levels before, between,
/// and after them.
fn levels(level: &dyn Fn(f32) -> i8, reach: f32) -> (Vec<f32>, Vec<i8>) {
    let (mut bounds, mut values) = (Vec::new(), vec![level(-reach)]);
    let mut before = -reach;
    for i in 1..=GRID {
        // The last point is the end itself.
        let point = (f64::from(reach) * (2.0 * i as f64 / GRID as f64 - 1.0)) as f32;
        edges(level, before, point, &mut bounds, &mut values);
        before = point;
    }
    (bounds, values)
}

/// Adds the changes of level above `low` up to `high`.
fn edges(
    level: &dyn Fn(f32) -> i8,
    low: f32,
    high: f32,
    bounds: &mut Vec<f32>,
    values: &mut Vec<i8>,
) {
    let top = level(high);
    // Several levels may lie between two points; each search ends at the next change.
    let mut low = low;
    while level(low) != top {
        let here = level(low);
        let (mut same, mut changed) = (order(low), order(high));
        while changed - same > 1 {
            let middle = same + (changed - same) / 2;
            if level(real(middle)) == here {
                same = middle;
            } else {
                changed = middle;
            }
        }
        low = real(changed);
        bounds.push(low);
        values.push(level(low));
    }
}

/// Numbers real numbers in their order, one apart where no other lies between; both zeros
/// are 0.
fn order(real: f32) -> i64 {
    let bits = i64::from(real.to_bits() & 0x7fff_ffff);
    if real.is_sign_negative() { -bits } else { bits }
}

fn real(order: i64) -> f32 {
    let magnitude = f32::from_bits(order.unsigned_abs() as u32);
    if order < 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_are_those_of_the_function() {
        let functions: [fn(f32) -> f32; 3] = [
            |x| if x >= 0.0 { x } else { 0.1 * x },
            |x| 1.0 / (1.0 + (-x).exp()),
            |x| x / (1.0 + (-x).exp()),
        ];
        for (number, function) in functions.into_iter().enumerate() {
            let level = |real: f32| {
                (function(real) / 0.05)
                    .round_ties_even()
                    .clamp(-128.0, 127.0) as i8
            };
            let (bounds, values) = levels(&level, 20.0);
            assert!(bounds.is_sorted());
            for i in -200_000..=200_000 {
                let x = i as f32 * 1e-4;
                let found = values[bounds.partition_point(|&bound| bound <= x)];
                assert_eq!(found, level(x), "function {number} of {x}");
            }
        }
    }
}
