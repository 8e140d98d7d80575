//! What the graph says in more words than it needs, before the matching stage reads it.
//!
//! The order matters: ONNX Runtime takes out operators that do nothing before it merges double
//! pairs of QuantizeLinear and DequantizeLinear, so that pairs with such operators between them
//! are merged too, and it merges before it looks at anything that stands between the two.

mod double_qdq;
mod integer_clip;
mod no_ops;
mod product_bias;
mod transposes;
mod zero_points;

pub use no_ops::cast_element;
pub use zero_points::TWICE;

use crate::graph::{Graph, ValueId};

/// Brings the graph to the form that the matching stage expects.
pub fn simplify(graph: &mut Graph) {
    no_ops::remove(graph);
    transposes::cancel(graph);
    double_qdq::merge(graph);
    product_bias::join(graph);
    integer_clip::before_quantization(graph);
    zero_points::split(graph);
}

/// The nodes that read a value.
fn readers(graph: &Graph, value: ValueId) -> Vec<usize> {
    let reads = |index: &usize| graph.nodes[*index].inputs.contains(&Some(value));
    (0..graph.nodes.len()).filter(reads).collect()
}

/// Whether a value is one of the model's outputs.
fn is_output(graph: &Graph, value: ValueId) -> bool {
    graph.outputs.iter().any(|(_, output)| *output == value)
}
