//! Pairs, means, products and functions of real numbers.

use super::super::meaning::{Meaning, Stored};
use super::super::reduce::Groups;
use super::super::{Matcher, OPEN, Why};
use super::linear::Followers;
use super::{Fault, Finish};
use crate::graph::{Element, Node};
use crate::program::{Operation, TensorId};
use crate::tables::Table;
use sanderling_plan::{Operator, step};

/// A real operand: `f32`, or bytes with scale and zero point.
#[derive(Clone)]
pub(super) struct Operand {
    pub(super) stored: Stored,
    pub(super) scale: f32,
    pub(super) zero_point: i32,
}

impl Operand {
    pub(super) fn plain(stored: Stored) -> Self {
        Operand {
            stored,
            scale: 1.0,
            zero_point: 0,
        }
    }
}

/// The second operand of a pair: element `i` of the first meets element `i / inner % extent`.
pub(super) struct Second {
    tensor: TensorId,
    scale: f32,
    zero_point: i32,
    inner: usize,
    extent: usize,
}

impl Matcher<'_> {
    pub(super) fn real_pair(&mut self, index: usize, finish: Finish) -> Result<Stored, Fault> {
        let graph = self.graph;
        let node = &graph.nodes[index];
        let at = |why: Why| (index, why);
        let shape = self.output_shape(node);
        for input in 0..2 {
            let Some(of) = self.followed(node, input) else {
                continue;
            };
            let followers = match (node.operator.as_str(), self.constant_reals(node, 1 - input)) {
                ("Add", Some((dims, values))) => self
                    .along_channels(&graph.nodes[of], &dims, &values)
                    .map(|offsets| Followers {
                        offsets: Some(offsets),
                        ..Followers::default()
                    }),
                ("Mul", Some((dims, values))) => self
                    .along_channels(&graph.nodes[of], &dims, &values)
                    .map(|gains| Followers {
                        gains: Some(gains),
                        ..Followers::default()
                    }),
                ("Add", None) => {
                    let value = node.input(1 - input);
                    let whole = value.is_some_and(|value| graph.value(value).shape == shape);
                    match whole {
                        true => Some(Followers {
                            addend: Some(self.real_operand(index, 1 - input)?),
                            ..Followers::default()
                        }),
                        false => None,
                    }
                }
                _ => None,
            };
            if let Some(followers) = followers {
                return self.linear(of, followers, finish);
            }
        }
        let constants = [0, 1].map(|input| self.constant_reals(node, input));
        let operation = match node.operator.as_str() {
            "Add" => step::RealPair::SUM,
            "Sub" => step::RealPair::DIFFERENCE,
            "Mul" => step::RealPair::PRODUCT,
            _ => step::RealPair::QUOTIENT,
        };
        if let Some(constant) = constants.iter().position(Option::is_some) {
            let mut first = self.real_operand(index, 1 - constant)?;
            if first.stored.shape != shape {
                let order: Vec<usize> = (0..shape.len()).collect();
                first.stored = self
                    .expand(node, &first.stored, &shape, &order)
                    .map_err(at)?;
            }
            let (dims, values) = constants[constant]
                .as_ref()
                .ok_or_else(|| at("its constant is missing".into()))?;
            let second = self
                .constant_second(node, &first.stored, dims, values)
                .map_err(at)?;
            return Ok(self.pair_step(node, (operation, constant == 0), first, second, finish));
        }
        let (mut first, mut second) = (self.real_operand(index, 0)?, self.real_operand(index, 1)?);
        let reversed = first.stored.shape != shape && second.stored.shape == shape;
        if reversed {
            std::mem::swap(&mut first, &mut second);
        }
        if first.stored.shape != shape {
            let order: Vec<usize> = (0..shape.len()).collect();
            first.stored = self
                .expand(node, &first.stored, &shape, &order)
                .map_err(at)?;
        }
        let order = first.stored.order.clone();
        let stored = self
            .expand(node, &second.stored, &shape, &order)
            .map_err(at)?;
        let second = Second {
            tensor: stored.tensor,
            scale: second.scale,
            zero_point: second.zero_point,
            inner: 1,
            extent: shape.iter().product(),
        };
        Ok(self.pair_step(node, (operation, reversed), first, second, finish))
    }

    pub(super) fn pair_step(
        &mut self,
        node: &Node,
        (operation, reversed): (u32, bool),
        first: Operand,
        second: Second,
        finish: Finish,
    ) -> Stored {
        let (shape, order) = (first.stored.shape, first.stored.order);
        let output = self.result(node, shape, order, finish);
        let (low, high) = finish.bounds();
        let (scale_y, zero_point) = finish.scale();
        let parameters = step::RealPair {
            operation,
            reversed,
            scale_a: first.scale,
            zero_a: first.zero_point,
            scale_b: second.scale,
            zero_b: second.zero_point,
            inner: second.inner as u32,
            extent: second.extent as u32,
            low,
            high,
            scale_y,
            zero_point,
        };
        let operation = Operation::Plain(Operator::RealPair(parameters));
        let inputs = vec![first.stored.tensor, second.tensor];
        self.step(node, operation, inputs, output.tensor);
        output
    }

    /// An input as a step may read it: bytes where they are a quantized tensor, else `f32`.
    pub(super) fn real_operand(&mut self, index: usize, input: usize) -> Result<Operand, Fault> {
        let node = &self.graph.nodes[index];
        if let Ok((stored, from)) = self.operand(node, input) {
            return Ok(Operand {
                stored,
                scale: from.scale,
                zero_point: from.zero_point_i8(),
            });
        }
        if let Some(Meaning::Wide(stored, from)) = self.meaning(node, input) {
            return Ok(Operand {
                stored: stored.clone(),
                scale: from.scale,
                zero_point: from.zero_point,
            });
        }
        let value = node
            .input(input)
            .ok_or_else(|| (index, format!("input {input} is missing")))?;
        self.real(value).map(Operand::plain)
    }

    /// A constant beside each element of `first`: one number, a vector along one axis, or as
    /// many as there are elements.
    pub(super) fn constant_second(
        &mut self,
        node: &Node,
        first: &Stored,
        dims: &[usize],
        values: &[f32],
    ) -> Result<Second, Why> {
        let missing = (first.shape.len())
            .checked_sub(dims.len())
            .ok_or("its constant has more dimensions than the tensor")?;
        let long: Vec<usize> = (0..dims.len()).filter(|&axis| dims[axis] > 1).collect();
        let (values, inner) = match *long.as_slice() {
            [] => (values.to_vec(), 1),
            [axis] => {
                let place = first.order.iter().position(|&a| a == axis + missing);
                let place = place.ok_or("its constant does not fit the tensor")?;
                let inner = first.order[place + 1..].iter().map(|&a| first.shape[a]);
                (values.to_vec(), inner.product())
            }
            _ => {
                let mut strides = vec![0; dims.len()];
                let mut stride = 1;
                for axis in (0..dims.len()).rev() {
                    strides[axis] = if dims[axis] == 1 { 0 } else { stride };
                    stride *= dims[axis];
                }
                let mut places = vec![0usize];
                for &axis in &first.order {
                    let stride = axis.checked_sub(missing).map_or(0, |axis| strides[axis]);
                    places = (places.iter())
                        .flat_map(|at| (0..first.shape[axis]).map(move |i| at + i * stride))
                        .collect();
                }
                (places.into_iter().map(|at| values[at]).collect(), 1)
            }
        };
        let name = format!("{}/constant", node.name);
        let extent = values.len();
        Ok(Second {
            tensor: self.program.add_real_constant(&name, vec![extent], &values),
            scale: 1.0,
            zero_point: 0,
            inner,
            extent,
        })
    }

    pub(super) fn real_mean(&mut self, index: usize, finish: Finish) -> Result<Stored, Fault> {
        let node = &self.graph.nodes[index];
        let Operand {
            stored,
            scale,
            zero_point: zero_x,
        } = self.real_operand(index, 0)?;
        let groups = self.groups(node, &stored).map_err(|why| (index, why))?;
        let Groups {
            x,
            outer,
            reduce,
            inner,
            order,
        } = groups;
        let open = Finish {
            clamp: OPEN,
            ..finish
        };
        let narrow = if finish.clamp == OPEN {
            open
        } else {
            Finish::REAL
        };
        let shape = self.output_shape(node);
        let output = self.result(node, shape, order, narrow);
        let (scale_y, zero_point) = narrow.scale();
        let parameters = step::RealMean {
            outer: outer as u32,
            reduce: reduce as u32,
            inner: inner as u32,
            scale_x: scale,
            zero_x,
            divisor: match node.operator.as_str() {
                "ReduceSum" => 1.0,
                _ => reduce as f32,
            },
            scale_y,
            zero_point,
        };
        let operation = Operation::Plain(Operator::RealMean(parameters));
        self.step(node, operation, vec![x.tensor], output.tensor);
        Ok(match narrow == finish {
            true => output,
            false => self.concluded(node, output, finish),
        })
    }

    /// A product with real weights.
    pub(super) fn real_product(&mut self, index: usize, finish: Finish) -> Result<Stored, Fault> {
        let node = &self.graph.nodes[index];
        let at = |why: Why| (index, why);
        let gemm = node.operator == "Gemm";
        let flag = |name: &str| gemm && node.int(name).unwrap_or(0) != 0;
        let factor = |name: &str| {
            if gemm {
                node.float(name).unwrap_or(1.0)
            } else {
                1.0
            }
        };
        if flag("transA") {
            return Err(at("transA with float weights is not supported".into()));
        }
        let (dims, values) = self
            .constant_reals(node, 1)
            .ok_or_else(|| at("its weights are not constant".into()))?;
        let &[rows, columns] = dims.as_slice() else {
            return Err(at("its weights have other than two dimensions".into()));
        };
        let transposed = flag("transB");
        let (k, outputs) = if transposed {
            (columns, rows)
        } else {
            (rows, columns)
        };
        let bias = match node.input(2) {
            None => vec![0.0; outputs],
            Some(_) => {
                let (_, bias) = self
                    .constant_reals(node, 2)
                    .ok_or_else(|| at("its bias is not constant".into()))?;
                match bias.len() {
                    1 => vec![bias[0]; outputs],
                    n if n == outputs => bias,
                    n => {
                        return Err(at(format!(
                            "a bias of {n} values for {outputs} outputs is not supported"
                        )));
                    }
                }
            }
        };
        let value = node
            .input(0)
            .ok_or_else(|| at("its input is missing".into()))?;
        let x = self.real(value)?;
        if x.shape.last() != Some(&k) {
            return Err(at("its weights do not fit the input".into()));
        }
        let x = self.row_major(node, &x).map_err(at)?;
        let lines = x.shape.iter().product::<usize>() / k;
        let input = self.program.add_view(x.tensor, vec![lines, k]);
        let alpha = factor("alpha");
        let weights = (0..outputs)
            .flat_map(|o| (0..k).map(move |i| (o, i)))
            .map(|(o, i)| {
                alpha
                    * if transposed {
                        values[o * k + i]
                    } else {
                        values[i * outputs + o]
                    }
            })
            .collect();
        let beta = factor("beta");
        let offsets = bias.into_iter().map(|b| beta * b).collect();
        let shape = self.output_shape(node);
        let order = (0..shape.len()).collect();
        let output = self.result(node, shape, order, finish);
        let target = self.program.add_view(output.tensor, vec![lines, outputs]);
        let (low, high) = finish.bounds();
        let (scale_y, zero_point) = finish.scale();
        let parameters = step::RealProduct {
            weights: 0,
            offsets: 0,
            low,
            high,
            scale_y,
            zero_point,
        };
        let operation = Operation::Tabled {
            operator: Operator::RealProduct(parameters),
            tables: vec![Table::F32(weights), Table::F32(offsets)],
        };
        let macs = (lines * k * outputs) as u64;
        self.step_with(node, operation, vec![input], target, 0, macs);
        Ok(output)
    }

    /// A softmax of real numbers, or one that stays real.
    pub(in crate::matching) fn real_rows(
        &mut self,
        index: usize,
        finish: Finish,
    ) -> Result<Stored, Fault> {
        let node = &self.graph.nodes[index];
        let mut x = self.real_operand(index, 0)?;
        if !x.stored.is_bytes()
            && let Some(value) = node.input(0)
        {
            x = Operand::plain(self.real(value)?);
        }
        let real = self
            .softmax_of(node, &x.stored, (x.scale, x.zero_point))
            .map_err(|why| (index, why))?;
        Ok(self.concluded(node, real, finish))
    }

    pub(super) fn real_map(&mut self, index: usize, finish: Finish) -> Result<Stored, Fault> {
        let node = &self.graph.nodes[index];
        let at = |why: Why| (index, why);
        let value = node
            .input(0)
            .ok_or_else(|| at("its input is missing".into()))?;
        let x = self.real(value)?;
        let alpha = |default: f32| node.float("alpha").unwrap_or(default);
        let (function, alpha, beta) = match node.operator.as_str() {
            "Sigmoid" => (step::RealMap::SIGMOID, 0.0, 0.0),
            "Tanh" => (step::RealMap::TANH, 0.0, 0.0),
            "LeakyRelu" => (step::RealMap::LEAKY_RELU, alpha(0.01), 0.0),
            "HardSigmoid" => {
                let beta = node.float("beta").unwrap_or(0.5);
                (step::RealMap::HARD_SIGMOID, alpha(0.2), beta)
            }
            "HardSwish" => (step::RealMap::HARD_SIGMOID, 1.0 / 6.0, 0.5),
            _ => (step::RealMap::SIGMOID, 0.0, 0.0),
        };
        let factor = match node.operator.as_str() {
            "Swish" => node.float("alpha").unwrap_or(1.0),
            "QuickGelu" => node.float("alpha").unwrap_or(1.702),
            _ => 1.0,
        };
        let mut argument = x.clone();
        if factor != 1.0 {
            let second = self.constant_second(node, &x, &[], &[factor]).map_err(at)?;
            let product = (step::RealPair::PRODUCT, false);
            argument = self.pair_step(
                node,
                product,
                Operand::plain(x.clone()),
                second,
                Finish::REAL,
            );
        }
        let gates = matches!(node.operator.as_str(), "HardSwish" | "Swish" | "QuickGelu");
        let direct = finish.clamp == OPEN && !gates;
        let narrow = if direct { finish } else { Finish::REAL };
        let (scale_y, zero_point) = narrow.scale();
        let output = self.result(node, x.shape.clone(), x.order.clone(), narrow);
        let parameters = step::RealMap {
            function,
            alpha,
            beta,
            scale_y,
            zero_point,
        };
        let operation = Operation::Plain(Operator::RealMap(parameters));
        self.step(node, operation, vec![argument.tensor], output.tensor);
        if direct {
            return Ok(output);
        }
        if !gates {
            return Ok(self.concluded(node, output, finish));
        }
        let second = Second {
            tensor: output.tensor,
            scale: 1.0,
            zero_point: 0,
            inner: 1,
            extent: x.shape.iter().product(),
        };
        let product = (step::RealPair::PRODUCT, false);
        Ok(self.pair_step(node, product, Operand::plain(x), second, finish))
    }

    /// A tensor for a result.
    pub(super) fn result(
        &mut self,
        node: &Node,
        shape: Vec<usize>,
        order: Vec<usize>,
        finish: Finish,
    ) -> Stored {
        let element = finish.to.map_or(Element::F32, |to| to.element);
        self.new_stored(node, shape, order, element, finish.to)
    }
}
