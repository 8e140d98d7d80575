//! Gemm's transposed first operand and its factors.

use super::array::Array;
use super::node::Attributes;
use super::{Folded, Folding};
use tract_onnx::pb::NodeProto;

impl Folding {
    /// A Gemm in the one spelling that has an integer form: its first operand as it comes, its
    /// factors in the constants that they belong to. Without a bias, alpha stays, for ONNX
    /// Runtime multiplies the scales by it in an order of its own.
    pub(super) fn gemm(&mut self, node: &NodeProto) -> Option<Folded> {
        let attributes = Attributes(node);
        let output = node.output.first()?.clone();
        let (mut gemm, mut before) = (node.clone(), Vec::new());
        let drop = |gemm: &mut NodeProto, name: &str| {
            gemm.attribute.retain(|attribute| attribute.name != name);
        };
        if attributes.int("transA").unwrap_or(0) != 0 {
            let turned = format!("{output}/transposed");
            before.push(NodeProto {
                name: format!("{}/transpose", node.name),
                op_type: "Transpose".into(),
                input: vec![node.input.first()?.clone()],
                output: vec![turned.clone()],
                ..NodeProto::default()
            });
            gemm.input[0] = turned;
            drop(&mut gemm, "transA");
        }
        let alpha = attributes.float("alpha").unwrap_or(1.0);
        let beta = attributes.float("beta").unwrap_or(1.0);
        let factors = match attributes.has_input(2) {
            true => [(1, "alpha", alpha), (2, "beta", beta)],
            false => [(1, "alpha", 1.0), (2, "beta", 1.0)],
        };
        for (input, name, factor) in factors {
            if factor == 1.0 {
                continue;
            }
            if input == 2 && factor == 0.0 {
                gemm.input.truncate(2);
                drop(&mut gemm, name);
                continue;
            }
            let constant = &node.input[input];
            if !self.dequantized.contains_key(constant) && !self.constants.contains_key(constant) {
                continue;
            }
            let number = format!("{output}/{name}");
            let array = Array {
                dims: Vec::new(),
                ..Array::list(vec![factor])
            };
            self.insert(array.write(&number));
            let product = format!("{constant}/{number}");
            before.push(NodeProto {
                name: format!("{}/{name}", node.name),
                op_type: "Mul".into(),
                input: vec![constant.clone(), number],
                output: vec![product.clone()],
                ..NodeProto::default()
            });
            gemm.input[input] = product;
            drop(&mut gemm, name);
        }
        if gemm == *node {
            return None;
        }
        before.push(gemm);
        Some(Folded::Nodes(before))
    }
}
