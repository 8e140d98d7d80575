//! Operators that move data without changing it. They act on stored tensors, whatever
//! real function of them a value is.

use super::arrange::{CopyAxis, strided};
use super::meaning::{Mapped, Meaning, Stored, Weights, bias};
use super::{Matcher, Why, axis};
use crate::graph::Node;
use crate::program::Operation;
use crate::simplify::TWICE;
use sanderling_plan::Operator;
use std::sync::Arc;

impl<'a> Matcher<'a> {
    pub(super) fn movement(&mut self, node: &'a Node) -> Result<Vec<Meaning>, Why> {
        if node.operator == "Dropout" && self.drops(node) {
            return Err("it drops values, as in training; export the model for inference".into());
        }
        let meaning = match self.meaning(node, 0).cloned() {
            // These say nothing, wherever they stand.
            Some(meaning) if matches!(node.operator.as_str(), "Identity" | "Dropout") => meaning,
            Some(Meaning::Stored(stored)) => {
                let pad = |real: f32| Some((real as i32 - bias(stored.element)) as u8);
                Meaning::Stored(self.moved(node, &stored, &pad)?)
            }
            Some(Meaning::Mapped(mapped)) => {
                let table = mapped.table.clone();
                let pad = |real: f32| table.iter().position(|&r| r == real).map(|byte| byte as u8);
                let stored = self.moved(node, &mapped.stored, &pad)?;
                Meaning::Mapped(Mapped { stored, ..mapped })
            }
            Some(Meaning::Wide(stored, quantization)) => {
                let stored = self.moved(node, &stored, &|_| None)?;
                Meaning::Wide(stored, quantization)
            }
            Some(Meaning::Weights(weights)) => {
                Meaning::Weights(Arc::new(self.moved_weights(node, &weights)?))
            }
            _ => {
                self.operand(node, 0)?;
                Meaning::Refused
            }
        };
        Ok(vec![meaning])
    }

    /// Whether a Dropout is in training, which leaves values out.
    fn drops(&self, node: &Node) -> bool {
        let given = |input| self.graph.constant(node, input);
        let training = match node.input(2) {
            Some(_) => given(2)
                .and_then(|c| c.integers())
                .is_none_or(|on| on != [0]),
            None => false,
        };
        let ratio = given(1).and_then(|c| c.floats());
        training && ratio != Some(&[0.0])
    }

    /// `stored` after the node; `byte_of` finds the byte that stands for a real value.
    pub(super) fn moved(
        &mut self,
        node: &'a Node,
        stored: &Stored,
        byte_of: &dyn Fn(f32) -> Option<u8>,
    ) -> Result<Stored, Why> {
        match node.operator.as_str() {
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.reshape(node, stored),
            "Transpose" => self.transpose(node, stored),
            "Slice" => self.slice(node, stored),
            "Pad" => self.pad(node, stored, byte_of),
            "Resize" => self.resize(node, stored),
            "DepthToSpace" => self.depth_to_space(node, stored),
            "SpaceToDepth" => self.space_to_depth(node, stored),
            TWICE => self.twice(node, stored),
            _ => {
                let shape = self.output_shape(node);
                if shape.len() == stored.shape.len() {
                    self.expand(node, stored, &shape, &stored.order)
                } else {
                    let order: Vec<usize> = (0..shape.len()).collect();
                    self.expand(node, stored, &shape, &order)
                }
            }
        }
    }

    pub(super) fn reshape(&mut self, node: &Node, stored: &Stored) -> Result<Stored, Why> {
        let shape = self.output_shape(node);
        if shape.len() > 6 {
            return Err("more than six dimensions".into());
        }
        let long = |shape: &[usize]| -> Vec<usize> {
            (0..shape.len()).filter(|&axis| shape[axis] > 1).collect()
        };
        let (before, after) = (long(&stored.shape), long(&shape));
        let same_extents = before
            .iter()
            .map(|&a| stored.shape[a])
            .eq(after.iter().map(|&a| shape[a]));
        if same_extents {
            // Only axes of extent 1 come or go: the bytes stay where they are.
            let moved = stored.order.iter().filter_map(|axis| {
                before
                    .iter()
                    .position(|long| long == axis)
                    .map(|place| after[place])
            });
            let short = (0..shape.len()).filter(|axis| !after.contains(axis));
            let order: Vec<usize> = short.chain(moved).collect();
            let reshaped = Stored {
                shape,
                order,
                ..stored.clone()
            };
            let tensor = self
                .program
                .add_view(stored.tensor, reshaped.stored_shape());
            return Ok(Stored { tensor, ..reshaped });
        }
        let stored = self.row_major(node, stored)?;
        let tensor = self.program.add_view(stored.tensor, shape.clone());
        let order = (0..shape.len()).collect();
        Ok(Stored {
            tensor,
            shape,
            order,
            ..stored
        })
    }

    fn transpose(&mut self, node: &Node, stored: &Stored) -> Result<Stored, Why> {
        let permutation = permutation(node, stored.shape.len())?;
        let shape = permutation.iter().map(|&axis| stored.shape[axis]).collect();
        let order = stored
            .order
            .iter()
            .filter_map(|axis| permutation.iter().position(|p| p == axis))
            .collect();
        // The bytes stay; only which axis is which changes.
        Ok(Stored {
            shape,
            order,
            ..stored.clone()
        })
    }

    fn slice(&mut self, node: &Node, stored: &Stored) -> Result<Stored, Why> {
        let rank = stored.shape.len();
        let given = |input: usize, name: &str| -> Result<Option<Vec<i64>>, Why> {
            match self.graph.constant(node, input) {
                Some(values) => Ok(values.integers()),
                None if node.input(input).is_some() => Err(format!("its {name} are not constant")),
                None => Ok(node.ints(name).map(<[i64]>::to_vec)),
            }
        };
        let starts = given(1, "starts")?.ok_or("its starts are missing")?;
        let axes = given(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = given(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        let (mut first, mut pace) = (vec![0usize; rank], vec![1isize; rank]);
        for ((&start, &index), &step) in starts.iter().zip(&axes).zip(&steps) {
            let axis = axis(index, rank)?;
            let extent = stored.shape[axis] as i64;
            let start = if start < 0 { start + extent } else { start };
            let last = if step < 0 { extent - 1 } else { extent };
            first[axis] = start.clamp(0, last) as usize;
            pace[axis] = step as isize;
        }
        let shape = self.output_shape(node);
        self.window_of(node, stored, shape, &first, &pace)
    }

    /// The part of `stored` that starts at `first` and has `shape`, each axis at its pace.
    pub(super) fn window_of(
        &mut self,
        node: &Node,
        stored: &Stored,
        shape: Vec<usize>,
        first: &[usize],
        pace: &[isize],
    ) -> Result<Stored, Why> {
        let strides = stored.strides();
        let source = self.program.tensor(stored.tensor).clone();
        let part = Stored {
            shape,
            ..stored.clone()
        };
        let tensor = self.program.add_tensor(
            &self.graph.value(node.outputs[0]).name,
            source.dtype,
            part.stored_shape(),
            source.scale,
            source.zero_point,
        );
        let part = Stored { tensor, ..part };
        let to = part.strides();
        let axes: Vec<CopyAxis> = part
            .order
            .iter()
            .map(|&a| (part.shape[a], strides[a] as isize * pace[a], to[a] as isize))
            .collect();
        let from = first
            .iter()
            .zip(&strides)
            .map(|(i, stride)| i * stride)
            .sum();
        let copy = Operation::Plain(Operator::Copy(strided(&axes, from, 0)?));
        self.step(node, copy, vec![stored.tensor], tensor);
        Ok(part)
    }

    /// Every group of an axis twice in a row.
    fn twice(&mut self, node: &Node, stored: &Stored) -> Result<Stored, Why> {
        let rank = stored.shape.len();
        let along = axis(node.int("axis").unwrap_or(1), rank)?;
        let groups = node.int("groups").unwrap_or(1).max(1) as usize;
        let source = self.program.tensor(stored.tensor).clone();
        let mut output = stored.clone();
        output.shape[along] *= 2;
        output.tensor = self.program.add_tensor(
            &self.graph.value(node.outputs[0]).name,
            source.dtype,
            output.stored_shape(),
            source.scale,
            source.zero_point,
        );
        let (from, to) = (stored.strides(), output.strides());
        let mut axes: Vec<CopyAxis> = Vec::with_capacity(rank + 2);
        for &at in &stored.order {
            let (extent, from, to) = (stored.shape[at], from[at] as isize, to[at] as isize);
            if at != along {
                axes.push((extent, from, to));
                continue;
            }
            let each = extent / groups;
            let run = each as isize;
            axes.push((groups, run * from, 2 * run * to));
            axes.push((2, 0, run * to));
            axes.push((each, from, to));
        }
        let copy = Operation::Plain(Operator::Copy(strided(&axes, 0, 0)?));
        self.step(node, copy, vec![stored.tensor], output.tensor);
        Ok(output)
    }

    pub(super) fn split(&mut self, node: &'a Node) -> Result<Vec<Meaning>, Why> {
        let meaning = self.meaning(node, 0).cloned();
        let stored = match &meaning {
            Some(Meaning::Stored(stored)) => stored.clone(),
            Some(Meaning::Mapped(mapped)) => mapped.stored.clone(),
            _ => {
                self.operand(node, 0)?;
                return Err("it splits a constant".into());
            }
        };
        let rank = stored.shape.len();
        let axis = axis(node.int("axis").unwrap_or(0), rank)?;
        let mut first = vec![0; rank];
        let mut parts = Vec::with_capacity(node.outputs.len());
        for &output in &node.outputs {
            let shape = self.graph.value(output).shape.clone();
            let length = shape[axis];
            let part = self.window_of(node, &stored, shape, &first, &vec![1; rank])?;
            first[axis] += length;
            parts.push(match &meaning {
                Some(Meaning::Mapped(mapped)) => Meaning::Mapped(Mapped {
                    stored: part,
                    ..mapped.clone()
                }),
                _ => Meaning::Stored(part),
            });
        }
        Ok(parts)
    }

    /// A quantized constant after Transpose or a reshape.
    fn moved_weights(&self, node: &Node, weights: &Weights) -> Result<Weights, Why> {
        match node.operator.as_str() {
            "Transpose" => {
                let permutation = permutation(node, weights.shape.len())?;
                let mut strides = vec![1; weights.shape.len()];
                for axis in (1..strides.len()).rev() {
                    strides[axis - 1] = strides[axis] * weights.shape[axis];
                }
                let shape: Vec<usize> = permutation.iter().map(|&a| weights.shape[a]).collect();
                let mut places = vec![0usize];
                for &axis in &permutation {
                    places = places
                        .iter()
                        .flat_map(|at| (0..weights.shape[axis]).map(move |i| (at, i)))
                        .map(|(at, i)| at + i * strides[axis])
                        .collect();
                }
                Ok(Weights {
                    values: places.into_iter().map(|at| weights.values[at]).collect(),
                    axis: permutation
                        .iter()
                        .position(|&a| a == weights.axis)
                        .unwrap_or(0),
                    shape,
                    ..weights.clone()
                })
            }
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" if weights.scales.len() == 1 => {
                Ok(Weights {
                    shape: self.output_shape(node),
                    axis: 0,
                    ..weights.clone()
                })
            }
            other => Err(format!(
                "{other} of a constant is not supported; fold it into the constant"
            )),
        }
    }
}

fn permutation(node: &Node, rank: usize) -> Result<Vec<usize>, Why> {
    let permutation = match node.ints("perm") {
        Some(perm) => perm
            .iter()
            .map(|&i| axis(i, rank))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = permutation.clone();
    sorted.sort_unstable();
    if sorted.iter().copied().eq(0..rank) {
        Ok(permutation)
    } else {
        Err("its perm is not a permutation".into())
    }
}
