//! Why a node is refused, as types: one for each cause, so that no message names another.

use crate::graph::Element;

/// What stands in the way of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// An input has a type that the operator does not take there.
    #[error("its {what} is {element}; only {takes} is taken there")]
    Element {
        /// Which input.
        what: &'static str,
        /// Its type.
        element: Element,
        /// What would do.
        takes: &'static str,
    },
    /// An input depends on the model's inputs.
    #[error("its {what} is computed from the model's inputs; only a constant is taken there")]
    Computed {
        /// Which input.
        what: &'static str,
    },
    /// An input has more values than one.
    #[error("its {what} has {count} values; only one is taken there")]
    Count {
        /// Which input.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// An input is constant, but the compiler does not compute it.
    #[error(
        "its {what} is the constant result of `{by}` ({operator}), which the compiler does not \
         compute; store that result in the file instead"
    )]
    Unfolded {
        /// Which input.
        what: &'static str,
        /// The node that computes it.
        by: String,
        /// That node's operator.
        operator: String,
    },
    /// A constant is quantized when the model runs.
    #[error("it quantizes a constant; store the quantized constant in the file instead")]
    QuantizesConstant,
    /// An operator reads a constant where it takes what the model computes.
    #[error(
        "input {input} is a quantized constant, which it does not take; compute its result and \
         store that in the file"
    )]
    Constant {
        /// The input's number.
        input: usize,
    },
    /// An input is a constant without a DequantizeLinear.
    #[error("input {input} is a {element} constant; quantize it")]
    Unquantized {
        /// The input's number.
        input: usize,
        /// Its type.
        element: Element,
    },
    /// An input is stored numbers where real ones are taken.
    #[error("input {input} is {element}; put {before} before it")]
    Stored {
        /// The input's number.
        input: usize,
        /// Its type.
        element: Element,
        /// What makes real numbers of it.
        before: &'static str,
    },
    /// It reads the float output of a node that is refused.
    #[error(
        "it reads the float output of a node in this list; put QuantizeLinear and \
         DequantizeLinear before it"
    )]
    RefusedFloat,
    /// It reads something that is refused.
    #[error("it reads `{value}`, which something else in this list gives")]
    Refused {
        /// What it reads.
        value: String,
    },
    /// A node computes a constant, but the compiler does not.
    #[error(
        "it computes a constant, which the compiler does not do for {operator}; store its result \
         in the file instead"
    )]
    ComputesConstant {
        /// The operator.
        operator: String,
    },
    /// A tensor has a type that the reader of files does not know.
    #[error("its constant `{tensor}` is {element}, which is not supported; {instead}")]
    Unread {
        /// The tensor.
        tensor: String,
        /// Its type.
        element: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// A node makes a type that the reader of files does not know.
    #[error("it gives {element}, which is not supported; leave that type out of the model")]
    Gives {
        /// The type.
        element: &'static str,
    },
    /// Activations have a scale for each channel.
    #[error(
        "it quantizes activations with {scales} scales, one for each channel, which is not \
         supported; quantize them with one scale"
    )]
    PerChannel {
        /// How many.
        scales: usize,
    },
    /// Activations have a type that no operator takes.
    #[error("{0} activations are not supported, only int8, uint8, and int16")]
    Activations(Element),
    /// A float output is asked of an operator that has none.
    #[error(
        "the float output of {operator} is not supported; put QuantizeLinear and \
         DequantizeLinear after it"
    )]
    FloatOutput {
        /// The operator.
        operator: String,
    },
    /// An operator between quantized tensors is not quantized itself.
    #[error(
        "input {input} is the float output of `{from}`; put QuantizeLinear and DequantizeLinear \
         after that node"
    )]
    Float {
        /// The input's number.
        input: usize,
        /// The node that gives it.
        from: String,
    },
}

impl From<Cause> for String {
    fn from(cause: Cause) -> String {
        cause.to_string()
    }
}
