//! LayerNormalization.

use super::meaning::{Meaning, Quantization, Stored};
use super::{Matcher, Why, axis};
use crate::graph::{Node, ValueId};
use crate::program::Operation;
use crate::tables::Table;
use sanderling_plan::{Operator, step};

impl Matcher<'_> {
    pub(super) fn layer_norm(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let (x, from) = self.operand(node, 0)?;
        let rank = x.shape.len();
        let axis = axis(node.int("axis").unwrap_or(-1), rank)?;
        let width: usize = x.shape[axis..].iter().product();
        if width > step::LayerNorm::MAX_WIDTH as usize {
            return Err(format!("a row of {width} is too long"));
        }
        let normalized = x.shape[axis..].to_vec();
        let gain = self.row_of(node, 1, &normalized, 1.0)?;
        let bias = self.row_of(node, 2, &normalized, 0.0)?;
        let x = self.row_major(node, &x)?;
        let order = (0..rank).collect();
        let output = self.new_stored(node, x.shape.clone(), order, to.element, Some(to));
        let dims = vec![x.shape.iter().product::<usize>() / width, width];
        let input = self.program.add_view(x.tensor, dims.clone());
        let target = self.program.add_view(output.tensor, dims);
        let parameters = step::LayerNorm {
            gain: 0,
            bias: 0,
            scale_x: from.scale,
            zero_x: from.zero_point_i8(),
            epsilon: node.float("epsilon").unwrap_or(1e-5),
            scale_y: to.scale,
            zero_point: to.zero_point_i8(),
            low: clamp.0,
            high: clamp.1,
        };
        let operation = Operation::Tabled {
            operator: Operator::LayerNorm(parameters),
            tables: vec![Table::F32(gain), Table::F32(bias)],
        };
        self.step(node, operation, vec![input], target);
        Ok(output)
    }

    /// A row of real constants, quantized or not; `default` everywhere where it is left out.
    fn row_of(
        &self,
        node: &Node,
        input: usize,
        normalized: &[usize],
        default: f32,
    ) -> Result<Vec<f32>, Why> {
        if node.input(input).is_none() {
            return Ok(vec![default; normalized.iter().product()]);
        }
        let row = match (self.meaning(node, input), self.graph.constant(node, input)) {
            (Some(Meaning::Weights(weights)), _) => weights.reals(),
            (_, Some(constant)) => constant
                .floats()
                .ok_or_else(|| format!("input {input} is not float"))?
                .to_vec(),
            _ => return Err(format!("input {input} is not constant")),
        };
        // What counts is along which axes they lie: a column of as many values is another thing.
        let shape = |id: ValueId| self.graph.value(id).shape.as_slice();
        let given = node.input(input).map_or(&[] as &[usize], shape);
        let long = |dims: &[usize]| -> Vec<usize> {
            dims.iter()
                .copied()
                .skip_while(|&extent| extent == 1)
                .collect()
        };
        if long(given) != long(normalized) {
            return Err(format!(
                "input {input} is {given:?}; it must be {normalized:?}, the part that is normalized"
            ));
        }
        match row.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(format!(
                "input {input} holds {value}, which is no finite number"
            )),
            None => Ok(row),
        }
    }
}
