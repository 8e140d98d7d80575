//! Pad with a constant: a fill, then a copy into the middle.

use super::arrange::{CopyAxis, strided};
use super::meaning::Stored;
use super::{Matcher, Why, axis};
use crate::graph::{Element, Node};
use crate::program::Operation;
use sanderling_plan::{Operator, step};

impl Matcher<'_> {
    pub(super) fn pad(
        &mut self,
        node: &Node,
        stored: &Stored,
        byte_of: &dyn Fn(f32) -> Option<u8>,
    ) -> Result<Stored, Why> {
        let mode = node.text("mode").unwrap_or("constant");
        if mode != "constant" {
            return Err(format!("mode {mode} is not supported, only constant"));
        }
        if stored.element == Element::F32 {
            return Err("it pads floats; quantize first".into());
        }
        let rank = stored.shape.len();
        let pads = match self.graph.constant(node, 1) {
            Some(pads) => pads.integers().ok_or("its pads are not integers")?,
            None => node.ints("pads").ok_or("its pads are not constant")?.to_vec(),
        };
        let axes: Vec<usize> = match self.graph.constant(node, 3) {
            Some(axes) => axes
                .integers()
                .ok_or("its axes are not integers")?
                .into_iter()
                .map(|index| axis(index, rank))
                .collect::<Result<_, _>>()?,
            None => (0..rank).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return Err("its pads do not fit its axes".into());
        }
        if pads.iter().any(|&pad| pad < 0) {
            return Err("negative padding is not supported; use Slice".into());
        }
        let mut before = vec![0usize; rank];
        for (&axis, &pad) in axes.iter().zip(&pads) {
            before[axis] = pad as usize;
        }
        let value = self.pad_value(node)?;
        let byte = byte_of(value).ok_or_else(|| {
            format!("its value {value} has no exact quantized form; pad with the zero point's value")
        })?;

        let shape = self.output_shape(node);
        let source = self.program.tensor(stored.tensor).clone();
        let padded = Stored { shape, ..stored.clone() };
        let tensor = self.program.add_tensor(
            &self.graph.value(node.outputs[0]).name,
            source.dtype,
            padded.stored_shape(),
            source.scale,
            source.zero_point,
        );
        let padded = Stored { tensor, ..padded };
        let fill = Operator::Fill(step::Fill { value: byte.into() });
        self.step(node, Operation::Plain(fill), vec![], tensor);
        let (from, to) = (stored.strides(), padded.strides());
        let axes: Vec<CopyAxis> = stored
            .order
            .iter()
            .map(|&a| (stored.shape[a], from[a] as isize, to[a] as isize))
            .collect();
        let start = before.iter().zip(&to).map(|(pad, stride)| pad * stride).sum();
        let copy = Operation::Plain(Operator::Copy(strided(&axes, 0, start)?));
        self.step(node, copy, vec![stored.tensor], tensor);
        Ok(padded)
    }

    fn pad_value(&self, node: &Node) -> Result<f32, Why> {
        if node.input(2).is_none() {
            return Ok(node.float("value").unwrap_or(0.0));
        }
        if let Some(value) = self.scalar(node, 2) {
            return Ok(value);
        }
        match self.graph.constant(node, 2).and_then(|c| c.integers()).as_deref() {
            Some([value]) => Ok(*value as f32),
            _ => Err("its value is not a constant number".into()),
        }
    }
}
