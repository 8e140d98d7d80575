//! Constant tables of an operator, and where its parameters say that they lie.

use sanderling_plan::Operator;

/// A constant that a step reads beside its operands.
#[derive(Clone, Debug)]
pub enum Table {
    /// Signed bytes.
    I8(Vec<i8>),
    /// Unsigned 16-bit numbers.
    U16(Vec<u16>),
    /// Signed 32-bit numbers.
    I32(Vec<i32>),
    /// Real numbers.
    F32(Vec<f32>),
}

impl Table {
    /// Its little-endian bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::I8(values) => values.iter().map(|&v| v as u8).collect(),
            Self::U16(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::I32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::I8(values) => values.len(),
            Self::U16(values) => 2 * values.len(),
            Self::I32(values) => 4 * values.len(),
            Self::F32(values) => 4 * values.len(),
        }
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every real number in it is finite.
    pub fn is_finite(&self) -> bool {
        match self {
            Self::F32(values) => values.iter().all(|v| v.is_finite()),
            _ => true,
        }
    }
}

/// `operator` with its tables at `offsets`, in the order of its fields.
pub fn pointed(operator: Operator, offsets: &[u32]) -> Operator {
    match (operator, offsets) {
        (Operator::ResizeLinear(mut p), &[rows, row_weights, columns, column_weights]) => {
            (p.rows, p.row_weights) = (rows, row_weights);
            (p.columns, p.column_weights) = (columns, column_weights);
            Operator::ResizeLinear(p)
        }
        (Operator::LayerNorm(mut p), &[gain, bias]) => {
            (p.gain, p.bias) = (gain, bias);
            Operator::LayerNorm(p)
        }
        (Operator::LookupReal(mut p), &[table]) => {
            p.table = table;
            Operator::LookupReal(p)
        }
        (Operator::ActivatedConv(mut p), &[weights, bias, multipliers, bounds, values]) => {
            (p.weights, p.bias, p.multipliers) = (weights, bias, multipliers);
            (p.bounds, p.values) = (bounds, values);
            Operator::ActivatedConv(p)
        }
        (Operator::WideConv(mut p), &[weights, bias, multipliers]) => {
            (p.weights, p.bias, p.multipliers) = (weights, bias, multipliers);
            Operator::WideConv(p)
        }
        (Operator::RealConv(mut p), &[weights, bias, multipliers, offsets]) => {
            (p.weights, p.bias) = (weights, bias);
            (p.multipliers, p.offsets) = (multipliers, offsets);
            Operator::RealConv(p)
        }
        (Operator::RealProduct(mut p), &[weights, offsets]) => {
            (p.weights, p.offsets) = (weights, offsets);
            Operator::RealProduct(p)
        }
        // The plan's own check refuses a step whose constants are not where it says.
        (other, _) => other,
    }
}
