//! What an ONNX value is, once matched.

use crate::graph::Element;
use crate::program::TensorId;
use std::rc::Rc;
use std::sync::Arc;

/// Scale and zero point of a tensor, the zero point as ONNX stores it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// Real value of one step.
    pub scale: f32,
    /// Stored value that stands for real 0.
    pub zero_point: i32,
    /// `I8`, `U8`, or `I16`.
    pub element: Element,
}

impl Quantization {
    /// What the plan's `i8` value lacks to ONNX's value: 128 for `u8`, else 0.
    pub fn bias(&self) -> i32 {
        bias(self.element)
    }

    /// The zero point inside the plan.
    pub fn zero_point_i8(&self) -> i32 {
        self.zero_point - self.bias()
    }

    /// Lowest and highest value as ONNX stores it.
    pub fn limits(&self) -> (i32, i32) {
        let (low, high) = self.range();
        (low + self.bias(), high + self.bias())
    }

    /// Lowest and highest value inside the plan.
    pub fn range(&self) -> (i32, i32) {
        match self.element {
            Element::I16 => (i16::MIN.into(), i16::MAX.into()),
            _ => (i8::MIN.into(), i8::MAX.into()),
        }
    }

    /// QuantizeLinear, as ONNX Runtime computes it: divide, saturate, round half to
    /// even, add the zero point. The result is the plan's `i8` value; NaN gives the lowest.
    pub fn quantize(&self, real: f32) -> i8 {
        self.stored(real) as i8
    }

    /// The plan's value, of 8 or 16 bits.
    fn stored(&self, real: f32) -> i32 {
        let (low, high) = self.limits();
        let (low, high) = (
            (low - self.zero_point) as f32,
            (high - self.zero_point) as f32,
        );
        let steps = (real / self.scale).max(low).min(high).round_ties_even();
        steps as i32 + self.zero_point - self.bias()
    }

    /// DequantizeLinear of the plan's `i8` value.
    pub fn dequantize(&self, stored: i8) -> f32 {
        (i32::from(stored) - self.zero_point_i8()) as f32 * self.scale
    }

    /// Where the plan clamps a result that lies in `low..=high` of the reals.
    pub fn clamp(&self, low: f32, high: f32) -> (i32, i32) {
        let (lowest, highest) = self.range();
        let edge = |real: f32, open: i32| {
            if real.is_finite() {
                self.stored(real)
            } else {
                open
            }
        };
        (edge(low, lowest), edge(high, highest))
    }
}

/// What the plan's `i8` value lacks to ONNX's value.
pub fn bias(element: Element) -> i32 {
    if element == Element::U8 { 128 } else { 0 }
}

/// A tensor of the program beside its place in ONNX's terms.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The tensor.
    pub tensor: TensorId,
    /// ONNX's element type; `u8` values are `i8` in the plan, 128 less.
    pub element: Element,
    /// ONNX's dimensions.
    pub shape: Vec<usize>,
    /// Which of ONNX's axes lies where, outermost first: `[0, 2, 3, 1]` is NHWC.
    pub order: Vec<usize>,
}

impl Stored {
    /// Extents in stored order.
    pub fn stored_shape(&self) -> Vec<usize> {
        self.order.iter().map(|&axis| self.shape[axis]).collect()
    }

    /// Elements between two indices of each of ONNX's axes.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![0; self.shape.len()];
        let mut stride = 1;
        for &axis in self.order.iter().rev() {
            strides[axis] = stride;
            stride *= self.shape[axis];
        }
        strides
    }

    /// Whether an element is a byte.
    pub fn is_bytes(&self) -> bool {
        matches!(self.element, Element::I8 | Element::U8)
    }

    /// Whether the bytes lie as `order` would have them; axes of extent 1 do not matter.
    pub fn lies_in(&self, order: &[usize]) -> bool {
        let long = |axis: &&usize| self.shape[**axis] > 1;
        self.order.iter().filter(long).eq(order.iter().filter(long))
    }
}

/// The real value of each of the 256 bytes that a stored element can be.
pub type Table = [f32; 256];

/// A real tensor that is an elementwise function of a stored one.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// The stored tensor.
    pub stored: Stored,
    /// Real value by stored byte.
    pub table: Arc<Table>,
    /// Scale and zero point, while the function is DequantizeLinear alone.
    pub linear: Option<Quantization>,
}

/// An integer constant behind DequantizeLinear.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Elements, row-major, as ONNX stores them.
    pub values: Vec<i32>,
    /// ONNX's element type.
    pub element: Element,
    /// One scale, or one for each index of `axis`.
    pub scales: Vec<f32>,
    /// As many zero points.
    pub zero_points: Vec<i32>,
    /// Axis of the scales where there are several.
    pub axis: usize,
}

impl Weights {
    /// The real numbers that the integers stand for.
    pub fn reals(&self) -> Vec<f32> {
        (self.steps().into_iter())
            .map(|(step, scale)| step as f32 * scale)
            .collect()
    }
}

/// A function of a real number.
#[derive(Clone)]
pub struct Activation(pub Rc<dyn Fn(f32) -> f32>);

impl std::fmt::Debug for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a function")
    }
}

/// What an ONNX value is.
#[derive(Clone, Debug)]
pub enum Meaning {
    /// A tensor of the program: quantized values, or floats at the model's border.
    Stored(Stored),
    /// A real tensor that is a function of a stored one.
    Mapped(Mapped),
    /// A tensor of 16 bits behind DequantizeLinear.
    Wide(Stored, Quantization),
    /// An integer constant behind DequantizeLinear.
    Weights(Arc<Weights>),
    /// What a node computes from quantized operands, before it is quantized; clamped
    /// to `low..=high` by Relu or Clip.
    Pending {
        /// Index of the node in the graph.
        node: usize,
        /// Lowest real value.
        low: f32,
        /// Highest real value.
        high: f32,
    },
    /// A function of what a convolution or product computes, before it is quantized.
    Activated {
        /// Index of the node in the graph.
        node: usize,
        /// From the node's real output.
        function: Activation,
    },
    /// Real numbers that are computed once it is known what becomes of them.
    Real {
        /// Index of the node that computes them.
        node: usize,
        /// How many nodes of this kind it waits for.
        depth: usize,
    },
    /// Something that was refused already, or depends on it.
    Refused,
}
