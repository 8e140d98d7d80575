//! Resize by nearest neighbour: ONNX's rules for coordinates and rounding become two
//! tables of source rows and columns.

use super::arrange::{image_order, nhwc};
use super::meaning::Stored;
use super::{Matcher, Why};
use crate::graph::{Element, Node};
use crate::program::Operation;

impl Matcher<'_> {
    pub(super) fn resize(&mut self, node: &Node, stored: &Stored) -> Result<Stored, Why> {
        let mode = node.text("mode").unwrap_or("nearest");
        if mode != "nearest" {
            return Err(format!("mode {mode} is not supported, only nearest"));
        }
        if stored.element == Element::F32 {
            return Err("it resizes floats; quantize first".into());
        }
        if node.ints("axes").is_some() {
            return Err("axes are not supported; give scales or sizes for every axis".into());
        }
        let shape = self.output_shape(node);
        let image = self.image(node, stored)?;
        let [n, h, w, c] = image.nhwc;
        let [out_n, out_h, out_w, out_c] = nhwc(&shape);
        if (n, c) != (out_n, out_c) {
            return Err("it changes batch or channels".into());
        }
        let scales = self
            .graph
            .constant(node, 2)
            .and_then(|s| s.floats())
            .unwrap_or(&[]);
        let scale = |from_end: usize, input: usize, output: usize| match scales
            .len()
            .checked_sub(from_end + 1)
            .and_then(|i| scales.get(i))
        {
            Some(&scale) if scales.len() == shape.len() => scale,
            _ => output as f32 / input as f32,
        };
        let columns = sources(node, w, out_w, scale(0, w, out_w))?;
        let row_scale = if shape.len() == 4 {
            scale(1, h, out_h)
        } else {
            1.0
        };
        let rows = sources(node, h, out_h, row_scale)?;
        let order = image_order(shape.len())?;
        let source = self.program.tensor(image.tensor).clone();
        let resized = Stored {
            shape,
            order,
            ..stored.clone()
        };
        let tensor = self.program.add_tensor(
            &self.graph.value(node.outputs[0]).name,
            source.dtype,
            resized.stored_shape(),
            source.scale,
            source.zero_point,
        );
        let target = self
            .program
            .add_view(tensor, vec![out_n, out_h, out_w, out_c]);
        let operation = Operation::ResizeNearest { rows, columns };
        self.step(node, operation, vec![image.tensor], target);
        Ok(Stored { tensor, ..resized })
    }
}

/// For each output position along one axis, the input position it shows.
fn sources(node: &Node, input: usize, output: usize, scale: f32) -> Result<Vec<u16>, Why> {
    if input > usize::from(u16::MAX) {
        return Err(format!("an axis of {input} is too long"));
    }
    let coordinates = node
        .text("coordinate_transformation_mode")
        .unwrap_or("half_pixel");
    let rounding = node.text("nearest_mode").unwrap_or("round_prefer_floor");
    (0..output)
        .map(|i| {
            let x = i as f32;
            // ONNX Runtime's `GetOriginalCoordinateFromResizedCoordinate`, in `f32`.
            let original = match coordinates {
                _ if scale == 1.0 => x,
                "asymmetric" => x / scale,
                "half_pixel" => (x + 0.5) / scale - 0.5,
                "pytorch_half_pixel" if output > 1 => (x + 0.5) / scale - 0.5,
                "pytorch_half_pixel" => 0.0,
                "align_corners" if output > 1 => x * (input as f32 - 1.0) / (output as f32 - 1.0),
                "align_corners" => 0.0,
                other => {
                    return Err(format!(
                        "coordinate_transformation_mode {other} is not supported"
                    ));
                }
            };
            let rounded = match rounding {
                "round_prefer_floor" => (original - 0.5).ceil(),
                "round_prefer_ceil" => (original + 0.5).floor(),
                "floor" => original.floor(),
                "ceil" => original.ceil(),
                other => return Err(format!("nearest_mode {other} is not supported")),
            };
            Ok(rounded.clamp(0.0, (input - 1) as f32) as u16)
        })
        .collect()
}
