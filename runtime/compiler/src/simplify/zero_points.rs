//! Weights with a zero point of their own for each output, as asymmetric uint8 weights have them.
//!
//! The engine's kernels know one zero point for a layer. Less its zero point a weight lies
//! between -255 and 255. Where all of a layer's lie within 256 of each other, the matching stage
//! gives them a common zero point. Where they do not, each becomes the sum of two of 8 bits, and
//! the layer reads its input twice: `x · (a + b) = [x, x] · [a, b]`, with the same sums.

use crate::graph::{Attribute, Constant, Data, Element, Graph, Node, Value, ValueId};
use std::sync::Arc;

/// The operator that stands for reading an input twice: `axis`, in `groups` groups of which each
/// comes twice in a row.
pub const TWICE: &str = "sanderling.Twice";

/// Zero point of both parts: so each holds -127 to 128.
const ZERO_POINT: i8 = -1;

/// Splits the weights of every layer that needs it.
pub fn split(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        index += 1 + apart(graph, index).unwrap_or(0);
    }
}

/// Splits the weights of the node at `index`; answers how many nodes came before it.
fn apart(graph: &mut Graph, index: usize) -> Option<usize> {
    let node = graph.nodes[index].clone();
    let weights = node.input(1)?;
    let dequantize = graph
        .nodes
        .iter()
        .find(|n| n.outputs.first() == Some(&weights))?;
    if dequantize.operator != "DequantizeLinear" {
        return None;
    }
    let x = node.input(0)?;
    let rank = graph.value(x).shape.len();
    // The axes of the input's and of the weights' terms, and that of the outputs.
    let (axis, terms, outputs, groups) = match node.operator.as_str() {
        "Conv" => (1, 1, 0, node.int("group").unwrap_or(1).max(1)),
        "Gemm" if node.int("transB").unwrap_or(0) != 0 => (1, 1, 0, 1),
        "Gemm" | "MatMul" => (rank.checked_sub(1)?, 0, 1, 1),
        _ => return None,
    };
    let constant = graph.constant(dequantize, 0)?.clone();
    let points = graph.constant(dequantize, 2)?.integers()?;
    let scale = dequantize.input(1)?;
    let along = dequantize.int("axis").unwrap_or(1);
    let along = if along < 0 {
        along + constant.shape.len() as i64
    } else {
        along
    };
    let dims = &constant.shape;
    if dims.len() < 2
        || (node.operator == "MatMul" && dims.len() != 2)
        || along != outputs as i64
        || points.len() != dims[outputs]
        || !matches!(constant.data, Data::I8(_) | Data::U8(_))
    {
        return None;
    }
    let inner: usize = dims[outputs + 1..].iter().product();
    let steps: Vec<i64> = (constant.integers()?.iter().enumerate())
        .map(|(at, value)| value - points[at / inner % points.len()])
        .collect();
    let (least, most) = (steps.iter().min()?, steps.iter().max()?);
    if most - least <= 255 || *least < -254 {
        return None;
    }
    let half = |step: &i64| step.div_euclid(2);
    let parts: [Vec<i64>; 2] = [
        steps.iter().map(half).collect(),
        steps.iter().map(|step| step - half(step)).collect(),
    ];
    // Both parts side by side along the terms.
    let run: usize = dims[terms..].iter().product();
    let values = (0..steps.len() / run)
        .flat_map(|outer| {
            parts
                .iter()
                .flat_map(move |part| &part[outer * run..][..run])
        })
        .map(|&step| (step + i64::from(ZERO_POINT)) as i8)
        .collect();
    let mut wide = dims.clone();
    wide[terms] *= 2;
    let name = node.name.clone();
    let stored = constant_of(
        graph,
        &format!("{name}/weights"),
        wide.clone(),
        Data::I8(values),
    );
    let zeros = Data::I8(vec![ZERO_POINT; points.len()]);
    let zero_point = constant_of(
        graph,
        &format!("{name}/zero_point"),
        vec![points.len()],
        zeros,
    );
    let real = new_value(
        graph,
        &format!("{name}/real_weights"),
        wide,
        None,
        Element::F32,
    );
    let mut shape = graph.value(x).shape.clone();
    *shape.get_mut(axis)? *= 2;
    let element = graph.value(x).element;
    let twice = new_value(graph, &format!("{name}/twice"), shape, None, element);
    let ints = |pairs: &[(&str, i64)]| {
        let attribute = |&(name, value): &(&str, i64)| (name.to_owned(), Attribute::Int(value));
        pairs.iter().map(attribute).collect::<Vec<_>>()
    };
    let before = [
        Node {
            name: format!("{name}/twice"),
            operator: TWICE.into(),
            attributes: ints(&[("axis", axis as i64), ("groups", groups)]),
            inputs: vec![Some(x)],
            outputs: vec![twice],
        },
        Node {
            name: format!("{name}/weights"),
            operator: "DequantizeLinear".into(),
            attributes: ints(&[("axis", outputs as i64)]),
            inputs: vec![Some(stored), Some(scale), Some(zero_point)],
            outputs: vec![real],
        },
    ];
    graph.nodes[index].inputs[0] = Some(twice);
    graph.nodes[index].inputs[1] = Some(real);
    let count = before.len();
    graph.nodes.splice(index..index, before);
    Some(count)
}

fn constant_of(graph: &mut Graph, name: &str, shape: Vec<usize>, data: Data) -> ValueId {
    let constant = Constant {
        shape: shape.clone(),
        data,
    };
    new_value(graph, name, shape, Some(constant), Element::I8)
}

fn new_value(
    graph: &mut Graph,
    name: &str,
    shape: Vec<usize>,
    constant: Option<Constant>,
    element: Element,
) -> ValueId {
    graph.values.push(Value {
        name: name.to_owned(),
        element,
        shape,
        constant: constant.map(Arc::new),
    });
    ValueId(graph.values.len() - 1)
}
