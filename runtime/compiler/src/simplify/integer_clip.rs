//! Clip on the integers behind a QuantizeLinear, as Brevitas writes activations of fewer than
//! 8 bits, becomes a Clip of the real numbers before it.
//!
//! Both give the same bits: QuantizeLinear never falls, so that clipping at what the bounds
//! stand for gives what clipping at the bounds gives, and the bounds come back from their real
//! numbers as they were. Before the QuantizeLinear it costs nothing, for it becomes the clamp of
//! the step that computes the value.

use super::{is_output, readers};
use crate::graph::{Attribute, Element, Graph, Node, Value, ValueId};

/// Operators that leave a model's float input one, whose quantization has no clamp.
const MOVEMENTS: &[&str] = &[
    "Expand",
    "Flatten",
    "Identity",
    "Pad",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// Moves each Clip that alone reads a QuantizeLinear's output, unless that quantizes an input of
/// the model.
pub fn before_quantization(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        if let Some((quantize, bounds)) = clipped(graph, index) {
            swap(graph, quantize, index, bounds);
        }
        index += 1;
    }
}

/// The QuantizeLinear before the Clip at `clip`, and the real bounds.
fn clipped(graph: &Graph, clip: usize) -> Option<(usize, [f32; 2])> {
    let node = &graph.nodes[clip];
    let stored = node.input(0).filter(|_| node.operator == "Clip")?;
    let element = graph.value(stored).element;
    let (lowest, highest) = match element {
        Element::I8 => (-128, 127),
        Element::U8 => (0, 255),
        _ => return None,
    };
    let quantize = graph
        .nodes
        .iter()
        .position(|n| n.outputs.contains(&stored))?;
    let before = &graph.nodes[quantize];
    let real = before.input(0)?;
    if before.operator != "QuantizeLinear"
        || is_input(graph, real)
        || is_output(graph, stored)
        || readers(graph, stored).len() != 1
    {
        return None;
    }
    let &[scale] = graph.constant(before, 1)?.floats()? else {
        return None;
    };
    let zero_point = match before.input(2) {
        Some(_) => match graph.constant(before, 2)?.integers()?.as_slice() {
            &[point] => point,
            _ => return None,
        },
        None => 0,
    };
    let bound = |input: usize, open: i64| match node.input(input) {
        Some(_) => match graph.constant(node, input)?.integers()?.as_slice() {
            &[bound] => Some(bound),
            _ => None,
        },
        None => Some(open),
    };
    let high = bound(2, highest)?;
    // The upper bound wins where the two cross.
    let low = bound(1, lowest)?.min(high);
    let stands_for = |bound: i64| (bound - zero_point) as f32 * scale;
    let open = |bound: i64, end: i64, real: f32| {
        if bound == end {
            real
        } else {
            stands_for(bound)
        }
    };
    let bounds = [
        open(low, lowest, f32::NEG_INFINITY),
        open(high, highest, f32::INFINITY),
    ];
    bounds
        .iter()
        .all(|bound| !bound.is_nan())
        .then_some((quantize, bounds))
}

/// Whether a value is an input of the model, moved or not.
fn is_input(graph: &Graph, mut value: ValueId) -> bool {
    loop {
        if graph.inputs.contains(&value) {
            return true;
        }
        let maker = graph
            .nodes
            .iter()
            .find(|node| node.outputs.contains(&value));
        match maker.filter(|node| MOVEMENTS.contains(&node.operator.as_str())) {
            Some(Node { inputs, .. }) => match inputs.first().copied().flatten() {
                Some(input) => value = input,
                None => return false,
            },
            None => return false,
        }
    }
}

/// `real → Q → stored → Clip → y` becomes `real → Clip → clipped → Q → y`.
fn swap(graph: &mut Graph, quantize: usize, clip: usize, [low, high]: [f32; 2]) {
    let Some(real) = graph.nodes[quantize].input(0) else {
        return;
    };
    let name = graph.nodes[clip].name.clone();
    let clipped = ValueId(graph.values.len());
    let value = Value {
        name: format!("{name}/real"),
        constant: None,
        ..graph.value(real).clone()
    };
    graph.values.push(value);
    let result = graph.nodes[clip].outputs.clone();
    let attributes = [("min", low), ("max", high)];
    let of_reals = Node {
        name,
        operator: "Clip".into(),
        attributes: (attributes.into_iter())
            .filter(|(_, bound)| bound.is_finite())
            .map(|(name, bound)| (name.to_owned(), Attribute::Float(bound)))
            .collect(),
        inputs: vec![Some(real)],
        outputs: vec![clipped],
    };
    let mut quantized = graph.nodes[quantize].clone();
    quantized.inputs[0] = Some(clipped);
    quantized.outputs = result;
    // The Clip stands behind the QuantizeLinear in the order, so that each may take the other's
    // place: nothing else reads what was between them.
    graph.nodes[clip] = quantized;
    graph.nodes[quantize] = of_reals;
}
