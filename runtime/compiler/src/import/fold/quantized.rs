//! A constant behind DequantizeLinear, moved and scaled without losing its integers.
//!
//! ONNX Runtime keeps such a DequantizeLinear, and what follows it moves the real numbers. Here
//! the integers move, each with its scale and zero point; afterwards these have to be one for
//! all, or one for each index of an axis, as DequantizeLinear can say them.

use super::array::{Array, Values, limits};
use super::evaluate::{Steps, broadcast, spread};
use super::places::Places;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

/// A scale and its zero point.
type Pair = (f32, i64);

/// Integers, and which scale and zero point each has.
pub struct Quantized {
    ints: Array,
    /// For each element, its place in `pairs`.
    ids: Vec<usize>,
    pairs: Vec<Pair>,
    /// Whether zero points are written down.
    has_points: bool,
}

impl Quantized {
    /// What a DequantizeLinear of a constant says.
    pub fn new(ints: Array, steps: &Steps, has_points: bool) -> Option<Self> {
        ints.ints()?;
        let scales = steps.scales.iter().copied();
        Some(Quantized {
            ids: (0..ints.len()).map(|at| steps.index(at)).collect(),
            pairs: scales.zip(steps.zero_points.iter().copied()).collect(),
            ints,
            has_points,
        })
    }

    /// Elements of `parts`, one behind the other, at other places.
    pub fn moved(parts: &[Quantized], places: Places) -> Option<Self> {
        let first = parts.first()?;
        let (mut values, mut ids, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            if part.ints.kind != first.ints.kind {
                return None;
            }
            values.extend_from_slice(part.ints.ints()?);
            ids.extend(part.ids.iter().map(|id| id + pairs.len()));
            pairs.extend_from_slice(&part.pairs);
        }
        Some(Quantized {
            ids: places.from.iter().map(|&at| ids[at]).collect(),
            ints: Array {
                kind: first.ints.kind,
                values: Values::Int(places.from.iter().map(|&at| values[at]).collect()),
                dims: places.dims,
            },
            pairs,
            has_points: parts.iter().any(|part| part.has_points),
        })
    }

    /// Its dimensions.
    pub fn dims(&self) -> &[usize] {
        &self.ints.dims
    }

    /// The product with real numbers, or with their inverses, that are broadcast to it: each
    /// scale is multiplied, and integers whose factor is negative change their sides of the zero
    /// point.
    pub fn scaled(&self, factors: &Array, divides: bool) -> Option<Self> {
        let reals = factors.reals()?;
        if broadcast(&self.ints.dims, &factors.dims)? != self.ints.dims {
            return None;
        }
        let (low, high) = limits(self.ints.kind)?;
        let from = spread(&factors.dims, &self.ints.dims);
        let (mut values, mut ids) = (Vec::new(), Vec::new());
        let mut pairs: Vec<Pair> = Vec::new();
        let mut seen = std::collections::HashMap::new();
        for ((&value, &id), &at) in self.ints.ints()?.iter().zip(&self.ids).zip(&from) {
            let (scale, zero) = self.pairs[id];
            let product = if divides {
                scale / reals[at]
            } else {
                scale * reals[at]
            };
            if !product.is_finite() {
                return None;
            }
            let value = if product < 0.0 {
                2 * zero - value
            } else {
                value
            };
            if !(low..=high).contains(&value) {
                return None;
            }
            let pair = (product.abs(), zero);
            values.push(value);
            ids.push(*seen.entry((pair.0.to_bits(), zero)).or_insert_with(|| {
                pairs.push(pair);
                pairs.len() - 1
            }));
        }
        Some(Quantized {
            ints: Array {
                values: Values::Int(values),
                ..self.ints.clone()
            },
            ids,
            pairs,
            has_points: self.has_points,
        })
    }

    /// A DequantizeLinear with the name and output of `node`, and its constants; `None` where
    /// the scales lie along no axis.
    pub fn node(&self, node: &NodeProto, output: &str) -> Option<(NodeProto, Vec<TensorProto>)> {
        let (axis, pairs) = self.along()?;
        let dims = axis.map_or(Vec::new(), |_| vec![pairs.len()]);
        let scales = Array {
            dims: dims.clone(),
            kind: DataType::Float,
            values: Values::Real(pairs.iter().map(|&(scale, _)| scale).collect()),
        };
        let points = Array {
            dims,
            kind: self.ints.kind,
            values: Values::Int(pairs.iter().map(|&(_, point)| point).collect()),
        };
        let mut made = vec![
            self.ints.write(&format!("{output}/integers")),
            scales.write(&format!("{output}/scale")),
        ];
        if self.has_points {
            made.push(points.write(&format!("{output}/zero_point")));
        }
        let dequantize = NodeProto {
            name: node.name.clone(),
            op_type: "DequantizeLinear".into(),
            input: made.iter().map(|tensor| tensor.name.clone()).collect(),
            output: vec![output.to_owned()],
            attribute: (axis.iter())
                .map(|&axis| AttributeProto {
                    name: "axis".into(),
                    r#type: AttributeType::Int as i32,
                    i: axis as i64,
                    ..AttributeProto::default()
                })
                .collect(),
            ..NodeProto::default()
        };
        Some((dequantize, made))
    }

    /// The axis along which scale and zero point differ, and those of each index; no axis where
    /// they are the same throughout.
    fn along(&self) -> Option<(Option<usize>, Vec<Pair>)> {
        let pair = |at: usize| self.pairs[self.ids[at]];
        let same = |a: Pair, b: Pair| a.0.to_bits() == b.0.to_bits() && a.1 == b.1;
        let first = self.pairs[*self.ids.first()?];
        if (0..self.ids.len()).all(|at| same(pair(at), first)) {
            return Some((None, vec![first]));
        }
        let dims = &self.ints.dims;
        (0..dims.len()).find_map(|axis| {
            let inner: usize = dims[axis + 1..].iter().product();
            let index = |at: usize| at / inner % dims[axis];
            let pairs: Vec<Pair> = (0..dims[axis]).map(|i| pair(i * inner)).collect();
            let fits = (0..self.ids.len()).all(|at| same(pair(at), pairs[index(at)]));
            fits.then_some((Some(axis), pairs))
        })
    }
}
