//! Resize by linear interpolation: ONNX's rules for coordinates become rows, columns, and
//! their weights.

use super::arrange::{image_order, nhwc};
use super::meaning::{Quantization, Stored};
use super::resize::{original, scales};
use super::{Matcher, Why};
use crate::graph::Node;
use crate::program::Operation;
use crate::tables::Table;
use sanderling_plan::{Operator, step};

impl Matcher<'_> {
    pub(super) fn resize_linear(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let (x, from) = self.operand(node, 0)?;
        if node.int("antialias").unwrap_or(0) != 0 {
            return Err("antialias is not supported".into());
        }
        let shape = self.output_shape(node);
        let order = image_order(shape.len())?;
        let image = self.image(node, &x)?;
        let [n, h, w, c] = image.nhwc;
        let [out_n, out_h, out_w, out_c] = nhwc(&shape);
        if (n, c) != (out_n, out_c) {
            return Err("it changes batch or channels".into());
        }
        let [row_scale, column_scale] = scales(self.graph, node, [h, w], [out_h, out_w], &shape);
        let (rows, row_weights) = taps(node, h, out_h, row_scale)?;
        let (columns, column_weights) = taps(node, w, out_w, column_scale)?;
        let output = self.new_stored(node, shape, order, to.element, Some(to));
        let target = self
            .program
            .add_view(output.tensor, vec![out_n, out_h, out_w, out_c]);
        let parameters = step::ResizeLinear {
            rows: 0,
            row_weights: 0,
            columns: 0,
            column_weights: 0,
            scale_x: from.scale,
            zero_x: from.zero_point_i8(),
            scale_y: to.scale,
            zero_point: to.zero_point_i8(),
            low: clamp.0,
            high: clamp.1,
        };
        let operation = Operation::Tabled {
            operator: Operator::ResizeLinear(parameters),
            tables: vec![
                Table::U16(rows),
                Table::F32(row_weights),
                Table::U16(columns),
                Table::F32(column_weights),
            ],
        };
        self.step(node, operation, vec![image.tensor], target);
        Ok(output)
    }
}

/// For each output position along one axis the two input positions around it, and how
/// much each counts, as ONNX Runtime's `SetupUpsampleBilinear` has them.
fn taps(node: &Node, input: usize, output: usize, scale: f32) -> Result<(Vec<u16>, Vec<f32>), Why> {
    if input > usize::from(u16::MAX) {
        return Err(format!("an axis of {input} is too long"));
    }
    let last = input - 1;
    let (mut positions, mut weights) = (Vec::new(), Vec::new());
    for i in 0..output {
        let at = original(node, input, output, scale, i)?.clamp(0.0, last as f32);
        let first = (at as usize).min(last);
        let second = (first + 1).min(last);
        positions.extend([first as u16, second as u16]);
        weights.extend(if first == second {
            [0.5, 0.5]
        } else {
            [(at - second as f32).abs(), (at - first as f32).abs()]
        });
    }
    Ok((positions, weights))
}
