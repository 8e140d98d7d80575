//! Gemm and MatMul with constant weights.

use super::bias::in_integers;
use super::conv::SignedWeights;
use super::meaning::{Meaning, Quantization, Stored};
use super::{Matcher, Why};
use crate::graph::Node;
use crate::program::{Affine, Operation};
use sanderling_plan::step;

/// The constant side of a product.
pub(super) struct Product {
    /// `[out][k]`.
    pub(super) packed: Vec<i8>,
    pub(super) k: usize,
    pub(super) outputs: usize,
    pub(super) signed: SignedWeights,
    pub(super) bias: Vec<i32>,
    /// Gemm's factor, 1 where there is none.
    pub(super) alpha: f32,
}

impl Product {
    /// That the bias is the same for every row.
    pub(super) fn has_one_row_of_bias(&self) -> Result<(), Why> {
        if self.bias.len() == self.outputs {
            return Ok(());
        }
        Err(
            "a bias that differs between rows is supported from int8 or uint8 to the same, with \
             no activation before the quantization"
                .into(),
        )
    }
}

impl Matcher<'_> {
    pub(super) fn gemm(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        if node.operator == "MatMul" && !self.has_weights(node) {
            return self.mat_mul(node, to, clamp);
        }
        let (x, from) = self.operand(node, 0)?;
        let Product {
            packed,
            k,
            outputs,
            signed,
            bias,
            alpha,
        } = self.product(node, &x, from, in_integers(from, to, clamp))?;
        let folded = signed.fold(from.zero_point_i8(), &bias, |o| {
            packed[o % outputs * k..][..k].iter().copied()
        });
        let mut multipliers = signed.multipliers(from.scale, to.scale);
        if alpha != 1.0 {
            multipliers = signed
                .scales
                .iter()
                .map(|&s| (alpha * from.scale * s) / to.scale)
                .collect();
        }
        let shape = self.output_shape(node);
        let x = self.row_major(node, &x)?;
        let rows: usize = x.shape.iter().product::<usize>() / k;
        let order = (0..shape.len()).collect();
        let output = self.new_stored(node, shape, order, to.element, Some(to));
        let macs = (rows * k * outputs) as u64;
        if folded.len() > outputs {
            // The rows are the groups of a convolution of one pixel: each reads its own row, with
            // the same weights and a bias of its own.
            let parameters = step::Conv {
                kernel_h: 1,
                kernel_w: 1,
                stride_h: 1,
                stride_w: 1,
                dilation_h: 1,
                dilation_w: 1,
                pad_top: 0,
                pad_left: 0,
                groups: rows as u32,
                weights: 0,
                bias: 0,
                multipliers: 0,
                input_zero_point: from.zero_point_i8(),
                zero_point: to.zero_point_i8(),
                low: clamp.0,
                high: clamp.1,
                weight_zero_point: signed.zero_point.into(),
            };
            let affine = Affine {
                weights: packed.repeat(rows),
                bias: folded,
                multipliers: multipliers.repeat(rows),
            };
            let input = (self.program).add_view(x.tensor, vec![1, 1, 1, rows * k]);
            let target = (self.program).add_view(output.tensor, vec![1, 1, 1, rows * outputs]);
            let operation = Operation::Conv {
                parameters,
                depthwise: k == 1,
                affine,
            };
            self.step_with(node, operation, vec![input], target, 0, macs);
            return Ok(output);
        }
        let input = self.program.add_view(x.tensor, vec![rows, k]);
        let target = self.program.add_view(output.tensor, vec![rows, outputs]);
        let parameters = step::FullyConnected {
            weights: 0,
            bias: 0,
            multipliers: 0,
            zero_point: to.zero_point_i8(),
            low: clamp.0,
            high: clamp.1,
            weight_zero_point: signed.zero_point.into(),
        };
        let affine = Affine {
            weights: packed,
            bias: folded,
            multipliers,
        };
        let operation = Operation::FullyConnected { parameters, affine };
        self.step_with(node, operation, vec![input], target, 0, macs);
        Ok(output)
    }

    /// Whether the second operand is a constant matrix, which both operands share.
    fn has_weights(&self, node: &Node) -> bool {
        matches!(self.meaning(node, 1), Some(Meaning::Weights(w)) if w.shape.len() == 2)
            && matches!(self.meaning(node, 0), Some(Meaning::Mapped(_)))
    }

    /// The constant side of a product, packed; `in_integers` as for [`Matcher::node_bias`]. Only
    /// Gemm to 8 bits takes a bias that differs between rows.
    pub(super) fn product(
        &self,
        node: &Node,
        x: &Stored,
        from: Quantization,
        in_integers: bool,
    ) -> Result<Product, Why> {
        let weights = self.node_weights(node, 1)?;
        let gemm = node.operator == "Gemm";
        let flag = |name: &str| gemm && node.int(name).unwrap_or(0) != 0;
        if flag("transA") {
            return Err("transA is not supported".into());
        }
        let alpha = if gemm {
            node.float("alpha").unwrap_or(1.0)
        } else {
            1.0
        };
        if gemm && node.float("beta").unwrap_or(1.0) != 1.0 && node.input(2).is_some() {
            return Err("beta other than 1 is not supported".into());
        }
        if gemm && alpha != 1.0 && node.input(2).is_some() {
            return Err("alpha other than 1 beside a bias is not supported".into());
        }
        let &[rows, columns] = weights.shape.as_slice() else {
            return Err("its weights have other than two dimensions".into());
        };
        let transposed = flag("transB");
        let (k, outputs) = if transposed {
            (columns, rows)
        } else {
            (rows, columns)
        };
        let shape = self.output_shape(node);
        if x.shape.last() != Some(&k) || shape.last() != Some(&outputs) {
            return Err("its weights do not fit the input".into());
        }
        let signed = SignedWeights::of(&weights, outputs, usize::from(!transposed))?;
        let rows = if gemm { shape[0] } else { 1 };
        let bias = self.bias_by_row(node, 2, from.scale, &signed, in_integers, rows)?;
        let at = |o: usize, i: usize| {
            if transposed {
                o * k + i
            } else {
                i * outputs + o
            }
        };
        let packed: Vec<i8> = (0..outputs)
            .flat_map(|o| (0..k).map(move |i| (o, i)))
            .map(|(o, i)| signed.values[at(o, i)])
            .collect();
        Ok(Product {
            packed,
            k,
            outputs,
            signed,
            bias,
            alpha,
        })
    }
}
