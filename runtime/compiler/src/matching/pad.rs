//! Pad: a fill and a copy into the middle, or for the modes edge and reflect, copies of
//! the border axis by axis.

use super::arrange::{CopyAxis, strided};
use super::meaning::Stored;
use super::{Matcher, Why, axis};
use crate::graph::Node;
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
        if !matches!(mode, "constant" | "edge" | "reflect") {
            return Err(format!("mode {mode} is not supported"));
        }
        if !stored.is_bytes() {
            return Err(format!("it pads {}; quantize first", stored.element));
        }
        let rank = stored.shape.len();
        let pads = match self.graph.constant(node, 1) {
            Some(pads) => pads.integers().ok_or("its pads are not integers")?,
            None => node
                .ints("pads")
                .ok_or("its pads are not constant")?
                .to_vec(),
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
        // The output's size was checked, so that no sum below can overflow.
        let mut before = vec![0usize; rank];
        for (&axis, &pad) in axes.iter().zip(&pads) {
            before[axis] = pad as usize;
        }
        if mode != "constant" {
            let mut padded = stored.clone();
            let half = axes.len();
            for (place, &axis) in axes.iter().enumerate() {
                let (before, after) = (pads[place] as usize, pads[half + place] as usize);
                if before + after > 0 {
                    padded = self.pad_axis(node, &padded, axis, before, after, mode == "edge")?;
                }
            }
            return Ok(padded);
        }
        let value = self.pad_value(node)?;
        let byte = byte_of(value).ok_or_else(|| {
            format!(
                "its value {value} has no exact quantized form; pad with the zero point's value"
            )
        })?;

        let shape = self.output_shape(node);
        let source = self.program.tensor(stored.tensor).clone();
        let padded = Stored {
            shape,
            ..stored.clone()
        };
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
        let start = before
            .iter()
            .zip(&to)
            .map(|(pad, stride)| pad * stride)
            .sum();
        let copy = Operation::Plain(Operator::Copy(strided(&axes, 0, start)?));
        self.step(node, copy, vec![stored.tensor], tensor);
        Ok(padded)
    }

    /// `stored` with `before` and `after` more positions along `axis`: the outermost one
    /// again and again (edge), or the ones next to it, mirrored (reflect).
    fn pad_axis(
        &mut self,
        node: &Node,
        stored: &Stored,
        axis: usize,
        before: usize,
        after: usize,
        edge: bool,
    ) -> Result<Stored, Why> {
        let extent = stored.shape[axis];
        if !edge && before.max(after) >= extent {
            return Err(format!(
                "it reflects {} of {extent} positions",
                before.max(after)
            ));
        }
        let source = self.program.tensor(stored.tensor).clone();
        let mut padded = stored.clone();
        padded.shape[axis] += before + after;
        padded.tensor = self.program.add_tensor(
            &self.graph.value(node.outputs[0]).name,
            source.dtype,
            padded.stored_shape(),
            source.scale,
            source.zero_point,
        );
        let (from, to) = (stored.strides(), padded.strides());
        let last = extent - 1;
        // Where a part starts in the source, its pace there, where it goes, how long it is.
        let parts = if edge {
            [
                (0, 0, 0, before),
                (0, 1, before, extent),
                (last, 0, before + extent, after),
            ]
        } else {
            let mirrored = last.saturating_sub(1);
            [
                (before, -1, 0, before),
                (0, 1, before, extent),
                (mirrored, -1, before + extent, after),
            ]
        };
        for (first, pace, target, length) in parts {
            if length == 0 {
                continue;
            }
            let axes: Vec<CopyAxis> = stored
                .order
                .iter()
                .map(|&a| {
                    let pace = if a == axis { pace } else { 1 };
                    let extent = if a == axis { length } else { stored.shape[a] };
                    (extent, from[a] as isize * pace, to[a] as isize)
                })
                .collect();
            let copy = strided(&axes, first * from[axis], target * to[axis])?;
            let operation = Operation::Plain(Operator::Copy(copy));
            self.step(node, operation, vec![stored.tensor], padded.tensor);
        }
        Ok(padded)
    }

    fn pad_value(&self, node: &Node) -> Result<f32, Why> {
        if node.input(2).is_none() {
            return Ok(node.float("value").unwrap_or(0.0));
        }
        if let Some(value) = self.scalar(node, 2) {
            return Ok(value);
        }
        match self
            .graph
            .constant(node, 2)
            .and_then(|c| c.integers())
            .as_deref()
        {
            Some([value]) => Ok(*value as f32),
            _ => Err("its value is not a constant number".into()),
        }
    }
}
