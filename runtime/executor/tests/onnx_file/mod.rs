//! Writes small ONNX files byte by byte, so that tests need no other program.
//!
//! An ONNX file is a protobuf message: every field is a tag (number and kind), then a
//! varint or a length and that many bytes.
#![allow(dead_code, reason = "each test binary uses some of it")]

/// ONNX's numbers of element types.
pub const FLOAT: u64 = 1;
pub const UINT8: u64 = 2;
pub const INT8: u64 = 3;
pub const INT32: u64 = 6;
pub const DOUBLE: u64 = 11;

/// A dimension of an input or output.
#[derive(Clone, Copy)]
pub enum Dim {
    Fixed(u64),
    Open(&'static str),
}

/// What an attribute of a node says.
#[derive(Clone, Copy)]
pub enum Attribute {
    Int(u64),
}

/// A graph that is put together field by field.
#[derive(Default)]
pub struct Graph {
    fields: Vec<u8>,
}

impl Graph {
    pub fn node(self, operator: &str, name: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        self.node_with(operator, name, inputs, outputs, &[])
    }

    pub fn node_with(
        mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> Self {
        let mut node = Vec::new();
        inputs
            .iter()
            .for_each(|input| bytes(&mut node, 1, input.as_bytes()));
        outputs
            .iter()
            .for_each(|output| bytes(&mut node, 2, output.as_bytes()));
        bytes(&mut node, 3, name.as_bytes());
        bytes(&mut node, 4, operator.as_bytes());
        for (name, Attribute::Int(value)) in attributes {
            let mut attribute = Vec::new();
            bytes(&mut attribute, 1, name.as_bytes());
            varint_field(&mut attribute, 3, *value);
            varint_field(&mut attribute, 20, 2);
            bytes(&mut node, 5, &attribute);
        }
        bytes(&mut self.fields, 1, &node);
        self
    }

    pub fn floats(self, name: &str, shape: &[u64], values: &[f32]) -> Self {
        let raw: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.initializer(name, FLOAT, shape, &raw)
    }

    pub fn int8s(self, name: &str, shape: &[u64], values: &[i8]) -> Self {
        let raw: Vec<u8> = values.iter().map(|value| value.cast_unsigned()).collect();
        self.initializer(name, INT8, shape, &raw)
    }

    pub fn int32s(self, name: &str, shape: &[u64], values: &[i32]) -> Self {
        let raw: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.initializer(name, INT32, shape, &raw)
    }

    pub fn input(mut self, name: &str, element: u64, shape: &[Dim]) -> Self {
        bytes(&mut self.fields, 11, &value_info(name, element, shape));
        self
    }

    pub fn output(mut self, name: &str, element: u64, shape: &[Dim]) -> Self {
        bytes(&mut self.fields, 12, &value_info(name, element, shape));
        self
    }

    /// The file, of operator set 13.
    pub fn file(self) -> Vec<u8> {
        self.file_of(13)
    }

    /// The file, of operator set `opset`.
    pub fn file_of(mut self, opset_version: u64) -> Vec<u8> {
        bytes(&mut self.fields, 2, b"test");
        let mut opset = Vec::new();
        varint_field(&mut opset, 2, opset_version);
        let mut model = Vec::new();
        varint_field(&mut model, 1, 8);
        bytes(&mut model, 8, &opset);
        bytes(&mut model, 7, &self.fields);
        model
    }

    fn initializer(mut self, name: &str, element: u64, shape: &[u64], raw: &[u8]) -> Self {
        let mut tensor = Vec::new();
        shape
            .iter()
            .for_each(|&dim| varint_field(&mut tensor, 1, dim));
        varint_field(&mut tensor, 2, element);
        bytes(&mut tensor, 8, name.as_bytes());
        bytes(&mut tensor, 9, raw);
        bytes(&mut self.fields, 5, &tensor);
        self
    }
}

/// `y = relu(x·W + b)`, x being `[n, 3]` with an open batch: `y = [x0 + x2, relu(-x1) + 1]`
/// where all is above 0.
pub fn float_model() -> Vec<u8> {
    Graph::default()
        .input("x", FLOAT, &[Dim::Open("n"), Dim::Fixed(3)])
        .floats("w", &[3, 2], &[1.0, 0.0, 0.0, -1.0, 1.0, 0.0])
        .floats("b", &[2], &[0.0, 1.0])
        .node("MatMul", "product", &["x", "w"], &["xw"])
        .node("Add", "sum", &["xw", "b"], &["xwb"])
        .node("Relu", "rectify", &["xwb"], &["y"])
        .output("y", FLOAT, &[Dim::Open("n"), Dim::Fixed(2)])
        .file()
}

/// `sum = left + right` and `above = relu(left)`, both of two values, in float.
pub fn model_with_two_inputs_and_two_outputs() -> Vec<u8> {
    let pair = [Dim::Fixed(1), Dim::Fixed(2)];
    Graph::default()
        .input("left", FLOAT, &pair)
        .input("right", FLOAT, &pair)
        .node("Add", "add", &["left", "right"], &["sum"])
        .node("Relu", "rectify", &["left"], &["above"])
        .output("sum", FLOAT, &pair)
        .output("above", FLOAT, &pair)
        .file()
}

/// A model whose output `z` no node computes.
pub fn model_with_an_output_from_nowhere() -> Vec<u8> {
    Graph::default()
        .input("x", FLOAT, &[Dim::Fixed(1)])
        .node("Relu", "rectify", &["x"], &["y"])
        .output("z", FLOAT, &[Dim::Fixed(1)])
        .file()
}

/// An integer model, `int8` in and out with scale 0.5 and zero point 0: `y = relu(x)`.
pub fn integer_model() -> Vec<u8> {
    quantized("Relu", "rectify")
}

/// `y = cosh(relu(q(x - 1)))` in float, and `q(x - 1)` itself in integers, `q` being int8 with
/// scale 0.5 and zero point 0. One region lies between the subtraction and the hyperbolic cosine.
pub fn integers_between_floats() -> Vec<u8> {
    let four = [Dim::Fixed(1), Dim::Fixed(4)];
    Graph::default()
        .input("x", FLOAT, &four)
        .floats("scale", &[], &[0.5])
        .floats("one", &[], &[1.0])
        .int8s("zero", &[], &[0])
        .node("Sub", "shift", &["x", "one"], &["shifted"])
        .node("QuantizeLinear", "q", &["shifted", "scale", "zero"], &["q"])
        .node("DequantizeLinear", "r", &["q", "scale", "zero"], &["r"])
        .node("Relu", "rectify", &["r"], &["above"])
        .node("QuantizeLinear", "p", &["above", "scale", "zero"], &["p"])
        .node("DequantizeLinear", "s", &["p", "scale", "zero"], &["s"])
        .node("Cosh", "wave", &["s"], &["y"])
        .output("y", FLOAT, &four)
        .output("q", INT8, &four)
        .file()
}

/// A quantized model with a hyperbolic cosine in it, which the integer engine does not have.
pub fn quantized_model_with_a_cosine() -> Vec<u8> {
    quantized("Cosh", "wave")
}

/// The same with a hyperbolic sine behind it, between its own DequantizeLinear and QuantizeLinear.
pub fn quantized_model_with_two_foreign_operators() -> Vec<u8> {
    quantized_graph("Cosh", "wave")
        .node(
            "DequantizeLinear",
            "again",
            &["q", "scale", "zero"],
            &["real again"],
        )
        .node("Sinh", "other wave", &["real again"], &["other result"])
        .node(
            "QuantizeLinear",
            "to the end",
            &["other result", "scale", "zero"],
            &["y"],
        )
        .output("y", INT8, &[Dim::Fixed(1), Dim::Fixed(4)])
        .file()
}

fn quantized(operator: &str, name: &str) -> Vec<u8> {
    quantized_graph(operator, name)
        .output("q", INT8, &[Dim::Fixed(1), Dim::Fixed(4)])
        .file()
}

fn quantized_graph(operator: &str, name: &str) -> Graph {
    Graph::default()
        .input("x", INT8, &[Dim::Fixed(1), Dim::Fixed(4)])
        .floats("scale", &[], &[0.5])
        .int8s("zero", &[], &[0])
        .node(
            "DequantizeLinear",
            "from",
            &["x", "scale", "zero"],
            &["real"],
        )
        .node(operator, name, &["real"], &["result"])
        .node("QuantizeLinear", "to", &["result", "scale", "zero"], &["q"])
}

fn value_info(name: &str, element: u64, shape: &[Dim]) -> Vec<u8> {
    let mut dims = Vec::new();
    for dim in shape {
        let mut field = Vec::new();
        match dim {
            Dim::Fixed(n) => varint_field(&mut field, 1, *n),
            Dim::Open(symbol) => bytes(&mut field, 2, symbol.as_bytes()),
        }
        bytes(&mut dims, 1, &field);
    }
    let mut tensor = Vec::new();
    varint_field(&mut tensor, 1, element);
    bytes(&mut tensor, 2, &dims);
    let mut kind = Vec::new();
    bytes(&mut kind, 1, &tensor);
    let mut info = Vec::new();
    bytes(&mut info, 1, name.as_bytes());
    bytes(&mut info, 2, &kind);
    info
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_field(out: &mut Vec<u8>, number: u64, value: u64) {
    varint(out, number << 3);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}
