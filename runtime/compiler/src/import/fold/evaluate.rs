//! Operators that compute with elements, as ONNX Runtime's CPU kernels compute them: reals in
//! `float`, each result rounded once more where the type is `float16`; integers in their type.

use super::array::{Array, Values, count, limits, rounded};
use super::node::Attributes;
use super::places::place;
use tract_onnx::pb::tensor_proto::DataType;

/// Elementwise operators of one tensor.
pub const UNARY: &[&str] = &[
    "Abs",
    "Ceil",
    "Clip",
    "Floor",
    "Neg",
    "Reciprocal",
    "Relu",
    "Round",
    "Sqrt",
];

/// Elementwise operators of two tensors.
pub const BINARY: &[&str] = &["Add", "Div", "Max", "Min", "Mul", "Sub"];

/// An elementwise operator of one tensor; a Clip's bounds are the further inputs.
pub fn unary(node: &Attributes<'_>, x: &Array, bounds: [Option<&Array>; 2]) -> Option<Array> {
    let operator = node.operator();
    let values = match &x.values {
        Values::Real(values) => {
            let bound = |at: usize, name: &str, open: f32| match bounds[at] {
                Some(bound) => bound.reals().filter(|b| b.len() == 1).map(|b| b[0]),
                None if node.has_input(at + 1) => None,
                None => Some(node.float(name).unwrap_or(open)),
            };
            let (low, high) = (
                bound(0, "min", f32::NEG_INFINITY)?,
                bound(1, "max", f32::INFINITY)?,
            );
            let of = |v: f32| match operator {
                "Abs" => v.abs(),
                "Ceil" => v.ceil(),
                // The upper bound wins where the bounds cross.
                "Clip" => v.max(low).min(high),
                "Floor" => v.floor(),
                "Neg" => -v,
                "Reciprocal" => v.recip(),
                "Relu" => v.max(0.0),
                "Round" => v.round_ties_even(),
                _ => v.sqrt(),
            };
            Values::Real(values.iter().map(|&v| rounded(of(v), x.kind)).collect())
        }
        Values::Int(values) => {
            let (lowest, highest) = limits(x.kind)?;
            let bound = |at: usize, open: i64| match bounds[at] {
                Some(bound) if bound.kind == x.kind => {
                    bound.ints().filter(|b| b.len() == 1).map(|b| b[0])
                }
                None if !node.has_input(at + 1) => Some(open),
                _ => None,
            };
            let (low, high) = match operator {
                "Clip" => (bound(0, lowest)?, bound(1, highest)?),
                "Relu" => (0, highest),
                _ => return None,
            };
            Values::Int(values.iter().map(|&v| v.max(low).min(high)).collect())
        }
    };
    Some(Array {
        dims: x.dims.clone(),
        kind: x.kind,
        values,
    })
}

/// An elementwise operator of two tensors, broadcast to each other, of at most `most` elements.
pub fn binary(operator: &str, a: &Array, b: &Array, most: usize) -> Option<Array> {
    if a.kind != b.kind {
        return None;
    }
    let dims = broadcast(&a.dims, &b.dims)?;
    if count(&dims)? > most {
        return None;
    }
    let (from_a, from_b) = (spread(&a.dims, &dims), spread(&b.dims, &dims));
    let pairs = from_a.iter().zip(&from_b);
    let values = match (&a.values, &b.values) {
        (Values::Real(x), Values::Real(y)) => {
            let of = |p: f32, q: f32| match operator {
                "Add" => p + q,
                "Div" => p / q,
                "Max" => p.max(q),
                "Min" => p.min(q),
                "Mul" => p * q,
                _ => p - q,
            };
            Values::Real(
                pairs
                    .map(|(&i, &j)| rounded(of(x[i], y[j]), a.kind))
                    .collect(),
            )
        }
        (Values::Int(x), Values::Int(y)) => {
            let (low, high) = limits(a.kind)?;
            let of = |p: i64, q: i64| match operator {
                "Add" => p.checked_add(q),
                "Max" => Some(p.max(q)),
                "Min" => Some(p.min(q)),
                "Mul" => p.checked_mul(q),
                "Sub" => p.checked_sub(q),
                _ => None,
            };
            // What wraps in the type is left to whoever means it.
            let whole = pairs.map(|(&i, &j)| of(x[i], y[j]).filter(|v| (low..=high).contains(v)));
            Values::Int(whole.collect::<Option<Vec<_>>>()?)
        }
        _ => return None,
    };
    Some(Array {
        dims,
        kind: a.kind,
        values,
    })
}

/// Cast. A real number outside of an integer type is undefined in ONNX, and not folded.
pub fn cast(x: &Array, kind: DataType) -> Option<Array> {
    let real = matches!(kind, DataType::Float | DataType::Float16);
    let values = match &x.values {
        Values::Real(values) if real => {
            Values::Real(values.iter().map(|&v| rounded(v, kind)).collect())
        }
        Values::Int(values) if real => {
            Values::Real(values.iter().map(|&v| rounded(v as f32, kind)).collect())
        }
        Values::Real(values) if kind == DataType::Bool => {
            Values::Int(values.iter().map(|&v| i64::from(v != 0.0)).collect())
        }
        Values::Int(values) if kind == DataType::Bool => {
            Values::Int(values.iter().map(|&v| i64::from(v != 0)).collect())
        }
        Values::Real(values) => {
            let (low, high) = limits(kind)?;
            let whole = |&v: &f32| {
                let v = f64::from(v).trunc();
                (v >= low as f64 && v <= high as f64).then_some(v as i64)
            };
            Values::Int(values.iter().map(whole).collect::<Option<Vec<_>>>()?)
        }
        Values::Int(values) => {
            let (low, high) = limits(kind)?;
            let span = i128::from(high) - i128::from(low) + 1;
            let wrap =
                |v: i64| (i128::from(v) - i128::from(low)).rem_euclid(span) + i128::from(low);
            Values::Int(values.iter().map(|&v| wrap(v) as i64).collect())
        }
    };
    Some(Array {
        dims: x.dims.clone(),
        kind,
        values,
    })
}

/// Scales and zero points of a QuantizeLinear or DequantizeLinear over `dims`: for each element
/// which of them is its own.
pub struct Steps {
    pub scales: Vec<f32>,
    pub zero_points: Vec<i64>,
    pub axis: usize,
    /// Elements between two indices of the axis.
    inner: usize,
}

impl Steps {
    /// `None` where they do not fit, or are those of blocks.
    pub fn of(
        node: &Attributes<'_>,
        dims: &[usize],
        scale: &Array,
        zero_point: Option<&Array>,
    ) -> Option<Self> {
        let scales = scale.reals()?.to_vec();
        let zero_points = match zero_point {
            Some(points) => points.ints()?.to_vec(),
            None => vec![0; scales.len()],
        };
        let lists = scale.dims.len() <= 1 && zero_point.is_none_or(|z| z.dims.len() <= 1);
        if !lists || zero_points.len() != scales.len() || node.int("block_size").unwrap_or(0) != 0 {
            return None;
        }
        let mut steps = Steps {
            scales,
            zero_points,
            axis: 0,
            inner: 1,
        };
        if steps.scales.len() != 1 {
            steps.axis = place(node.int("axis").unwrap_or(1), dims.len())?;
            if dims[steps.axis] != steps.scales.len() {
                return None;
            }
            steps.inner = count(&dims[steps.axis + 1..])?;
        }
        Some(steps)
    }

    /// Which scale and zero point element `at` has.
    pub fn index(&self, at: usize) -> usize {
        at / self.inner.max(1) % self.scales.len()
    }
}

/// QuantizeLinear: divide, saturate, round half to even, add the zero point; NaN gives the
/// lowest value.
pub fn quantize(x: &Array, steps: &Steps, kind: DataType) -> Option<Array> {
    let narrow = [
        DataType::Int8,
        DataType::Uint8,
        DataType::Int16,
        DataType::Uint16,
    ];
    if !narrow.contains(&kind) {
        return None;
    }
    let (low, high) = limits(kind)?;
    let quantized = |(at, &real): (usize, &f32)| {
        let index = steps.index(at);
        let zero = steps.zero_points[index];
        let (low, high) = ((low - zero) as f32, (high - zero) as f32);
        let count = (real / steps.scales[index])
            .max(low)
            .min(high)
            .round_ties_even();
        count as i64 + zero
    };
    Some(Array {
        dims: x.dims.clone(),
        kind,
        values: Values::Int(x.reals()?.iter().enumerate().map(quantized).collect()),
    })
}

/// DequantizeLinear.
pub fn dequantize(x: &Array, steps: &Steps, kind: DataType) -> Option<Array> {
    let real = |(at, &stored): (usize, &i64)| {
        let index = steps.index(at);
        rounded(
            (stored - steps.zero_points[index]) as f32 * steps.scales[index],
            kind,
        )
    };
    Some(Array {
        dims: x.dims.clone(),
        kind,
        values: Values::Real(x.ints()?.iter().enumerate().map(real).collect()),
    })
}

/// The dimensions that two tensors come to.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let extent = |dims: &[usize], axis: usize| {
        (axis + dims.len())
            .checked_sub(rank)
            .map_or(1, |at| dims[at])
    };
    (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (1, long) | (long, 1) => Some(long),
            (a, b) => (a == b).then_some(a),
        })
        .collect()
}

/// For each element of `to`, the place in a tensor of `dims` that is broadcast to it.
pub fn spread(dims: &[usize], to: &[usize]) -> Vec<usize> {
    let mut from = vec![0];
    let mut stride: usize = dims.iter().product();
    for (axis, &extent) in to.iter().enumerate() {
        let own = (axis + dims.len()).checked_sub(to.len()).map(|at| dims[at]);
        let pace = match own {
            Some(own) => {
                stride = stride.checked_div(own).unwrap_or(0);
                if own == 1 { 0 } else { stride }
            }
            None => 0,
        };
        from = (from.iter())
            .flat_map(|at| (0..extent).map(move |i| at + i * pace))
            .collect();
    }
    from
}
