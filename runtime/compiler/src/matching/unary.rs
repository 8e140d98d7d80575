//! Elementwise functions of one tensor: they become tables of 256 entries.

use super::logistic::{logistic, tanh};
use super::meaning::{Activation, Mapped, Meaning, bias};
use super::{Matcher, Why};
use crate::cause::Cause;
use crate::graph::{Element, Node};
use crate::program::Operation;
use crate::simplify::cast_element;
use std::rc::Rc;
use std::sync::Arc;

/// What a node computes on each element.
type Function = Box<dyn Fn(f32) -> f32>;

impl Matcher<'_> {
    pub(super) fn unary(&mut self, node: &Node) -> Result<Meaning, Why> {
        if let Some((low, high)) = self.clamp_of(node)?
            && let Some(Meaning::Pending {
                node,
                low: l,
                high: h,
            }) = self.meaning(node, 0)
        {
            // Relu after Relu, or Clip after Relu: the bounds meet.
            let (low, high) = (l.max(low).min(high), h.min(high).max(low));
            return Ok(Meaning::Pending {
                node: *node,
                low,
                high,
            });
        }
        let function = self.function(node)?;
        if let Some((index, before)) = self.activation(node, 0) {
            let after = move |x| function((before.0)(x));
            return Ok(Meaning::Activated {
                node: index,
                function: Activation(Rc::new(after)),
            });
        }
        match self.meaning(node, 0) {
            Some(Meaning::Mapped(mapped)) => Ok(Meaning::Mapped(map(mapped, function))),
            _ => self.operand(node, 0).map(|_| Meaning::Refused),
        }
    }

    /// Whether a node clips the integers of a quantized tensor, not what they stand for.
    pub(super) fn clips_stored(&self, node: &Node) -> bool {
        matches!(self.meaning(node, 0), Some(Meaning::Stored(stored)) if stored.is_bytes())
    }

    /// Clip or Relu of the integers themselves.
    pub(super) fn clip_stored(&mut self, node: &Node) -> Result<Meaning, Why> {
        let Some(Meaning::Stored(from)) = self.meaning(node, 0).cloned() else {
            return Err("its input is not quantized".into());
        };
        let bound = |input: usize, name: &str, open: i64| match node.input(input) {
            None if node.operator == "Relu" && name == "min" => Ok(0),
            None => Ok(open),
            Some(_) => match (self.graph.constant(node, input)).and_then(|c| c.integers()) {
                Some(bound) if bound.len() == 1 => Ok(bound[0]),
                _ => Err(format!("its {name} is not a constant integer")),
            },
        };
        let bias = i64::from(bias(from.element));
        let (low, high) = (bound(1, "min", bias - 128)?, bound(2, "max", bias + 127)?);
        let table = std::array::from_fn(|byte| {
            let stored = i64::from(byte as u8 as i8) + bias;
            // The upper bound wins where the two cross.
            (stored.max(low).min(high) - bias) as u8
        });
        let source = self.program.tensor(from.tensor).clone();
        let (shape, order) = (from.shape.clone(), from.order.clone());
        let output = self.new_stored(node, shape, order, from.element, None);
        let tensor = &mut self.program.tensors[output.tensor.0];
        (tensor.scale, tensor.zero_point) = (source.scale, source.zero_point);
        let operation = Operation::Lookup { table };
        self.step(node, operation, vec![from.tensor], output.tensor);
        Ok(Meaning::Stored(output))
    }

    /// A Cast to the type that is there already.
    pub(super) fn cast(&mut self, node: &Node) -> Result<Meaning, Why> {
        let id = node.input(0).ok_or("its input is missing")?;
        let from = self.graph.value(id).element;
        let Some(to) = cast_element(node).filter(|_| !matches!(from, Element::Other(_))) else {
            return Err(
                "only float, int8, uint8, int16, int32, and int64 have a place in a plan: export \
                 the model without float16, bfloat16, and double"
                    .into(),
            );
        };
        match self.meaning(node, 0).cloned() {
            Some(meaning) if from == to => Ok(meaning),
            _ => Err(format!("a cast from {from} to {to} has no integer form")),
        }
    }

    /// The function that a node computes on each element, in `f32` as ONNX Runtime's
    /// CPU kernels have it.
    fn function(&self, node: &Node) -> Result<Function, Why> {
        if let Some((low, high)) = self.clamp_of(node)? {
            return Ok(Box::new(move |x: f32| x.max(low).min(high)));
        }
        let alpha = |default: f32| node.float("alpha").unwrap_or(default);
        Ok(match node.operator.as_str() {
            "LeakyRelu" => {
                let alpha = alpha(0.01);
                Box::new(move |x| if x >= 0.0 { x } else { alpha * x })
            }
            "Elu" => {
                let alpha = alpha(1.0);
                Box::new(move |x| if x >= 0.0 { x } else { alpha * (x.exp() - 1.0) })
            }
            "Selu" => {
                let (alpha, gamma) = (alpha(1.673_263_2), node.float("gamma").unwrap_or(1.050_701));
                Box::new(move |x| gamma * if x > 0.0 { x } else { alpha * x.exp() - alpha })
            }
            "HardSigmoid" => {
                let (alpha, beta) = (alpha(0.2), node.float("beta").unwrap_or(0.5));
                Box::new(move |x| (alpha * x + beta).clamp(0.0, 1.0))
            }
            "HardSwish" => Box::new(|x| x * (x * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0)),
            "Sigmoid" => Box::new(logistic),
            "Tanh" => Box::new(tanh),
            "Softplus" => Box::new(softplus),
            "Softsign" => Box::new(|x| x / (1.0 + x.abs())),
            "Abs" => Box::new(f32::abs),
            "Neg" => Box::new(|x| -x),
            "Exp" => Box::new(f32::exp),
            "Log" => Box::new(f32::ln),
            "Sqrt" => Box::new(f32::sqrt),
            "Reciprocal" => Box::new(f32::recip),
            "Celu" => {
                let alpha = alpha(1.0);
                Box::new(move |x| x.max(0.0) + (alpha * ((x / alpha).exp() - 1.0)).min(0.0))
            }
            "ThresholdedRelu" => {
                let alpha = alpha(1.0);
                Box::new(move |x| if x > alpha { x } else { 0.0 })
            }
            "Mish" => Box::new(|x| x * tanh(softplus(x))),
            "Erf" => Box::new(libm::erff),
            "Gelu" | "FastGelu" if node.input(1).is_some() => {
                return Err("a bias is not supported; add it before".into());
            }
            "Gelu" if node.text("approximate") == Some("tanh") => Box::new(gelu_by_tanh),
            "FastGelu" => Box::new(gelu_by_tanh),
            "Gelu" => Box::new(gelu),
            "QuickGelu" => {
                let alpha = alpha(1.702);
                Box::new(move |x| x * logistic(alpha * x))
            }
            "Swish" => {
                let alpha = alpha(1.0);
                Box::new(move |x| x * logistic(alpha * x))
            }
            "PRelu" => {
                let slope = self
                    .scalar(node, 1)
                    .ok_or("its slope is not one constant number")?;
                Box::new(move |x| if x > 0.0 { x } else { slope * x })
            }
            "Ceil" => Box::new(f32::ceil),
            "Floor" => Box::new(f32::floor),
            "Round" => Box::new(f32::round_ties_even),
            "Sign" => Box::new(|x| if x == 0.0 { 0.0 } else { x.signum() }),
            "Sin" => Box::new(f32::sin),
            "Cos" => Box::new(f32::cos),
            "Atan" => Box::new(f32::atan),
            other => return Err(format!("the engine has no integer form of {other}")),
        })
    }

    /// The bounds of Relu or Clip; `None` for other operators.
    pub(super) fn clamp_of(&self, node: &Node) -> Result<Option<(f32, f32)>, Why> {
        match node.operator.as_str() {
            "Relu" => Ok(Some((0.0, f32::INFINITY))),
            "Clip" => {
                let low = self
                    .clip_bound(node, 1, "min")?
                    .unwrap_or(f32::NEG_INFINITY);
                let high = self.clip_bound(node, 2, "max")?.unwrap_or(f32::INFINITY);
                if low.is_nan() || high.is_nan() {
                    return Err("a bound is not a number".into());
                }
                // Where they cross, the upper one is applied last.
                Ok(Some((low.min(high), high)))
            }
            _ => Ok(None),
        }
    }

    fn clip_bound(
        &self,
        node: &Node,
        input: usize,
        name: &'static str,
    ) -> Result<Option<f32>, Why> {
        if node.input(input).is_none() {
            return Ok(node.float(name));
        }
        if let Some(bound) = self.scalar(node, input) {
            return Ok(Some(bound));
        }
        let Some(constant) = self.graph.constant(node, input) else {
            return Err(self.not_constant(node, input, name).into());
        };
        Err(match constant.floats() {
            Some(floats) => Cause::Count {
                what: name,
                count: floats.len(),
            },
            None => Cause::Element {
                what: name,
                element: self.element(node, input),
                takes: "float",
            },
        }
        .into())
    }

    /// The one real number that an input is, be it a float constant or a quantized one.
    pub(super) fn scalar(&self, node: &Node, input: usize) -> Option<f32> {
        if let Some(constant) = self.graph.constant(node, input) {
            return match constant.floats()? {
                [value] => Some(*value),
                _ => None,
            };
        }
        match self.meaning(node, input)? {
            Meaning::Weights(w) if w.values.len() == 1 && w.scales.len() == 1 => {
                w.reals().first().copied()
            }
            _ => None,
        }
    }
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// x · Φ(x).
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The approximation by a hyperbolic tangent.
fn gelu_by_tanh(x: f32) -> f32 {
    // sqrt(2 / π).
    const ROOT: f32 = 0.797_884_6;
    0.5 * x * (1.0 + tanh(ROOT * (x + 0.044_715 * x * x * x)))
}

/// `function` after what `mapped` is already.
pub fn map(mapped: &Mapped, function: impl Fn(f32) -> f32) -> Mapped {
    let mut table = *mapped.table;
    for real in &mut table {
        *real = function(*real);
    }
    Mapped {
        stored: mapped.stored.clone(),
        table: Arc::new(table),
        linear: None,
    }
}
