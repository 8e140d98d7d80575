//! A constant's elements, out of a file's tensor and back.

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::prelude::f16;

/// Elements, row-major. A `float16` is kept as the `float` of the same value.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    Real(Vec<f32>),
    Int(Vec<i64>),
}

/// A constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub dims: Vec<usize>,
    pub kind: DataType,
    pub values: Values,
}

impl Array {
    /// The elements of a tensor; `None` for types that are not folded, for elements in
    /// another file, and for a tensor whose elements do not fill its dimensions.
    pub fn read(tensor: &TensorProto) -> Option<Self> {
        let dims = (tensor.dims.iter())
            .map(|&dim| usize::try_from(dim).ok())
            .collect::<Option<Vec<_>>>()?;
        let count = count(&dims)?;
        if tensor.data_location == Some(DataLocation::External as i32) {
            return None;
        }
        let kind = DataType::try_from(tensor.data_type).ok()?;
        let raw = &tensor.raw_data;
        let values = match kind {
            DataType::Float if raw.is_empty() => Values::Real(tensor.float_data.clone()),
            DataType::Float => Values::Real(from_bytes(raw, f32::from_le_bytes)),
            DataType::Float16 if raw.is_empty() => Values::Real(
                (tensor.int32_data.iter())
                    .map(|&bits| f16::from_bits(bits as u16).to_f32())
                    .collect(),
            ),
            DataType::Float16 => Values::Real(from_bytes(raw, |b| f16::from_le_bytes(b).to_f32())),
            DataType::Int64 if raw.is_empty() => Values::Int(tensor.int64_data.clone()),
            DataType::Int64 => Values::Int(from_bytes(raw, i64::from_le_bytes)),
            _ => {
                bits(kind)?;
                let wide = |v: &i32| i64::from(*v);
                Values::Int(match kind {
                    _ if raw.is_empty() => tensor.int32_data.iter().map(wide).collect(),
                    DataType::Int8 => from_bytes(raw, |b| i8::from_le_bytes(b).into()),
                    DataType::Int16 => from_bytes(raw, |b| i16::from_le_bytes(b).into()),
                    DataType::Uint16 => from_bytes(raw, |b| u16::from_le_bytes(b).into()),
                    DataType::Int32 => from_bytes(raw, |b| i32::from_le_bytes(b).into()),
                    _ => raw.iter().map(|&byte| byte.into()).collect(),
                })
            }
        };
        let filled = match &values {
            Values::Real(values) => values.len(),
            Values::Int(values) => values.len(),
        };
        (filled == count).then_some(Array { dims, kind, values })
    }

    /// The tensor called `name`.
    pub fn write(&self, name: &str) -> TensorProto {
        let raw_data = match (&self.values, self.kind) {
            (Values::Real(values), DataType::Float16) => (values.iter())
                .flat_map(|&v| f16::from_f32(v).to_le_bytes())
                .collect(),
            (Values::Real(values), _) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            (Values::Int(values), DataType::Int64) => {
                values.iter().flat_map(|v| v.to_le_bytes()).collect()
            }
            (Values::Int(values), DataType::Int32) => values
                .iter()
                .flat_map(|&v| (v as i32).to_le_bytes())
                .collect(),
            (Values::Int(values), DataType::Int16 | DataType::Uint16) => values
                .iter()
                .flat_map(|&v| (v as u16).to_le_bytes())
                .collect(),
            (Values::Int(values), _) => values.iter().map(|&v| v as u8).collect(),
        };
        TensorProto {
            name: name.to_owned(),
            dims: self.dims.iter().map(|&dim| dim as i64).collect(),
            data_type: self.kind as i32,
            raw_data,
            ..TensorProto::default()
        }
    }

    /// Reals of one dimension.
    pub fn list(values: Vec<f32>) -> Self {
        Array {
            dims: vec![values.len()],
            kind: DataType::Float,
            values: Values::Real(values),
        }
    }

    /// The elements, where they are real numbers.
    pub fn reals(&self) -> Option<&[f32]> {
        match &self.values {
            Values::Real(values) => Some(values),
            Values::Int(_) => None,
        }
    }

    /// The elements, where they are integers.
    pub fn ints(&self) -> Option<&[i64]> {
        match &self.values {
            Values::Int(values) => Some(values),
            Values::Real(_) => None,
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Elements from other places of this array's.
    pub fn picked(&self, dims: Vec<usize>, from: &[usize]) -> Self {
        Array {
            dims,
            kind: self.kind,
            values: match &self.values {
                Values::Real(values) => Values::Real(from.iter().map(|&at| values[at]).collect()),
                Values::Int(values) => Values::Int(from.iter().map(|&at| values[at]).collect()),
            },
        }
    }
}

/// Elements of a tensor, where they can be counted.
pub fn count(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim))
}

/// Bits of an integer type that is folded, and whether it is signed.
pub fn bits(kind: DataType) -> Option<(u32, bool)> {
    Some(match kind {
        DataType::Int8 => (8, true),
        DataType::Uint8 => (8, false),
        DataType::Int16 => (16, true),
        DataType::Uint16 => (16, false),
        DataType::Int32 => (32, true),
        DataType::Int64 => (64, true),
        DataType::Bool => (1, false),
        _ => return None,
    })
}

/// Lowest and highest value of an integer type.
pub fn limits(kind: DataType) -> Option<(i64, i64)> {
    let (bits, signed) = bits(kind)?;
    Some(if signed {
        let top = i64::MAX >> (64 - bits);
        (-top - 1, top)
    } else {
        (0, (1 << bits) - 1)
    })
}

/// A real number as `kind` holds it.
pub fn rounded(value: f32, kind: DataType) -> f32 {
    if kind == DataType::Float16 {
        f16::from_f32(value).to_f32()
    } else {
        value
    }
}

fn from_bytes<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (whole, rest) = raw.as_chunks::<N>();
    // Bytes left over make the count wrong, which the caller refuses.
    let extra = usize::from(!rest.is_empty());
    let last = [0; N];
    (whole.iter().chain(std::iter::repeat_n(&last, extra)))
        .map(|&bytes| read(bytes))
        .collect()
}
