//! Gather: by indices that are known, copies; by others, a step.

use super::arrange::{CopyAxis, strided};
use super::meaning::{Mapped, Meaning, Quantization, Stored, Weights};
use super::{Matcher, Why, axis};
use crate::graph::{Data, Element, Node};
use crate::program::Operation;
use sanderling_plan::{Dtype, Operator, step};

impl<'a> Matcher<'a> {
    pub(super) fn gather(&mut self, node: &'a Node) -> Result<Meaning, Why> {
        let data = match self.meaning(node, 0).cloned() {
            Some(Meaning::Weights(weights)) => Meaning::Mapped(self.table(node, &weights)?),
            Some(meaning @ (Meaning::Stored(_) | Meaning::Mapped(_))) => meaning,
            None if self.graph.constant(node, 0).is_some() => {
                Meaning::Stored(self.stored_table(node)?)
            }
            _ => {
                self.operand(node, 0)?;
                return Ok(Meaning::Refused);
            }
        };
        Ok(match data {
            Meaning::Mapped(mapped) => Meaning::Mapped(Mapped {
                stored: self.gathered(node, &mapped.stored)?,
                ..mapped
            }),
            Meaning::Stored(stored) => Meaning::Stored(self.gathered(node, &stored)?),
            other => other,
        })
    }

    fn gathered(&mut self, node: &'a Node, stored: &Stored) -> Result<Stored, Why> {
        let axis = axis(node.int("axis").unwrap_or(0), stored.shape.len())?;
        if let Some(indices) = self.graph.constant(node, 1) {
            let extent = stored.shape[axis];
            let indices: Vec<usize> = indices
                .integers()
                .ok_or("its indices are not integers")?
                .into_iter()
                .map(|index| super::axis(index, extent))
                .collect::<Result<_, _>>()
                .map_err(|_| format!("an index lies outside the {extent} positions"))?;
            let picked = self.picked(node, stored, axis, &indices)?;
            return self.reshape(node, &picked);
        }
        let indices = match self.meaning(node, 1).cloned() {
            Some(Meaning::Stored(s)) if matches!(s.element, Element::I32 | Element::I64) => s,
            _ => return Err("its indices are neither constant nor an integer tensor".into()),
        };
        let indices = self.row_major(node, &indices)?;
        let stored = self.row_major(node, stored)?;
        let extent = |axes: &[usize]| -> usize { axes.iter().product() };
        let parameters = step::Gather {
            outer: extent(&stored.shape[..axis]) as u32,
            extent: stored.shape[axis] as u32,
            inner: extent(&stored.shape[axis + 1..]) as u32,
        };
        let shape = self.output_shape(node);
        let source = self.program.tensor(stored.tensor).clone();
        let tensor = self.program.add_tensor(
            &self.graph.value(node.outputs[0]).name,
            source.dtype,
            shape.clone(),
            source.scale,
            source.zero_point,
        );
        let operation = Operation::Plain(Operator::Gather(parameters));
        self.step(node, operation, vec![stored.tensor, indices.tensor], tensor);
        Ok(Stored {
            tensor,
            order: (0..shape.len()).collect(),
            shape,
            ..stored
        })
    }

    /// The positions `indices` of `axis`, one copy for each run of them.
    fn picked(
        &mut self,
        node: &Node,
        stored: &Stored,
        axis: usize,
        indices: &[usize],
    ) -> Result<Stored, Why> {
        let source = self.program.tensor(stored.tensor).clone();
        let mut picked = stored.clone();
        picked.shape[axis] = indices.len();
        picked.tensor = self.program.add_tensor(
            &self.graph.value(node.outputs[0]).name,
            source.dtype,
            picked.stored_shape(),
            source.scale,
            source.zero_point,
        );
        let (from, to) = (stored.strides(), picked.strides());
        let mut start = 0;
        while let Some(&first) = indices.get(start) {
            let pace = |at: usize| {
                indices
                    .get(at + 1)
                    .map(|&i| i as isize - indices[at] as isize)
            };
            let step = pace(start).unwrap_or(1);
            let mut length = 1;
            while pace(start + length - 1) == Some(step) {
                length += 1;
            }
            let axes: Vec<CopyAxis> = stored
                .order
                .iter()
                .map(|&a| match a == axis {
                    true => (length, from[a] as isize * step, to[a] as isize),
                    false => (stored.shape[a], from[a] as isize, to[a] as isize),
                })
                .collect();
            let copy = strided(&axes, first * from[axis], start * to[axis])?;
            let operation = Operation::Plain(Operator::Copy(copy));
            self.step(node, operation, vec![stored.tensor], picked.tensor);
            start += length;
        }
        Ok(picked)
    }

    /// A quantized constant as a tensor that steps can read.
    fn table(&mut self, node: &Node, weights: &Weights) -> Result<Mapped, Why> {
        let (&[scale], &[zero_point]) = (weights.scales.as_slice(), weights.zero_points.as_slice())
        else {
            return Err("a table with several scales is not supported".into());
        };
        if !matches!(weights.element, Element::I8 | Element::U8) {
            return Err(format!("a table of {} is not supported", weights.element));
        }
        let quantization = Quantization {
            scale,
            zero_point,
            element: weights.element,
        };
        let values: Vec<i8> = weights
            .values
            .iter()
            .map(|&v| (v - quantization.bias()) as i8)
            .collect();
        let tensor = self.program.add_constant(
            &format!("{}/table", node.name),
            weights.shape.clone(),
            &values,
            scale,
            quantization.zero_point_i8(),
        );
        let table = std::array::from_fn(|byte| quantization.dequantize(byte as u8 as i8));
        Ok(Mapped {
            stored: Stored {
                tensor,
                element: weights.element,
                shape: weights.shape.clone(),
                order: (0..weights.shape.len()).collect(),
            },
            table: std::sync::Arc::new(table),
            linear: Some(quantization),
        })
    }

    /// An integer constant that no DequantizeLinear stands before.
    fn stored_table(&mut self, node: &'a Node) -> Result<Stored, Why> {
        let graph = self.graph;
        let constant = graph.constant(node, 0).ok_or("its table is missing")?;
        let (element, values): (Element, Vec<i8>) = match &constant.data {
            Data::I8(values) => (Element::I8, values.clone()),
            Data::U8(values) => {
                let signed = values.iter().map(|&v| (v ^ 0x80) as i8).collect();
                (Element::U8, signed)
            }
            _ => return Err("its table is not quantized to int8 or uint8".into()),
        };
        let name = format!("{}/table", node.name);
        let shape = constant.shape.clone();
        let tensor = self
            .program
            .add_constant(&name, shape.clone(), &values, 0.0, 0);
        debug_assert_eq!(self.program.tensor(tensor).dtype, Dtype::I8);
        Ok(Stored {
            tensor,
            element,
            order: (0..shape.len()).collect(),
            shape,
        })
    }
}
