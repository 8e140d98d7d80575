//! Resize by nearest neighbour: ONNX's rules for coordinates and rounding become two
//! tables of source rows and columns.

use super::arrange::{image_order, nhwc};
use super::meaning::Stored;
use super::{Matcher, Why};
use crate::graph::{Graph, Node};
use crate::import::SIMPLE;
use crate::program::Operation;

impl Matcher<'_> {
    pub(super) fn resize(&mut self, node: &Node, stored: &Stored) -> Result<Stored, Why> {
        let mode = node.text("mode").unwrap_or("nearest");
        match mode {
            "nearest" => {}
            "linear" => {
                return Err("mode linear needs a DequantizeLinear before it".into());
            }
            other => return Err(format!("mode {other} is not supported")),
        }
        if !stored.is_bytes() {
            return Err(format!("it resizes {}; quantize first", stored.element));
        }
        let shape = self.output_shape(node);
        let image = self.image(node, stored)?;
        let [n, h, w, c] = image.nhwc;
        let [out_n, out_h, out_w, out_c] = nhwc(&shape);
        if (n, c) != (out_n, out_c) {
            return Err("it changes batch or channels".into());
        }
        let [row_scale, column_scale] = scales(self.graph, node, [h, w], [out_h, out_w], &shape);
        let columns = sources(node, w, out_w, column_scale)?;
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
    let rounding = node.text("nearest_mode").unwrap_or("round_prefer_floor");
    (0..output)
        .map(|i| {
            let original = original(node, input, output, scale, i)?;
            let rounded = match rounding {
                "round_prefer_floor" => (original - 0.5).ceil(),
                "round_prefer_ceil" => (original + 0.5).floor(),
                SIMPLE if scale < 1.0 => original.ceil(),
                SIMPLE => original.trunc(),
                "floor" => original.floor(),
                "ceil" => original.ceil(),
                other => return Err(format!("nearest_mode {other} is not supported")),
            };
            Ok(rounded.clamp(0.0, (input - 1) as f32) as u16)
        })
        .collect()
}

/// Output rows per input row, and output columns per input column.
pub(super) fn scales(
    graph: &Graph,
    node: &Node,
    input: [usize; 2],
    output: [usize; 2],
    shape: &[usize],
) -> [f32; 2] {
    let rank = shape.len();
    let given = graph.constant(node, 2).and_then(|s| s.floats());
    let given = given.unwrap_or(&[]);
    // Without `axes` every axis has a scale.
    let axes: Vec<usize> = match node.ints("axes") {
        Some(axes) => (axes.iter())
            .filter_map(|&index| super::axis(index, rank).ok())
            .collect(),
        None => (0..rank).collect(),
    };
    let scale = |axis: usize, from_end: usize| {
        // An image of one dimension has one row.
        let Some(at) = rank.checked_sub(from_end).filter(|&at| at >= 2) else {
            return 1.0;
        };
        match axes.iter().position(|&a| a == at) {
            Some(place) if given.len() == axes.len() => given[place],
            None => 1.0,
            _ => output[axis] as f32 / input[axis] as f32,
        }
    };
    [scale(0, 2), scale(1, 1)]
}

/// Where output position `i` lies in the input: ONNX Runtime's
/// `GetOriginalCoordinateFromResizedCoordinate`, in `f32`.
pub(super) fn original(
    node: &Node,
    input: usize,
    output: usize,
    scale: f32,
    i: usize,
) -> Result<f32, Why> {
    let x = i as f32;
    let coordinates = node
        .text("coordinate_transformation_mode")
        .unwrap_or("half_pixel");
    Ok(match coordinates {
        _ if scale == 1.0 => x,
        "asymmetric" => x / scale,
        "half_pixel" => (x + 0.5) / scale - 0.5,
        "pytorch_half_pixel" if output > 1 => (x + 0.5) / scale - 0.5,
        "pytorch_half_pixel" => 0.0,
        "half_pixel_symmetric" => {
            let adjustment = output as f32 / (scale * input as f32);
            let offset = input as f32 / 2.0 * (1.0 - adjustment);
            offset + (x + 0.5) / scale - 0.5
        }
        "align_corners" if output > 1 => x * (input as f32 - 1.0) / (output as f32 - 1.0),
        "align_corners" => 0.0,
        other => {
            return Err(format!(
                "coordinate_transformation_mode {other} is not supported"
            ));
        }
    })
}
