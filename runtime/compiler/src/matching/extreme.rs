//! ReduceMax, ReduceMin, GlobalMaxPool, ArgMax, ArgMin: they compare, and comparing
//! stored values is comparing real ones.

use super::arrange::strided;
use super::meaning::{Mapped, Meaning, Quantization, Stored, Table};
use super::{Matcher, Why, axis};
use crate::graph::{Element, Node};
use crate::program::Operation;
use sanderling_plan::{Dtype, Operator, step};
use std::sync::Arc;

/// How the real value follows the stored one, from the lowest byte to the highest.
#[derive(Clone, Copy, PartialEq)]
enum Trend {
    Rising,
    Falling,
}

impl Matcher<'_> {
    /// The largest or smallest element along some axes: a max-pool over them.
    pub(super) fn reduce_extreme(&mut self, node: &Node) -> Result<Meaning, Why> {
        let largest = node.operator != "ReduceMin";
        let (stored, mapped) = self.compared(node)?;
        // A falling function turns the largest real value into the smallest stored one.
        let falls = mapped
            .as_ref()
            .map(|m| trend(&m.table, false))
            .transpose()?
            == Some(Trend::Falling);
        let flip = largest == falls;
        let source = if flip {
            self.complement(node, &stored)
        } else {
            stored.clone()
        };
        let group = self.groups(node, &source)?;
        let shape = self.output_shape(node);
        let dims = |reduce| vec![group.outer, reduce, 1, group.inner];
        let input = self.program.add_view(group.x.tensor, dims(group.reduce));
        let output = self.new_stored(node, shape, group.order, stored.element, None);
        let (scale, zero_point) = {
            let tensor = self.program.tensor(stored.tensor);
            (tensor.scale, tensor.zero_point)
        };
        let target = &mut self.program.tensors[output.tensor.0];
        (target.scale, target.zero_point) = (scale, zero_point);
        let target = self.program.add_view(output.tensor, dims(1));
        let operation = Operation::Plain(Operator::MaxPool(tallest(group.reduce)));
        self.step(node, operation, vec![input], target);
        Ok(match mapped {
            Some(mapped) if !flip => Meaning::Mapped(Mapped {
                stored: output,
                ..mapped
            }),
            // The complement is undone by what reads the result, or by a table of its own.
            Some(mapped) => {
                let table: Table = std::array::from_fn(|byte| mapped.table[byte ^ 0xff]);
                Meaning::Mapped(Mapped {
                    stored: output,
                    table: Arc::new(table),
                    linear: None,
                })
            }
            None if flip => Meaning::Stored(self.complement(node, &output)),
            None => Meaning::Stored(output),
        })
    }

    /// The index of the largest or smallest element along an axis.
    pub(super) fn arg_max(&mut self, node: &Node) -> Result<Meaning, Why> {
        let (stored, mapped) = self.compared(node)?;
        // Where a function makes different values equal, the first of them is another one.
        let trend = mapped
            .as_ref()
            .map_or(Ok(Trend::Rising), |m| trend(&m.table, true))?;
        let group = self.groups(node, &stored)?;
        let shape = self.output_shape(node);
        let output = self.new_stored(node, shape, group.order, Element::I64, None);
        let parameters = step::ArgMax {
            outer: group.outer as u32,
            reduce: group.reduce as u32,
            inner: group.inner as u32,
            smallest: (node.operator == "ArgMin") == (trend == Trend::Rising),
            last: node.int("select_last_index").unwrap_or(0) != 0,
        };
        let operation = Operation::Plain(Operator::ArgMax(parameters));
        self.step(node, operation, vec![group.x.tensor], output.tensor);
        Ok(Meaning::Stored(output))
    }

    /// Whether a Max or Min is of several tensors, or of one alone; with a number it is a
    /// function of one tensor.
    pub(super) fn compares_tensors(&self, node: &Node) -> bool {
        (0..node.inputs.len())
            .all(|input| matches!(self.meaning(node, input), Some(Meaning::Mapped(_))))
    }

    /// The larger or smaller of several tensors, element by element. Quantization does not
    /// fall, so each tensor is brought to the result's quantization first; then they lie
    /// behind one another and a max-pool compares them.
    pub(super) fn extreme_of(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let shape = self.output_shape(node);
        let order: Vec<usize> = (0..shape.len()).collect();
        let smallest = node.operator == "Min";
        let byte = |real: f32| {
            let byte = i32::from(to.quantize(real)).clamp(clamp.0, clamp.1) as i8;
            if smallest { !byte } else { byte }
        };
        let count = node.inputs.len();
        let elements: usize = shape.iter().product();
        let name = format!("{}/all", node.name);
        let (scale, zero_point) = (to.scale, to.zero_point_i8());
        let dims = |reduce| vec![1, reduce, 1, elements];
        let all = (self.program).add_tensor(&name, Dtype::I8, dims(count), scale, zero_point);
        for input in 0..count {
            let (stored, from) = self.operand(node, input)?;
            let table = std::array::from_fn(|b| byte(from.dequantize(b as u8 as i8)) as u8);
            let looked_up = self.mapped_bytes(node, &stored, table);
            let expanded = self.expand(node, &looked_up, &shape, &order)?;
            let copy = strided(&[(elements, 1, 1)], 0, input * elements)?;
            let operation = Operation::Plain(Operator::Copy(copy));
            self.step(node, operation, vec![expanded.tensor], all);
        }
        let output = self.new_stored(node, shape, order, to.element, Some(to));
        let target = self.program.add_view(output.tensor, dims(1));
        let operation = Operation::Plain(Operator::MaxPool(tallest(count)));
        self.step(node, operation, vec![all], target);
        Ok(match smallest {
            true => self.complement(node, &output),
            false => output,
        })
    }

    /// What is compared: a stored tensor, or a function of one.
    fn compared(&self, node: &Node) -> Result<(Stored, Option<Mapped>), Why> {
        match self.meaning(node, 0).cloned() {
            Some(Meaning::Stored(stored)) if stored.is_bytes() => Ok((stored, None)),
            Some(Meaning::Mapped(mapped)) => Ok((mapped.stored.clone(), Some(mapped))),
            _ => self.operand(node, 0).map(|(stored, _)| (stored, None)),
        }
    }

    /// `-1 - x` of every element, which turns the order around.
    fn complement(&mut self, node: &Node, stored: &Stored) -> Stored {
        self.mapped_bytes(node, stored, std::array::from_fn(|byte| !(byte as u8)))
    }

    /// `stored` through a table of bytes.
    fn mapped_bytes(&mut self, node: &Node, stored: &Stored, table: [u8; 256]) -> Stored {
        let source = self.program.tensor(stored.tensor).clone();
        let tensor = self.program.add_tensor(
            &source.name,
            source.dtype,
            source.shape,
            source.scale,
            source.zero_point,
        );
        let operation = Operation::Lookup { table };
        self.step(node, operation, vec![stored.tensor], tensor);
        Stored {
            tensor,
            ..stored.clone()
        }
    }

    /// The single axis of ArgMax and ArgMin.
    pub(super) fn arg_axis(&self, node: &Node, rank: usize) -> Result<Vec<usize>, Why> {
        Ok(vec![axis(node.int("axis").unwrap_or(0), rank)?])
    }
}

/// A max-pool over all of so many rows.
pub(super) fn tallest(rows: usize) -> step::MaxPool {
    step::MaxPool {
        kernel_h: rows as u32,
        kernel_w: 1,
        stride_h: 1,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: 0,
        pad_left: 0,
    }
}

/// Signed and unsigned bytes alike: the table runs from the lowest value.
fn trend(table: &Table, strictly: bool) -> Result<Trend, Why> {
    let pairs = || (-128..127i8).map(|q| (table[q as u8 as usize], table[(q + 1) as u8 as usize]));
    let follows = |before: f32, after: f32| before < after || (!strictly && before == after);
    if pairs().all(|(low, high)| follows(low, high)) {
        Ok(Trend::Rising)
    } else if pairs().all(|(low, high)| follows(high, low)) {
        Ok(Trend::Falling)
    } else {
        Err("it follows a function that is not monotonic; quantize its input".into())
    }
}
