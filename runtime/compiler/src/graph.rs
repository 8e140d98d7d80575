//! The model as ONNX says it: nodes with their own operator names and attributes,
//! shapes resolved, constants at hand. Nothing here is tract's.

use std::fmt;
use std::sync::Arc;

/// Index of a value in [`Graph::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// Element type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// `tensor(float)`.
    F32,
    /// `tensor(int8)`.
    I8,
    /// `tensor(uint8)`.
    U8,
    /// `tensor(int16)`.
    I16,
    /// `tensor(int32)`.
    I32,
    /// `tensor(int64)`, shapes and indices.
    I64,
    /// Anything else, which no operator here takes, by its ONNX name.
    Other(&'static str),
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "float",
            Self::I8 => "int8",
            Self::U8 => "uint8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::Other(name) => name,
        })
    }
}

/// Elements of a constant, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `tensor(float)`.
    F32(Vec<f32>),
    /// `tensor(int8)`.
    I8(Vec<i8>),
    /// `tensor(uint8)`.
    U8(Vec<u8>),
    /// `tensor(int16)`.
    I16(Vec<i16>),
    /// `tensor(int32)`.
    I32(Vec<i32>),
    /// `tensor(int64)`.
    I64(Vec<i64>),
    /// Elements of a type that no operator here takes.
    Unread,
}

/// A constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Elements.
    pub data: Data,
}

impl Constant {
    /// The elements as integers, unless they are floating point.
    pub fn integers(&self) -> Option<Vec<i64>> {
        Some(match &self.data {
            Data::F32(_) | Data::Unread => return None,
            Data::I8(v) => v.iter().map(|&x| x.into()).collect(),
            Data::U8(v) => v.iter().map(|&x| x.into()).collect(),
            Data::I16(v) => v.iter().map(|&x| x.into()).collect(),
            Data::I32(v) => v.iter().map(|&x| x.into()).collect(),
            Data::I64(v) => v.clone(),
        })
    }

    /// The elements, where they are floating point.
    pub fn floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(v) => Some(v),
            _ => None,
        }
    }
}

/// A value: an input, a constant, or what a node computes.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its name in the ONNX file.
    pub name: String,
    /// Element type.
    pub element: Element,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Its elements, where they do not depend on an input.
    pub constant: Option<Arc<Constant>>,
}

/// An attribute of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// One integer.
    Int(i64),
    /// One float.
    Float(f32),
    /// A string.
    Text(String),
    /// Integers.
    Ints(Vec<i64>),
    /// Floats.
    Floats(Vec<f32>),
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, or that of its first output where it has none.
    pub name: String,
    /// Its operator.
    pub operator: String,
    /// Name and value of each attribute.
    pub attributes: Vec<(String, Attribute)>,
    /// Inputs in ONNX's order; optional ones that are left out are `None`.
    pub inputs: Vec<Option<ValueId>>,
    /// Outputs.
    pub outputs: Vec<ValueId>,
}

impl Node {
    /// Input number `index`, where it is there.
    pub fn input(&self, index: usize) -> Option<ValueId> {
        self.inputs.get(index).copied().flatten()
    }

    /// An integer attribute.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.attribute(name)? {
            Attribute::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A float attribute.
    pub fn float(&self, name: &str) -> Option<f32> {
        match self.attribute(name)? {
            Attribute::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// A string attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attribute(name)? {
            Attribute::Text(value) => Some(value),
            _ => None,
        }
    }

    /// An attribute of several integers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attribute(name)? {
            Attribute::Ints(value) => Some(value),
            _ => None,
        }
    }

    fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }
}

/// The model.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Version of the default operator set.
    pub opset: i64,
    /// All values.
    pub values: Vec<Value>,
    /// Nodes, each after those that it depends on.
    pub nodes: Vec<Node>,
    /// The model's inputs.
    pub inputs: Vec<ValueId>,
    /// The model's outputs and their names.
    pub outputs: Vec<(String, ValueId)>,
    /// Names of the file's inputs that no output depends on; they are not among the inputs.
    pub unread: Vec<String>,
}

impl Graph {
    /// The value called `id`.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// By value: whether it depends on no input of the model.
    pub fn fixed(&self) -> Vec<bool> {
        let constant = |value: &Value| value.constant.is_some();
        let mut fixed: Vec<bool> = self.values.iter().map(constant).collect();
        for node in &self.nodes {
            let reads = || node.inputs.iter().flatten();
            if reads().next().is_some() && reads().all(|id| fixed[id.0]) {
                for output in &node.outputs {
                    fixed[output.0] = true;
                }
            }
        }
        fixed
    }

    /// The constant that an input of a node is.
    pub fn constant(&self, node: &Node, input: usize) -> Option<&Constant> {
        self.value(node.input(input)?).constant.as_deref()
    }
}
