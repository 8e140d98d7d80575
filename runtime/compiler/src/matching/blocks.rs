//! DepthToSpace and SpaceToDepth: one strided copy each.

use super::arrange::{CopyAxis, image_order, strided};
use super::meaning::Stored;
use super::{Matcher, Why};
use crate::graph::Node;
use crate::program::Operation;
use sanderling_plan::Operator;

impl Matcher<'_> {
    pub(super) fn depth_to_space(&mut self, node: &Node, stored: &Stored) -> Result<Stored, Why> {
        let block = block_size(node)?;
        let shape = self.output_shape(node);
        let (&[n, _, h, w], &[_, channels, ..]) = (stored.shape.as_slice(), shape.as_slice())
        else {
            return Err("its input has other than four dimensions".into());
        };
        let output = self.copied(node, stored, shape)?;
        let (from, to) = (stored.strides(), output.strides());
        // The channel of a column within the block, of a row within it, and of a pixel.
        let (row, column, depth) = match node.text("mode").unwrap_or("DCR") {
            "DCR" => (block * channels, channels, 1),
            "CRD" => (block, 1, block * block),
            other => return Err(format!("mode {other} is unknown")),
        };
        let axes = [
            (n, from[0], to[0]),
            (h, from[2], to[2] * block),
            (block, from[1] * row, to[2]),
            (w, from[3], to[3] * block),
            (block, from[1] * column, to[3]),
            (channels, from[1] * depth, to[1]),
        ];
        self.blocks(node, stored, output, axes)
    }

    pub(super) fn space_to_depth(&mut self, node: &Node, stored: &Stored) -> Result<Stored, Why> {
        let block = block_size(node)?;
        let shape = self.output_shape(node);
        let (&[n, channels, ..], &[_, _, h, w]) = (stored.shape.as_slice(), shape.as_slice())
        else {
            return Err("its input has other than four dimensions".into());
        };
        let output = self.copied(node, stored, shape)?;
        let (from, to) = (stored.strides(), output.strides());
        let axes = [
            (n, from[0], to[0]),
            (h, from[2] * block, to[2]),
            (w, from[3] * block, to[3]),
            (block, from[2], to[1] * block * channels),
            (block, from[3], to[1] * channels),
            (channels, from[1], to[1]),
        ];
        self.blocks(node, stored, output, axes)
    }

    /// A tensor for a rearranged image, channels last.
    pub(super) fn copied(
        &mut self,
        node: &Node,
        stored: &Stored,
        shape: Vec<usize>,
    ) -> Result<Stored, Why> {
        let source = self.program.tensor(stored.tensor).clone();
        let copied = Stored {
            order: image_order(shape.len())?,
            shape,
            ..stored.clone()
        };
        let tensor = self.program.add_tensor(
            &self.graph.value(node.outputs[0]).name,
            source.dtype,
            copied.stored_shape(),
            source.scale,
            source.zero_point,
        );
        Ok(Stored { tensor, ..copied })
    }

    fn blocks(
        &mut self,
        node: &Node,
        stored: &Stored,
        output: Stored,
        axes: [(usize, usize, usize); 6],
    ) -> Result<Stored, Why> {
        let axes: Vec<CopyAxis> = axes
            .iter()
            .map(|&(extent, from, to)| (extent, from as isize, to as isize))
            .collect();
        let operation = Operation::Plain(Operator::Copy(strided(&axes, 0, 0)?));
        self.step(node, operation, vec![stored.tensor], output.tensor);
        Ok(output)
    }
}

fn block_size(node: &Node) -> Result<usize, Why> {
    node.int("blocksize")
        .and_then(|block| usize::try_from(block).ok())
        .filter(|&block| block > 0)
        .ok_or_else(|| "its blocksize is missing".into())
}
