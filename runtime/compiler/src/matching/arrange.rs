//! Brings tensors into the stored order that an operator reads.

use super::meaning::Stored;
use super::{Matcher, Why};
use crate::graph::Node;
use crate::program::{Operation, TensorId};
use sanderling_plan::{Operator, step};

/// A copy's axes, outermost first: extent, stride in the source, stride in the target.
pub type CopyAxis = (usize, isize, isize);

/// Parameters of a copy over at most six axes of extent above 1.
pub fn strided(axes: &[CopyAxis], from: usize, to: usize) -> Result<step::Copy, Why> {
    let mut axes: Vec<CopyAxis> = axes.iter().copied().filter(|axis| axis.0 != 1).collect();
    // Neighbouring axes that run through both sides without a gap are one.
    let mut i = 1;
    while i < axes.len() {
        let (inner, outer) = (axes[i], axes[i - 1]);
        let joined = |outer: isize, inner_stride: isize| outer == inner_stride * inner.0 as isize;
        if joined(outer.1, inner.1) && joined(outer.2, inner.2) {
            axes[i - 1] = (outer.0 * inner.0, inner.1, inner.2);
            axes.remove(i);
        } else {
            i += 1;
        }
    }
    if axes.len() > 6 {
        return Err("it moves data along more than six axes at once".into());
    }
    let mut copy = step::Copy {
        shape: [1; 6],
        from_strides: [0; 6],
        to_strides: [0; 6],
        from: from as u32,
        to: to as u32,
    };
    let first = 6 - axes.len();
    for (i, &(extent, from, to)) in axes.iter().enumerate() {
        copy.shape[first + i] = extent as u32;
        copy.from_strides[first + i] = from as i32;
        copy.to_strides[first + i] = to as i32;
    }
    Ok(copy)
}

impl Matcher<'_> {
    /// `stored` with its bytes in `order`, copied only where they lie otherwise.
    pub(super) fn arrange(
        &mut self,
        node: &Node,
        stored: &Stored,
        order: &[usize],
    ) -> Result<Stored, Why> {
        if stored.lies_in(order) {
            let arranged = Stored {
                order: order.to_vec(),
                ..stored.clone()
            };
            let tensor = self
                .program
                .add_view(stored.tensor, arranged.stored_shape());
            return Ok(Stored { tensor, ..arranged });
        }
        let source = self.program.tensor(stored.tensor).clone();
        let arranged = Stored {
            order: order.to_vec(),
            ..stored.clone()
        };
        let tensor = self.program.add_tensor(
            &source.name,
            source.dtype,
            arranged.stored_shape(),
            source.scale,
            source.zero_point,
        );
        let arranged = Stored { tensor, ..arranged };
        let (from, to) = (stored.strides(), arranged.strides());
        let axes: Vec<CopyAxis> = order
            .iter()
            .map(|&axis| (stored.shape[axis], from[axis] as isize, to[axis] as isize))
            .collect();
        let copy = Operation::Plain(Operator::Copy(strided(&axes, 0, 0)?));
        self.step(node, copy, vec![stored.tensor], tensor);
        Ok(arranged)
    }

    /// `stored` in ONNX's own order.
    pub(super) fn row_major(&mut self, node: &Node, stored: &Stored) -> Result<Stored, Why> {
        let order: Vec<usize> = (0..stored.shape.len()).collect();
        self.arrange(node, stored, &order)
    }

    /// `[N, C, H, W]` or `[N, C, L]` as a tensor of shape `[N, H, W, C]`.
    pub(super) fn image(&mut self, node: &Node, stored: &Stored) -> Result<Image, Why> {
        let order = image_order(stored.shape.len())?;
        let arranged = self.arrange(node, stored, &order)?;
        let nhwc = nhwc(&arranged.shape);
        Ok(Image {
            tensor: self.program.add_view(arranged.tensor, nhwc.to_vec()),
            nhwc,
        })
    }
}

/// A tensor in NHWC.
pub struct Image {
    /// The tensor, with four dimensions.
    pub tensor: TensorId,
    /// Batch, height, width, channels.
    pub nhwc: [usize; 4],
}

/// Channels last, for images of one or two dimensions.
pub fn image_order(rank: usize) -> Result<Vec<usize>, Why> {
    match rank {
        3 => Ok(vec![0, 2, 1]),
        4 => Ok(vec![0, 2, 3, 1]),
        _ => Err(format!(
            "{rank} dimensions; only images of one or two dimensions are supported"
        )),
    }
}

/// Batch, height, width, channels of ONNX's `[N, C, H, W]` or `[N, C, L]`.
pub fn nhwc(shape: &[usize]) -> [usize; 4] {
    match *shape {
        [n, c, h, w] => [n, h, w, c],
        [n, c, l] => [n, 1, l, c],
        _ => [1, 1, 1, shape.iter().product()],
    }
}
