//! ONNX files whose graphs are out of shape: small sound models, changed where a parser of
//! bytes sees nothing wrong. Names dangle, come twice, or are empty; nodes have inputs too
//! few or too many; dimensions, axes, types, and attributes are what no exporter writes.

use sanderling_compiler::import::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto::AttributeType,
    tensor_proto::DataType, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension::Value as Extent, type_proto,
};
use sanderling_compiler::import::{encode, operators};

/// A small generator, so that a failure can be repeated from the seed that is printed.
pub struct XorShift(pub u64);

impl XorShift {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() % end.max(1) as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    fn one_mut<'a, T>(&mut self, of: &'a mut [T]) -> Option<&'a mut T> {
        let index = self.below(of.len());
        of.get_mut(index)
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

/// The bytes of a sound model with a few changes.
pub fn misshapen(random: &mut XorShift) -> Vec<u8> {
    let mut model = sound(random);
    for _ in 0..1 + random.below(4) {
        change(&mut model, random);
    }
    encode(&model)
}

/// The bytes of a model without a change.
pub fn well_formed(random: &mut XorShift) -> Vec<u8> {
    encode(&sound(random))
}

fn sound(random: &mut XorShift) -> ModelProto {
    let mut graph = Builder::default();
    let mut at = graph.input("x", &[1, 4, 6, 6]);
    at = graph.pair(&at);
    for _ in 0..1 + random.below(5) {
        at = match random.below(9) {
            0 => graph.conv(&at),
            1 => graph.node("Relu", &[&at], &[]),
            2 => graph.node("Add", &[&at, &at], &[]),
            3 => graph.node("MaxPool", &[&at], &[ints("kernel_shape", &[1, 1])]),
            4 => graph.node("Concat", &[&at], &[int("axis", 1)]),
            5 => graph.node("Transpose", &[&at], &[ints("perm", &[0, 1, 2, 3])]),
            6 => graph.split(&at),
            7 => graph.reshaped(&at),
            _ => graph.node("Softmax", &[&at], &[int("axis", 1)]),
        };
        at = graph.pair(&at);
    }
    if random.chance(3) {
        graph.input("mask", &[1, 3]);
    }
    if random.chance(4) {
        at = graph.chosen(&at);
    }
    if random.chance(4) {
        at = graph.integer_form(&at);
    }
    graph.output(&at, &[1, 4, 6, 6]);
    let opset = [11, 13, 17, 21][random.below(4)];
    graph.model(opset)
}

#[derive(Default)]
struct Builder {
    graph: GraphProto,
    count: usize,
}

impl Builder {
    fn name(&mut self, stem: &str) -> String {
        self.count += 1;
        format!("{stem}{}", self.count)
    }

    fn input(&mut self, name: &str, dims: &[i64]) -> String {
        self.graph.input.push(value(name, dims));
        name.to_owned()
    }

    fn output(&mut self, name: &str, dims: &[i64]) {
        self.graph.output.push(value(name, dims));
    }

    fn constant(&mut self, kind: DataType, dims: &[i64], byte: u8) -> String {
        let name = self.name("c");
        let size = match kind {
            DataType::Float => 4,
            DataType::Int64 => 8,
            _ => 1,
        };
        let count = dims.iter().product::<i64>() as usize;
        let raw_data = match kind {
            DataType::Float => [0, 0, 0, 0x3d].repeat(count),
            DataType::Int64 => i64::from(byte).to_le_bytes().repeat(count),
            _ => vec![byte; count * size],
        };
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims: dims.to_vec(),
            data_type: kind.into(),
            raw_data,
            ..Default::default()
        });
        name
    }

    fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[AttributeProto]) -> String {
        let (output, name) = (self.name("v"), self.name("n"));
        self.graph.node.push(NodeProto {
            name,
            op_type: operator.to_owned(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.clone()],
            attribute: attributes.to_vec(),
            ..Default::default()
        });
        output
    }

    /// QuantizeLinear and DequantizeLinear.
    fn pair(&mut self, at: &str) -> String {
        let scale = self.constant(DataType::Float, &[], 0);
        let zero = self.constant(DataType::Int8, &[], 0);
        let stored = self.node("QuantizeLinear", &[at, &scale, &zero], &[]);
        self.node("DequantizeLinear", &[&stored, &scale, &zero], &[])
    }

    fn conv(&mut self, at: &str) -> String {
        let weights = self.constant(DataType::Int8, &[4, 4, 3, 3], 3);
        let scale = self.constant(DataType::Float, &[4], 0);
        let zero = self.constant(DataType::Int8, &[4], 0);
        let axis = [int("axis", 0)];
        let weights = self.node("DequantizeLinear", &[&weights, &scale, &zero], &axis);
        let pads = [ints("pads", &[1, 1, 1, 1])];
        self.node("Conv", &[at, &weights], &pads)
    }

    fn split(&mut self, at: &str) -> String {
        let first = self.node("Split", &[at], &[int("axis", 1)]);
        let second = self.name("v");
        if let Some(node) = self.graph.node.last_mut() {
            node.output.push(second.clone());
        }
        self.node("Concat", &[&first, &second], &[int("axis", 1)])
    }

    /// To the same shape, which the graph works out.
    fn reshaped(&mut self, at: &str) -> String {
        let shape = self.node("Shape", &[at], &[]);
        self.node("Reshape", &[at, &shape], &[])
    }

    /// One of two inner graphs, by a constant.
    fn chosen(&mut self, at: &str) -> String {
        let condition = self.constant(DataType::Bool, &[], 1);
        let branch = |name: &str| AttributeProto {
            name: name.to_owned(),
            r#type: AttributeType::Graph.into(),
            g: Some(GraphProto {
                name: name.to_owned(),
                node: vec![NodeProto {
                    op_type: "Identity".to_owned(),
                    input: vec![at.to_owned()],
                    output: vec![format!("{name}_out")],
                    ..Default::default()
                }],
                output: vec![value(&format!("{name}_out"), &[1, 4, 6, 6])],
                ..Default::default()
            }),
            ..Default::default()
        };
        let branches = [branch("then_branch"), branch("else_branch")];
        self.node("If", &[&condition], &branches)
    }

    /// An addition in the QOperator form.
    fn integer_form(&mut self, at: &str) -> String {
        let scale = self.constant(DataType::Float, &[], 0);
        let zero = self.constant(DataType::Int8, &[], 0);
        let stored = self.node("QuantizeLinear", &[at, &scale, &zero], &[]);
        let inputs = [
            &stored, &scale, &zero, &stored, &scale, &zero, &scale, &zero,
        ];
        let sum = self.node("QLinearAdd", &inputs.map(String::as_str), &[]);
        if let Some(node) = self.graph.node.last_mut() {
            "com.microsoft".clone_into(&mut node.domain);
        }
        self.node("DequantizeLinear", &[&sum, &scale, &zero], &[])
    }

    fn model(self, opset: i64) -> ModelProto {
        let import = |domain: &str, version| OperatorSetIdProto {
            domain: domain.to_owned(),
            version,
        };
        ModelProto {
            ir_version: 8,
            opset_import: vec![import("", opset), import("com.microsoft", 1)],
            graph: Some(self.graph),
            ..Default::default()
        }
    }
}

fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&extent: &i64| Dimension {
        value: Some(Extent::DimValue(extent)),
        ..Default::default()
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: DataType::Float.into(),
                shape: Some(TensorShapeProto {
                    dim: dims.iter().map(dim).collect(),
                }),
            })),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int.into(),
        i,
        ..Default::default()
    }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints.into(),
        ints: values.to_vec(),
        ..Default::default()
    }
}

/// Attribute names of many operators.
const ATTRIBUTES: &[&str] = &[
    "alpha",
    "allowzero",
    "auto_pad",
    "axes",
    "axis",
    "blocksize",
    "block_size",
    "ceil_mode",
    "channels_last",
    "coordinate_transformation_mode",
    "count_include_pad",
    "dilations",
    "epsilon",
    "group",
    "keepdims",
    "kernel_shape",
    "mode",
    "nearest_mode",
    "num_outputs",
    "output_padding",
    "output_shape",
    "pads",
    "perm",
    "select_last_index",
    "split",
    "storage_order",
    "strides",
    "to",
    "transA",
    "transB",
    "value",
    "nobody_knows_this",
];

/// Operators that the engine does not have.
const OTHERS: &[&str] = &[
    "Cast",
    "Constant",
    "ConstantOfShape",
    "CumSum",
    "Einsum",
    "GRU",
    "GatherND",
    "If",
    "LSTM",
    "Loop",
    "NonZero",
    "OneHot",
    "Range",
    "ReduceProd",
    "ScatterND",
    "Shape",
    "Size",
    "Tile",
    "TopK",
    "Where",
    "",
];

const NUMBERS: &[i64] = &[
    0,
    1,
    -1,
    2,
    3,
    4,
    5,
    6,
    7,
    -2,
    -5,
    64,
    255,
    65_536,
    1 << 24,
    i32::MAX as i64,
    1 << 32,
    1 << 40,
    1 << 62,
    i64::MAX,
    i64::MIN,
    i64::MIN + 1,
];

fn number(random: &mut XorShift) -> i64 {
    random.one(NUMBERS).copied().unwrap_or(0)
}

/// Every name of the graph.
fn names(graph: &GraphProto) -> Vec<String> {
    let nodes = graph
        .node
        .iter()
        .flat_map(|n| n.input.iter().chain(&n.output));
    let borders = graph.input.iter().chain(&graph.output).map(|v| &v.name);
    let constants = graph.initializer.iter().map(|t| &t.name);
    nodes.chain(borders).chain(constants).cloned().collect()
}

fn some_name(graph: &GraphProto, random: &mut XorShift) -> String {
    match random.below(8) {
        0 => String::new(),
        1 => "nowhere".to_owned(),
        _ => random.one(&names(graph)).cloned().unwrap_or_default(),
    }
}

fn change(model: &mut ModelProto, random: &mut XorShift) {
    if random.chance(25) {
        for set in &mut model.opset_import {
            set.version = random.below(32) as i64 - 1;
        }
        return;
    }
    let Some(graph) = model.graph.as_mut() else {
        return;
    };
    let name = some_name(graph, random);
    match random.below(7) {
        0 => change_border(graph, name, random),
        1 => change_constant(graph, name, random),
        2 => change_order(graph, random),
        _ => change_node(graph, name, random),
    }
}

fn change_border(graph: &mut GraphProto, name: String, random: &mut XorShift) {
    let side = match random.chance(2) {
        true => &mut graph.input,
        false => &mut graph.output,
    };
    let at = random.below(side.len());
    match random.below(6) {
        0 if !side.is_empty() => drop(side.remove(at)),
        1 => side.extend(side.get(at).cloned()),
        2 => side.push(value(&name, &[1, 2])),
        3 => {
            if let Some(border) = side.get_mut(at) {
                border.name = name;
            }
        }
        4 => {
            if let Some(border) = side.get_mut(at) {
                border.r#type = None;
            }
        }
        _ => {
            if let Some(border) = side.get_mut(at) {
                change_type(border, random);
            }
        }
    }
}

fn change_type(border: &mut ValueInfoProto, random: &mut XorShift) {
    let kind = border.r#type.as_mut().and_then(|kind| kind.value.as_mut());
    let Some(type_proto::Value::TensorType(tensor)) = kind else {
        return;
    };
    match random.below(4) {
        0 => tensor.shape = None,
        1 => tensor.elem_type = random.below(25) as i32,
        _ => {
            let shape = tensor.shape.get_or_insert_default();
            let extent = match random.below(5) {
                0 => None,
                1 => Some(Extent::DimParam(
                    ["N", "", "((((a", "1/0"][random.below(4)].into(),
                )),
                _ => Some(Extent::DimValue(number(random))),
            };
            let dim = Dimension {
                value: extent,
                ..Default::default()
            };
            let at = random.below(shape.dim.len());
            match random.below(3) {
                0 => shape.dim.push(dim),
                1 if !shape.dim.is_empty() => drop(shape.dim.remove(at)),
                _ if at < shape.dim.len() => shape.dim[at] = dim,
                _ => {}
            }
        }
    }
}

fn change_constant(graph: &mut GraphProto, name: String, random: &mut XorShift) {
    let at = random.below(graph.initializer.len());
    let Some(tensor) = graph.initializer.get_mut(at) else {
        return;
    };
    match random.below(7) {
        0 => tensor.name = name,
        1 => drop(graph.initializer.remove(at)),
        2 => {
            let copy = tensor.clone();
            graph.initializer.push(copy);
        }
        3 => tensor.raw_data.truncate(tensor.raw_data.len() / 2),
        4 => tensor.data_type = random.below(25) as i32,
        5 => {
            let place = random.below(tensor.dims.len() + 1);
            tensor.dims.insert(place, number(random));
        }
        _ => {
            // A different count of elements that still agrees with the data.
            let size = match tensor.raw_data.len() / 4 {
                0 => 0,
                _ => random.below(3),
            };
            tensor.raw_data = tensor.raw_data.repeat(size);
            if let Some(first) = tensor.dims.first_mut() {
                *first *= size as i64;
            }
        }
    }
}

fn change_order(graph: &mut GraphProto, random: &mut XorShift) {
    let (a, b) = (
        random.below(graph.node.len()),
        random.below(graph.node.len()),
    );
    match random.below(3) {
        0 if a < graph.node.len() => drop(graph.node.remove(a)),
        1 if a < graph.node.len() => {
            let node = graph.node[a].clone();
            graph.node.push(node);
        }
        _ if a.max(b) < graph.node.len() => graph.node.swap(a, b),
        _ => {}
    }
}

fn change_node(graph: &mut GraphProto, name: String, random: &mut XorShift) {
    let known: Vec<&str> = operators().collect();
    let Some(node) = random.one_mut(&mut graph.node) else {
        return;
    };
    match random.below(12) {
        0 => {
            if let Some(input) = random.one_mut(&mut node.input) {
                *input = name;
            }
        }
        1 => {
            if let Some(output) = random.one_mut(&mut node.output) {
                *output = name;
            }
        }
        2 => node.input.push(name),
        3 => drop(node.input.pop()),
        4 => node.output.push(name),
        5 => drop(node.output.pop()),
        6 => {
            let list = match random.chance(4) {
                true => OTHERS,
                false => &known,
            };
            node.op_type = random.one(list).map_or_else(String::new, |&o| o.to_owned());
        }
        7 => ["", "local", "com.microsoft", "ai.onnx.ml"][random.below(4)]
            .clone_into(&mut node.domain),
        8 => node.name = name,
        9 => {
            let at = random.below(node.attribute.len());
            if at < node.attribute.len() {
                node.attribute.remove(at);
            }
        }
        _ => change_attribute(node, random),
    }
}

fn change_attribute(node: &mut NodeProto, random: &mut XorShift) {
    let fresh = random.one(ATTRIBUTES).map_or("", |&name| name);
    let given = match random.chance(2) {
        true => random.one(&node.attribute).cloned(),
        false => None,
    };
    let name = given.map_or_else(|| fresh.to_owned(), |given| given.name);
    let list: Vec<i64> = (0..random.below(5)).map(|_| number(random)).collect();
    let attribute = match random.below(5) {
        0 => AttributeProto {
            name: name.clone(),
            r#type: AttributeType::String.into(),
            s: ["SAME_UPPER", "linear", "", "nonsense"][random.below(4)].into(),
            ..Default::default()
        },
        1 => AttributeProto {
            name: name.clone(),
            r#type: AttributeType::Float.into(),
            f: [0.0, -1.0, f32::NAN, f32::INFINITY, 1e30][random.below(5)],
            ..Default::default()
        },
        2 => ints(&name, &list),
        _ => int(&name, number(random)),
    };
    if !random.chance(10) {
        node.attribute.retain(|other| other.name != name);
    }
    node.attribute.push(attribute);
}
