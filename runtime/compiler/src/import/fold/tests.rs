//! What ONNX Runtime cannot be asked: order, bounds, and names. The values are the operator
//! suite's matter.

use super::array::{Array, Values};
use super::*;
use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::ValueInfoProto;
use tract_onnx::pb::attribute_proto::AttributeType;

fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: operator.into(),
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: outputs.iter().map(|name| (*name).to_owned()).collect(),
        ..NodeProto::default()
    }
}

fn ints(kind: DataType, dims: &[usize], values: &[i64]) -> Array {
    Array {
        dims: dims.to_vec(),
        kind,
        values: Values::Int(values.to_vec()),
    }
}

fn graph(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> GraphProto {
    GraphProto {
        node: nodes,
        initializer: constants,
        output: vec![ValueInfoProto {
            name: "y".into(),
            ..ValueInfoProto::default()
        }],
        ..GraphProto::default()
    }
}

fn reals(graph: &GraphProto, name: &str) -> Option<Vec<f32>> {
    let tensor = graph
        .initializer
        .iter()
        .find(|tensor| tensor.name == name)?;
    Some(Array::read(tensor)?.reals()?.to_vec())
}

#[test]
fn nodes_need_no_order_and_what_only_they_read_is_gone() {
    let mut graph = graph(
        vec![
            node("Add", &["x", "c"], &["y"]),
            node("Mul", &["b", "b"], &["c"]),
            node("Neg", &["a"], &["b"]),
        ],
        vec![Array::list(vec![1.5, -2.0]).write("a")],
    );
    fold(&mut graph);
    assert_eq!(reals(&graph, "c"), Some(vec![2.25, 4.0]));
    let names: Vec<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    assert_eq!((graph.node.len(), names), (1, vec!["c"]));
}

#[test]
fn nodes_that_wait_for_each_other_stay_for_the_checks_that_name_them() {
    let nodes = vec![
        node("Add", &["x", "b"], &["a"]),
        node("Neg", &["a"], &["b"]),
    ];
    let mut graph = graph(nodes.clone(), vec![]);
    fold(&mut graph);
    assert_eq!(graph.node, nodes);
}

#[test]
fn the_work_is_bounded_by_what_the_file_holds() {
    let extent = 1 << 40;
    let mut graph = graph(
        vec![
            node("Expand", &["a", "shape"], &["wide"]),
            node("Tile", &["a", "shape"], &["tiled"]),
            node("ConstantOfShape", &["shape"], &["zeros"]),
            node("Sum", &["wide", "tiled", "zeros"], &["y"]),
        ],
        vec![
            Array::list(vec![1.0]).write("a"),
            ints(DataType::Int64, &[1], &[extent]).write("shape"),
        ],
    );
    fold(&mut graph);
    assert_eq!(graph.node.len(), 4);
}

#[test]
fn a_chain_over_a_large_constant_ends_folding_and_not_the_compiler() {
    let name = |i: usize| format!("t{i}");
    let nodes = (0..2000).map(|i| node("Neg", &[&name(i)], &[&name(i + 1)]));
    let nodes = nodes
        .chain([node("Add", &["x", &name(2000)], &["y"])])
        .collect();
    let large = Array::list(vec![1.0; 1 << 16]);
    let mut graph = graph(nodes, vec![large.write("t0")]);
    fold(&mut graph);
    assert!(graph.node.len() > 1, "all of it was folded");
}

#[test]
fn a_negative_factor_turns_integers_about_their_zero_point_where_they_have_room() {
    for (value, folds) in [(5, true), (-128, false)] {
        let mut graph = graph(
            vec![
                node("DequantizeLinear", &["w", "s", "z"], &["d"]),
                node("Mul", &["d", "f"], &["m"]),
                node("MatMul", &["x", "m"], &["y"]),
            ],
            vec![
                ints(DataType::Int8, &[1, 1], &[value]).write("w"),
                Array {
                    dims: vec![],
                    ..Array::list(vec![0.5])
                }
                .write("s"),
                ints(DataType::Int8, &[], &[1]).write("z"),
                Array {
                    dims: vec![],
                    ..Array::list(vec![-2.0])
                }
                .write("f"),
            ],
        );
        fold(&mut graph);
        let scale = graph
            .node
            .iter()
            .find_map(|n| (n.op_type == "DequantizeLinear").then(|| reals(&graph, &n.input[1]))?);
        // Where they have none, the real weight is left: (-128 - 1) · 0.5 · -2.
        assert_eq!(scale, folds.then(|| vec![1.0]));
        assert_eq!(reals(&graph, "m"), (!folds).then(|| vec![129.0]));
    }
}

#[test]
fn a_branch_keeps_its_names_apart_and_its_captures() {
    let branch = |operator: &str| GraphProto {
        node: vec![
            node(operator, &["x"], &["inner"]),
            node("Add", &["inner", "k"], &["out"]),
        ],
        initializer: vec![Array::list(vec![3.0]).write("k")],
        output: vec![ValueInfoProto {
            name: "out".into(),
            ..ValueInfoProto::default()
        }],
        ..GraphProto::default()
    };
    let attribute = |name: &str, graph: GraphProto| AttributeProto {
        name: name.into(),
        r#type: AttributeType::Graph as i32,
        g: Some(graph),
        ..AttributeProto::default()
    };
    let mut choose = node("If", &["condition"], &["y"]);
    choose.attribute = vec![
        attribute("then_branch", branch("Neg")),
        attribute("else_branch", branch("Abs")),
    ];
    // The outer graph has names of its own that are the same.
    let outer = node("Exp", &["x"], &["inner"]);
    let mut graph = graph(
        vec![outer.clone(), choose],
        vec![ints(DataType::Bool, &[], &[0]).write("condition")],
    );
    fold(&mut graph);
    let operators: Vec<&str> = graph.node.iter().map(|n| n.op_type.as_str()).collect();
    assert_eq!(operators, ["Exp", "Abs", "Add"]);
    assert_eq!(graph.node[1].input, ["x"]);
    assert_eq!(graph.node[2].output, ["y"]);
    assert_ne!(graph.node[1].output, outer.output);
    assert_eq!(reals(&graph, &graph.node[2].input[1]), Some(vec![3.0]));
}
