//! MaxPool and AveragePool.

use super::arrange::{image_order, nhwc};
use super::meaning::{Mapped, Meaning, Quantization, Stored};
use super::reduce::mean;
use super::window::Window;
use super::{Matcher, Why};
use crate::graph::Node;
use crate::program::Operation;
use sanderling_plan::{Operator, step};

impl Matcher<'_> {
    /// The maximum of quantized values is the quantized maximum, so this needs no
    /// QuantizeLinear of its own.
    pub(super) fn max_pool(&mut self, node: &Node) -> Result<Meaning, Why> {
        let (stored, mapped) = match self.meaning(node, 0).cloned() {
            Some(Meaning::Stored(stored)) if stored.is_bytes() => (stored, None),
            Some(Meaning::Mapped(mapped)) => {
                // Signed and unsigned bytes alike: the table runs from the lowest value.
                let rising = (-128..127i8).all(|q| {
                    mapped.table[q as u8 as usize] <= mapped.table[(q + 1) as u8 as usize]
                });
                if !rising {
                    return Err(
                        "it follows a function that is not monotonic; quantize its input".into(),
                    );
                }
                (mapped.stored.clone(), Some(mapped))
            }
            _ => {
                self.operand(node, 0)?;
                return Ok(Meaning::Refused);
            }
        };
        let output = self.pooled(node, &stored)?;
        Ok(match mapped {
            Some(mapped) => Meaning::Mapped(Mapped {
                stored: output,
                ..mapped
            }),
            None => Meaning::Stored(output),
        })
    }

    /// The maxima of a tensor of bytes.
    pub(super) fn pooled(&mut self, node: &Node, stored: &Stored) -> Result<Stored, Why> {
        if !stored.is_bytes() {
            return Err(format!(
                "it compares {}; quantize to 8 bits first",
                stored.element
            ));
        }
        let shape = self.output_shape(node);
        let order = image_order(shape.len())?;
        let image = self.image(node, stored)?;
        let output_nhwc = nhwc(&shape);
        let window = pool_window(node, image.nhwc, output_nhwc)?;
        let source = self.program.tensor(image.tensor);
        let quantization = Quantization {
            scale: source.scale,
            zero_point: source.zero_point + super::meaning::bias(stored.element),
            element: stored.element,
        };
        let output = self.new_stored(node, shape, order, stored.element, Some(quantization));
        let target = self.program.add_view(output.tensor, output_nhwc.to_vec());
        let parameters = step::MaxPool {
            kernel_h: window.kernel[0] as u32,
            kernel_w: window.kernel[1] as u32,
            stride_h: window.stride[0] as u32,
            stride_w: window.stride[1] as u32,
            dilation_h: window.dilation[0] as u32,
            dilation_w: window.dilation[1] as u32,
            pad_top: window.pad[0] as u32,
            pad_left: window.pad[1] as u32,
        };
        let operation = Operation::Plain(Operator::MaxPool(parameters));
        self.step(node, operation, vec![image.tensor], target);
        Ok(output)
    }

    pub(super) fn average_pool(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let (x, from) = self.operand(node, 0)?;
        let shape = self.output_shape(node);
        let order = image_order(shape.len())?;
        let image = self.image(node, &x)?;
        let output_nhwc = nhwc(&shape);
        let window = pool_window(node, image.nhwc, output_nhwc)?;
        if window.dilation != [1, 1] {
            return Err("dilations are not supported".into());
        }
        let output = self.new_stored(node, shape, order, to.element, Some(to));
        let target = self.program.add_view(output.tensor, output_nhwc.to_vec());
        let [n, h, w, c] = image.nhwc;
        if window.kernel == [h, w] && is_unpadded(node) {
            // One window over everything: ONNX Runtime computes a GlobalAveragePool then,
            // whose sums are integers.
            let parameters = mean([n, h * w, c], &from, &to, clamp);
            let scratch = parameters.scratch_bytes().ok_or("it is too large")?;
            let operation = Operation::Plain(Operator::ReduceMean(parameters));
            self.step_with(node, operation, vec![image.tensor], target, scratch, 0);
            return Ok(output);
        }
        let parameters = step::AveragePool {
            kernel_h: window.kernel[0] as u32,
            kernel_w: window.kernel[1] as u32,
            stride_h: window.stride[0] as u32,
            stride_w: window.stride[1] as u32,
            pad_top: window.pad[0] as u32,
            pad_left: window.pad[1] as u32,
            count_include_pad: node.int("count_include_pad").unwrap_or(0) != 0,
            scale_x: from.scale,
            zero_x: from.zero_point_i8(),
            scale_y: to.scale,
            offset: to.zero_point as f32,
            bias_y: to.bias(),
            low: clamp.0,
            high: clamp.1,
        };
        let operation = Operation::Plain(Operator::AveragePool(parameters));
        self.step(node, operation, vec![image.tensor], target);
        Ok(output)
    }
}

/// Whether a node has no padding on any side, and asks for none.
fn is_unpadded(node: &Node) -> bool {
    let asked = matches!(node.text("auto_pad"), None | Some("NOTSET" | "VALID" | ""));
    let pads = node.ints("pads").unwrap_or(&[]);
    asked && pads.iter().all(|&pad| pad == 0)
}

fn pool_window(node: &Node, input: [usize; 4], output: [usize; 4]) -> Result<Window, Why> {
    let kernel = node
        .ints("kernel_shape")
        .ok_or("its kernel_shape is missing")?;
    let kernel: Vec<usize> = kernel
        .iter()
        .map(|&k| {
            usize::try_from(k)
                .ok()
                .filter(|&k| k > 0 && k < 1 << 24)
                .ok_or(format!("a kernel of {k}"))
        })
        .collect::<Result<_, _>>()?;
    Window::of(node, &kernel, [input[1], input[2]], [output[1], output[2]])
}
